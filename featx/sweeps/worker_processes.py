"""Tasks done in several processes; an interruption loses none that has begun.

joblib's loky does not hold that: its processes print tracebacks at Ctrl-C while they start, and outlive a parent that
is killed.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import connection
from threading import Thread
from typing import Any, TypeVar

from featx.errors import FeatxError
from featx.networks import quieten

log = logging.getLogger("featx")

THREADS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS"),
    *("TF_NUM_INTRAOP_THREADS",),
)

_of_this_process: dict[str, Callable[[Any], Any]] = {}

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_processes(
    work: Callable[[Task], Result], tasks: Iterable[Task], processes: int, threads: int
) -> Iterator[tuple[Task, Result]]:
    """Yield each task with its result, in the order in which they end.

    At Ctrl-C, or if a task raises, the tasks that run are finished and no further one begins. `work` is a function
    of a module, or a `partial` of one, which each process receives once. Libraries start at most `threads` threads in
    each process, or fewer where the environment says so.
    """
    waiting = iter(tasks)
    running: dict[Future[Result], Task] = {}
    try:
        pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin, (threads, work))
    except OSError as error:  # a container without /dev/shm
        raise FeatxError(
            f"Expected memory that processes can share ({error.strerror or error}); use --jobs 1, or start the "
            "container with --shm-size 1g."
        ) from error
    try:
        while True:
            with _interrupts_held():
                # A task that waits in the pool's queue could not be taken back.
                for task in islice(waiting, processes - len(running)):
                    running[pool.submit(_do, task)] = task
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    except BrokenProcessPool as error:
        raise FeatxError(
            "A process was killed before its fit was done, probably because memory ran out; run the same command "
            "again with fewer --jobs. Finished fits are kept."
        ) from error
    except KeyboardInterrupt:
        log.warning("Interrupted; fits that have begun are finished and kept.")
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Start processes that ignore Ctrl-C from their first moment on; this process obeys it a moment later."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(threads: int, work: Callable[[Any], Any]) -> None:
    _of_this_process["work"] = work
    # A terminal sends Ctrl-C to this process too, but the parent decides what it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    quieten()
    # What libraries warn of does not reach the screen of the parent, where featx shows its own notices.
    logging.captureWarnings(True)
    logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger("featx").setLevel(logging.ERROR)
    limit_threads(threads)


def _do(task: Any) -> Any:
    return _of_this_process["work"](task)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        # Nobody is left to end this process in order.
        os._exit(1)


def limit_threads(threads: int) -> None:
    """Limit the threads of libraries in this process, also of those already loaded; a lower limit of theirs stays."""
    from threadpoolctl import threadpool_info, threadpool_limits

    # The first applies to all libraries whose own variable is not set.
    for name in THREADS:
        value = os.environ.get(name, "")
        allowed = min(threads, int(value)) if value.isdecimal() and int(value) > 0 else threads
        os.environ[name] = str(allowed)
        threads = allowed if name == THREADS[0] else threads
    threadpool_limits({loaded["prefix"]: min(threads, loaded["num_threads"]) for loaded in threadpool_info()})
