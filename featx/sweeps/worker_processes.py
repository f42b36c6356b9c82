"""Work done in several processes, of which an interruption loses none that has begun."""

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

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_processes(
    work: Callable[[Task], Result],
    tasks: Iterable[Task],
    processes: int,
    threads: int,
    start: Callable[..., None],
    arguments: tuple[Any, ...],
) -> Iterator[tuple[Task, Result]]:
    """Yield what comes of each task, as it comes.

    At Ctrl-C, or where a task raises, those that run are finished and no further one begins.

    Args:
        work: A function of a module.
        tasks: What it is called with.
        processes: How many there are.
        threads: What libraries may start in each; fewer where the environment says so.
        start: Called first in each process, a function of a module.
        arguments: What `start` is called with.

    Raises:
        FeatxError: A process was ended from outside.
    """
    waiting = iter(tasks)
    running: dict[Future[Result], Task] = {}
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin, (threads, start, arguments))
    try:
        while True:
            with _interrupts_held():
                # One that waited in the pool's queue could not be called back.
                for task in islice(waiting, processes - len(running)):
                    running[pool.submit(work, task)] = task
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    except BrokenProcessPool as error:
        raise FeatxError(
            "A process was ended from outside before its fit was done, probably for lack of memory; run the same "
            "command again with fewer --jobs. Fits that were done are kept."
        ) from error
    except KeyboardInterrupt:
        log.warning("Interrupted; what runs is finished and kept.")
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Start processes to which Ctrl-C means nothing from their first moment on; here it counts a moment later."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(threads: int, start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    # The whole terminal's Ctrl-C comes here too; it is for the parent to say what it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    quieten()
    logging.getLogger("featx").setLevel(logging.ERROR)
    limit_threads(threads)
    start(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        # There is nobody left to end it in order.
        os._exit(1)


def limit_threads(threads: int) -> None:
    """Let libraries start no more threads in this process; those that are loaded too, and fewer where set so."""
    from threadpoolctl import threadpool_info, threadpool_limits

    # The first is everyone's where their own is not set.
    for name in THREADS:
        own = os.environ.get(name, "")
        allowed = min(threads, int(own)) if own.isdecimal() and int(own) > 0 else threads
        os.environ[name] = str(allowed)
        threads = allowed if name == THREADS[0] else threads
    threadpool_limits({loaded["prefix"]: min(threads, loaded["num_threads"]) for loaded in threadpool_info()})
