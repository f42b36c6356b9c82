"""Work in threads beside a consumer, in order and bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def bounded_map(work: Callable[[T], R], tasks: Iterable[T], *, workers: int, ahead: int) -> Iterator[R]:
    """Yield `work(task)` in the order of the tasks, computed by threads at most `ahead` tasks in front.

    `Executor.map` would take in all tasks at once and hold every result that is not yet consumed; here
    memory is bounded by `ahead`. An error of a task is raised in its turn; tasks not yet begun are dropped.
    """
    remaining = iter(tasks)
    with ThreadPoolExecutor(workers, thread_name_prefix="featx") as pool:
        waiting: deque[Future[R]] = deque(pool.submit(work, task) for task in islice(remaining, ahead))
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(work, task) for task in islice(remaining, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()
