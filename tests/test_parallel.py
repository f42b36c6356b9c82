from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from featx.parallel import Budget, bounded_map

WAIT = 20.0


def double(task: int) -> int:
    return 2 * task


@pytest.mark.parametrize("n", [0, 100])
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("ahead", [1, 4, 1000])
def test_results_come_in_the_order_of_the_tasks(n: int, workers: int, ahead: int) -> None:
    assert list(bounded_map(double, range(n), workers=workers, ahead=ahead)) == list(range(0, 2 * n, 2))


def test_a_slow_first_task_does_not_change_the_order() -> None:
    """The second is done before the first may begin to end."""
    second_done = threading.Event()

    def work(task: int) -> int:
        if task == 0:
            assert second_done.wait(WAIT)
        if task == 1:
            second_done.set()
        return task

    assert list(bounded_map(work, range(5), workers=2, ahead=5)) == [0, 1, 2, 3, 4]


def test_workers_work_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=WAIT)

    def work(task: int) -> int:
        together.wait()
        return task

    assert list(bounded_map(work, range(6), workers=3, ahead=6)) == list(range(6))


@pytest.mark.parametrize("ahead", [1, 4])
def test_no_more_tasks_are_taken_than_allowed(ahead: int) -> None:
    """Taken from the tasks and not yet handed out: `ahead`, plus the one that is about to be handed out."""
    taken = 0

    def tasks() -> Iterator[int]:
        nonlocal taken
        for task in range(50):
            taken += 1
            yield task

    in_front = [taken - used for used, _ in enumerate(bounded_map(double, tasks(), workers=8, ahead=ahead))]
    assert max(in_front) == ahead + 1
    assert taken == 50


def test_nothing_is_taken_before_it_is_asked_for() -> None:
    def tasks() -> Iterator[int]:
        raise AssertionError("taken")
        yield 0

    bounded_map(double, tasks(), workers=1, ahead=1)


def test_an_error_is_raised_in_its_turn() -> None:
    done: list[int] = []

    def work(task: int) -> int:
        if task == 3:
            raise ValueError("task 3")
        done.append(task)
        return task

    iterator = bounded_map(work, range(1000), workers=2, ahead=8)
    assert [next(iterator) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="task 3"):
        next(iterator)
    with pytest.raises(StopIteration):
        next(iterator)
    # Of a thousand tasks, only those in front of the one that failed were begun.
    assert len(done) <= 3 + 8


def test_an_error_among_the_tasks_is_raised() -> None:
    def tasks() -> Iterator[int]:
        yield 0
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        list(bounded_map(double, tasks(), workers=1, ahead=2))


def test_closing_drops_what_has_not_begun() -> None:
    """One thread is held at the second task; the others of those in front never run."""
    begun: list[int] = []
    held, go = threading.Event(), threading.Event()
    # Threads of iterators that other tests left to the garbage collector may not have ended yet.
    before = set(threading.enumerate())

    def work(task: int) -> int:
        begun.append(task)
        if task == 1:
            held.set()
            assert go.wait(WAIT)
        return task

    iterator = bounded_map(work, range(100), workers=1, ahead=10)
    assert next(iterator) == 0
    assert held.wait(WAIT)
    own = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("featx")]
    assert len(own) == 1
    assert isinstance(iterator, Iterator)
    iterator.close()  # type: ignore[attr-defined]
    # Closing does not wait for the task that runs; its thread ends after it.
    go.set()
    own[0].join(WAIT)
    assert begun == [0, 1]
    assert not own[0].is_alive()
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("featx")]


def test_closing_waits_for_nothing() -> None:
    """The garbage collector closes what an error has left behind, in a thread that others may be waiting for."""
    release = threading.Event()

    def work(task: int) -> int:
        assert task == 0 or release.wait(WAIT)
        return task

    results = bounded_map(work, range(2), workers=2, ahead=2)
    assert next(results) == 0
    closing = threading.Thread(target=results.close, daemon=True)  # type: ignore[attr-defined]
    closing.start()
    closing.join(WAIT / 2)
    closed_at_once = not closing.is_alive()
    release.set()
    assert closed_at_once


def test_memory_is_shared_and_work_above_all_of_it_is_done_alone() -> None:
    budget, held, most, lock = Budget(lambda: 100, free=5), [0], [0], threading.Lock()

    def work(amount: int) -> int:
        with budget.granted(amount):
            with lock:
                held[0] += amount
                most[0] = max(most[0], held[0])
                alone = held[0] == amount
            time.sleep(0.001)
            with lock:
                held[0] -= amount
        assert amount <= 100 or alone
        return amount

    amounts = [40, 70, 250, 30, 60, 10] * 20
    assert list(bounded_map(work, amounts, workers=8, ahead=16)) == amounts
    assert most[0] == 250


def test_an_error_gives_memory_back() -> None:
    budget = Budget(lambda: 100, free=5)
    for _ in range(3):
        with pytest.raises(KeyError), budget.granted(90):
            raise KeyError
    with budget.granted(90):
        pass


def test_small_work_waits_for_nobody() -> None:
    budget = Budget(lambda: 100, free=5)

    def work() -> None:
        with budget.granted(5):
            pass

    thread = threading.Thread(target=work, daemon=True)
    with budget.granted(500):
        thread.start()
        thread.join(WAIT)
        assert not thread.is_alive()


def test_work_within_work_does_not_wait_for_itself() -> None:
    budget = Budget(lambda: 100, free=5)
    for _ in range(2):
        with budget.granted(90), budget.granted(90), budget.granted(500):
            pass
