from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored_rows import fill, reopened, rows_of, some_keys, write_then

from featx.errors import StoreError
from featx.store.rows import RowWriter
from featx.store.shards import RowKey


def test_a_row_handed_out_is_a_copy(tmp_path: Path) -> None:
    keys = some_keys(3)
    rows = fill(tmp_path, keys).rows(keys)
    rows[0][:] = -1
    rows[:][:] = -1
    np.testing.assert_array_equal(rows.to_array(), rows_of(keys))


def test_float16_rows_are_read_as_float32(tmp_path: Path) -> None:
    keys = some_keys(4)
    values = np.linspace(-3, 3, 20, dtype=np.float32).reshape(4, 5)
    space = reopened(tmp_path)
    with space.writer(dtype="float16") as writer:
        writer.add(keys, values)
    rows = reopened(tmp_path).rows(keys).to_array()
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, values.astype(np.float16).astype(np.float32))


def test_a_writer_flushes_by_size_and_by_age(tmp_path: Path) -> None:
    keys = some_keys(10)
    space = reopened(tmp_path)
    by_size = space.writer(flush_bytes=3 * 8 * 4)
    stored = []
    for key in keys[:8]:
        by_size.add([key], rows_of([key]))
        stored.append(space.stored())
    assert stored == [0, 0, 0, 4, 4, 4, 4, 8]
    by_age = space.writer(flush_seconds=0.01)
    by_age.add(keys[8:9], rows_of(keys[8:9]))
    time.sleep(0.02)
    by_age.add(keys[9:], rows_of(keys[9:]))
    assert space.stored() == 10


def test_a_writer_copies_what_it_is_given(tmp_path: Path) -> None:
    keys = some_keys(2)
    buffer = rows_of(keys)
    space = reopened(tmp_path)
    with space.writer() as writer:
        writer.add(keys, buffer)
        buffer[:] = 0
    np.testing.assert_array_equal(space.rows(keys).to_array(), rows_of(keys))


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_leaving_by_an_exception_keeps_the_rows(tmp_path: Path, error: type[BaseException]) -> None:
    keys = some_keys(3)
    with pytest.raises(error):
        write_then(reopened(tmp_path), keys, error())
    assert reopened(tmp_path).missing(keys) == []


def test_an_interrupt_while_writing_keeps_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = some_keys(3)
    real, calls = os.fsync, []

    def interrupted(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:  # the first is of space.json
            raise KeyboardInterrupt
        real(descriptor)

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt), reopened(tmp_path).writer(flush_bytes=1) as writer:
        writer.add(keys, rows_of(keys))
    np.testing.assert_array_equal(reopened(tmp_path).rows(keys).to_array(), rows_of(keys))
    assert not list(tmp_path.rglob(".tmp-*"))


def refused(writer: RowWriter, keys: Sequence[RowKey], rows: Any, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        writer.add(keys, rows)


def test_a_writer_refuses_rows_that_do_not_fit(tmp_path: Path) -> None:
    keys = some_keys(3)
    with fill(tmp_path, keys[:1]).writer(dtype="float16") as writer:
        refused(writer, keys[1:], rows_of(keys), "one row a key")
        refused(writer, keys[1:], np.zeros((2, 2, 4)), "one row a key")
        refused(writer, keys[1:], np.zeros((2, 9)), "width 8 .* width 9")
        refused(writer, keys[1:], np.full((2, 8), np.nan), "2 of 2 rows")
        refused(writer, keys[1:], np.vstack([np.zeros(8), np.full(8, 1e6)]), "1 of 2 rows .*too large for float16")
        refused(writer, [("ab", 0)], np.zeros((1, 8)), "64 hexadecimal")
        refused(writer, [("zz" * 32, 0)], np.zeros((1, 8)), "64 hexadecimal")
        refused(writer, [(keys[1][0], -1)], np.zeros((1, 8)), "view")
    assert reopened(tmp_path).stored() == 1


def test_a_row_that_is_not_stored_is_an_error(tmp_path: Path) -> None:
    keys = some_keys(3)
    space = fill(tmp_path, keys[:1])
    with pytest.raises(StoreError, match=f"2 are not stored, the first being view 0 of {keys[1][0][:12]}"):
        space.rows(keys)


def test_a_failed_write_is_not_tried_again_on_leaving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = []

    def full(descriptor: int) -> None:
        attempts.append(descriptor)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="; 0 rows are kept;"):
        write_then(reopened(tmp_path), some_keys(2))
    assert len(attempts) == 1
