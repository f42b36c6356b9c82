"""Work done ahead by threads, in order and within bounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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
