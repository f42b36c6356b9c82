"""Work done ahead by threads, in order and within bounds."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def bounded_map(work: Callable[[T], R], tasks: Iterable[T], *, workers: int, ahead: int) -> Iterator[R]:
    """Yield `work(task)` in the order of the tasks; threads work at most `ahead` tasks in advance.

    `Executor.map` takes in all tasks at once and keeps every result that is not yet used; here `ahead` bounds the
    memory. An error of a task is raised when its result is due; tasks that have not begun are then dropped.
    """
    remaining = iter(tasks)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="featx")
    try:
        waiting: deque[Future[R]] = deque(pool.submit(work, task) for task in islice(remaining, ahead))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(work, task) for task in islice(remaining, 1))
            yield result
    finally:
        # An error leaves generators to the garbage collector, which closes them in any thread at any moment, also in
        # one that is just starting and holds the locks that waiting for threads needs: waiting could take forever.
        pool.shutdown(wait=False, cancel_futures=True)


class Budget:
    """Bytes of memory that threads share; one that wants more than is left waits for the others.

    A grant above the whole budget is given when no other is held, and a thread that holds one gets further ones at
    once, so that all work is done some time.

    Args:
        total: Returns the budget in bytes; called once, when it is first needed.
        free: Grants up to this many bytes are given at once and not counted.
    """

    def __init__(self, total: Callable[[], int], free: int) -> None:
        self._total = total
        self._free = free
        self._left: int | None = None
        self._held = 0
        self._changed = threading.Condition()
        self._mine = threading.local()

    @contextmanager
    def granted(self, amount: int) -> Iterator[None]:
        """Hold so many bytes of the budget, once they are left."""
        if amount <= self._free or getattr(self._mine, "held", False):
            yield
            return
        with self._changed:
            if self._left is None:
                self._left = self._total()
            self._changed.wait_for(lambda: self._held == 0 or amount <= (self._left or 0))
            self._held += 1
            self._left -= amount
        self._mine.held = True
        try:
            yield
        finally:
            self._mine.held = False
            with self._changed:
                self._held -= 1
                self._left += amount
                self._changed.notify_all()
