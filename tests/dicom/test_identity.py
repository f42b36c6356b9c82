"""The salt of a cache, and hashes of names that lead back to files."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from featx.data import ImageFiles
from featx.dicom import found_again, hidden_part, is_hidden, kept_salt, salt_of
from featx.errors import StoreError
from featx.files import names_in


def test_a_salt_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    cache = tmp_path / "new" / "cache"
    assert kept_salt(cache) is None
    assert not cache.exists()
    salt = salt_of(cache)
    assert len(salt) == 32
    assert salt_of(cache) == kept_salt(cache) == (cache / "salt").read_bytes() == salt
    assert (cache / "salt").stat().st_mode & 0o777 == 0o600
    assert names_in(cache) == ["salt"]
    assert salt_of(tmp_path / "other") != salt


def test_the_first_of_many_writers_wins(tmp_path: Path) -> None:
    salts: list[bytes] = []
    barrier = threading.Barrier(8)

    def make() -> None:
        barrier.wait()
        salts.append(salt_of(tmp_path / "cache"))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(salts)) == 1
    assert len(salts) == 8
    assert names_in(tmp_path / "cache") == ["salt"]


def test_a_salt_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*paths: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    assert salt_of(tmp_path) == (tmp_path / "salt").read_bytes()
    assert (tmp_path / "salt").stat().st_mode & 0o777 == 0o600


def test_a_cache_that_cannot_be_written_has_a_salt_for_the_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    cache = tmp_path / "file" / "cache"
    salt = salt_of(cache)
    assert len(salt) == 32
    assert salt_of(cache) == salt
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "cannot be kept in the cache" in caplog.text
    assert salt.hex() not in caplog.text


def test_a_damaged_salt_is_refused(tmp_path: Path) -> None:
    (tmp_path / "salt").write_bytes(b"short")
    with pytest.raises(StoreError, match=r"Expected 32 bytes in .*salt.*found 5; put the file back"):
        salt_of(tmp_path)


def test_hidden_parts_lead_back_to_their_files(tmp_path: Path) -> None:
    salt = salt_of(tmp_path / "cache")
    folder, name = hidden_part("Doe Jane", salt), hidden_part("DOE.DCM", salt)
    assert is_hidden(f"x/{folder}/{name}")
    assert name.endswith(".dcm")
    assert not is_hidden("x/hidden-treasure/1.dcm")
    assert hidden_part("1.2.840.5", salt).count(".") == 0, "a UID has no ending"
    (tmp_path / "data" / "x" / "Doe Jane").mkdir(parents=True)
    (tmp_path / "data" / "x" / "Doe Jane" / "DOE.DCM").write_bytes(b"x")
    files = ImageFiles(tmp_path / "data", tmp_path / "cache")
    assert files.path(f"x/{folder}/{name}") == tmp_path / "data" / "x" / "Doe Jane" / "DOE.DCM"
    assert files.path(f"x/{folder}/{name}/frame-2").name == "frame-2"
    assert files.path(f"x/{folder}/{name}/frame-2").parent.read_bytes() == b"x"
    assert files.path("x/plain.dcm") == tmp_path / "data" / "x" / "plain.dcm"
    assert not files.path(f"x/{folder}/{hidden_part('gone', salt)}").exists()
    assert not ImageFiles(tmp_path / "data", tmp_path / "other cache").path(f"x/{folder}/{name}").exists()
    assert found_again(Path("/a") / folder, salt, lambda place: ["Doe Jane", "x"]) == Path("/a/Doe Jane")


def test_accents_and_odd_bytes_hash_as_they_are_shown(tmp_path: Path) -> None:
    salt = b"1" * 32
    assert hidden_part("Jos\u00e9", salt) == hidden_part("Jose\u0301", salt)
    assert hidden_part(os.fsdecode(b"\xff"), salt) == hidden_part("\\xff", salt)
