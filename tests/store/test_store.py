from __future__ import annotations

import hashlib
import json
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_rows import DESCRIPTION, fill, finish, reopened, rows_of, shard_files, some_keys, start, tree

from featx.store import shards
from featx.store.documents import load_document
from featx.store.shards import RowKey
from featx.store.store import Store


def test_rows_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    keys = some_keys(50) + some_keys(50, view=3)
    fill(tmp_path, keys, per_shard=7)
    space = reopened(tmp_path)
    order = [keys[i] for i in np.random.default_rng(0).permutation(100)] + keys[:2]
    rows = space.rows(order)
    expected = rows_of(order)
    assert (space.stored(), space.dim, rows.shape, len(rows)) == (100, 8, (102, 8), 102)
    np.testing.assert_array_equal(rows.to_array(), expected)
    np.testing.assert_array_equal(rows[5], expected[5])
    np.testing.assert_array_equal(rows[-1], expected[-1])
    np.testing.assert_array_equal(rows[10:90:7], expected[10:90:7])
    np.testing.assert_array_equal(rows[[3, 99, 3]], expected[[3, 99, 3]])
    np.testing.assert_array_equal(rows[np.array([], np.int64)], expected[:0])
    chunks = list(rows.chunks(25))
    assert [len(chunk) for chunk in chunks] == [25, 25, 25, 25, 2]
    np.testing.assert_array_equal(np.concatenate(chunks), expected)
    with pytest.raises(IndexError):
        rows[102]


def test_reading_maps_the_file_and_copies_nothing(tmp_path: Path) -> None:
    fill(tmp_path, some_keys(5))
    features = reopened(tmp_path).shards()[0].features
    assert not features.flags.owndata
    assert not features.flags.writeable


def test_missing_keeps_the_order_and_names_each_key_once(tmp_path: Path) -> None:
    keys = some_keys(6)
    space = fill(tmp_path, keys[:3])
    assert space.missing([keys[5], keys[0], keys[4], keys[5], keys[2]]) == [keys[5], keys[4]]
    assert space.missing([]) == []
    assert space.contains(keys[0])
    assert not space.contains((keys[0][0], 1))


def test_a_digest_that_ends_in_zeros_is_not_confused(tmp_path: Path) -> None:
    keys = [("ab" + "00" * 31, 0), ("ab" + "00" * 31, 256), ("ab" + "00" * 30 + "01", 0), ("00" * 32, 0)]
    space = fill(tmp_path, keys)
    assert space.views("AB" + "00" * 31) == [0, 256]
    assert space.missing([("ab" + "00" * 31, 1)]) == [("ab" + "00" * 31, 1)]
    np.testing.assert_array_equal(reopened(tmp_path).rows(keys).to_array(), rows_of(keys))


def test_another_description_shares_no_rows(tmp_path: Path) -> None:
    keys = some_keys(2)
    fill(tmp_path, keys)
    assert Store(tmp_path).space(DESCRIPTION | {"size": 225}).missing(keys) == keys


def test_of_two_rows_of_one_key_the_first_shard_in_name_order_counts(tmp_path: Path) -> None:
    keys = some_keys(1)
    for value in range(6):
        with reopened(tmp_path).writer() as writer:
            writer.add(keys, np.full((1, 2), value, np.float32))
    space = reopened(tmp_path)
    first = shards.open_shard(shard_files(space)[0])
    assert isinstance(first, shards.Shard)
    assert space.stored() == 1
    np.testing.assert_array_equal(space.rows(keys).to_array(), first.features)


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.lists(st.integers(0, 30), min_size=1, max_size=6),
            st.sampled_from(["flush", "reopen", "refresh"]),
        ),
        max_size=12,
    )
)
def test_any_interleaving_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[int] | str]
) -> None:
    root = tmp_path_factory.mktemp("cache")
    keys, added = some_keys(31), set[RowKey]()
    space = reopened(root)
    writer = space.writer(flush_bytes=8 * 4 * 9)
    for step in steps:
        if isinstance(step, list):
            part = [keys[i] for i in step]
            writer.add(part, rows_of(part))
            added.update(part)
        elif step == "refresh":
            space.refresh()
        else:
            writer.flush()
            space = reopened(root) if step == "reopen" else space
            writer = space.writer(flush_bytes=8 * 4 * 9) if step == "reopen" else writer
            assert space.stored() == len(added)
    writer.flush()
    expected = sorted(added)
    for final in (space, reopened(root)):
        assert final.missing(keys) == [key for key in keys if key not in added]
        wanted = rows_of(expected).reshape(len(expected), final.dim or 0)
        np.testing.assert_array_equal(final.rows(expected).to_array(), wanted)


def test_space_json_describes_the_space(tmp_path: Path) -> None:
    space = fill(tmp_path, some_keys(1))
    text = (space.path / "space.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"schema": 1, "id": space.id, "description": DESCRIPTION}
    assert text.count("\n") > 5
    assert [(found.id, found.description) for found in Store(tmp_path).spaces()] == [(space.id, DESCRIPTION)]


@pytest.mark.parametrize("damage", [None, b"", b'{"schema": 1, "description": {"size": 1}}', b"\xff"])
def test_a_lost_space_json_is_written_again_with_the_next_rows(tmp_path: Path, damage: bytes | None) -> None:
    keys = some_keys(4)
    path = fill(tmp_path, keys[:2]).path / "space.json"
    good = path.read_bytes()
    path.unlink() if damage is None else path.write_bytes(damage)
    assert [found.description for found in Store(tmp_path).spaces()] == [{}]
    assert reopened(tmp_path).missing(keys) == keys[2:]
    fill(tmp_path, keys[2:])
    assert path.read_bytes() == good


# Nothing is created, loaded or verified before it must be.


def test_reading_an_absent_cache_creates_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "none")
    space = store.space(DESCRIPTION)
    assert (space.stored(), space.dim, store.spaces()) == (0, None, [])
    assert load_document(store.root, "statistics", "a") is None
    assert space.missing(some_keys(2)) == some_keys(2)
    assert space.rows([]).to_array().shape == (0, 0)
    with space.writer():
        pass
    assert tree(tmp_path) == []


@pytest.mark.slow
def test_refresh_sees_what_another_has_written_and_verifies_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = some_keys(30)
    writer = "with space.writer() as w: w.add(some_keys({0}), rows_of(some_keys({0})))"
    finish(start(writer.format(10), tmp_path))
    hashed: list[str] = []
    real = hashlib.file_digest

    def counting(file: Any, name: str) -> Any:
        hashed.append(Path(file.name).name)
        return real(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counting)
    space = reopened(tmp_path)
    assert space.missing(keys) == keys[10:]
    finish(start(writer.format(30), tmp_path))
    assert space.missing(keys) == keys[10:]
    space.refresh()
    assert space.missing(keys) == []
    assert reopened(tmp_path).stored() == 30
    fill(tmp_path, some_keys(5, view=1))
    assert reopened(tmp_path).stored() == 35
    assert len(hashed) == len(set(hashed)) == 2


def test_many_shards_need_few_open_files(tmp_path: Path) -> None:
    keys = some_keys(150)
    fill(tmp_path, keys, per_shard=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        rows = reopened(tmp_path).rows(keys).to_array()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    np.testing.assert_array_equal(rows, rows_of(keys))
