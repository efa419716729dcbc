"""Trying many defects beside each other, with the controls that tell what the catches are worth."""

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from queue import Empty, Queue
from threading import Event, Thread
from typing import TypeVar

from beefirst.evaluation.sabotage.catalogue import Defect
from beefirst.evaluation.sabotage.judge import control_checks, control_tests, try_defect
from beefirst.evaluation.sabotage.outcomes import Control, Outcome
from beefirst.evaluation.sabotage.trial import Watch
from beefirst.laboratory.scratch_database import server_url

LOOK_SECONDS = 0.2
"""How often who waits for results can be interrupted."""

Done = TypeVar("Done")
Job = Callable[[Watch], Done]


class StoppedError(Exception):
    """Somebody has interrupted the whole."""


def try_defects(
    defects: Sequence[Defect],
    progress: Callable[[Outcome | Control], object] = lambda _: None,
    workers: int = 0,
    *,
    side_by_side: bool = False,
) -> tuple[list[Outcome], list[Control]]:
    """Try defects beside each other, the controls first, and return what became of each, in their order.

    Interrupted, it leaves nothing behind.

    Args:
        defects: each in a copy of its own.
        progress: is called in this thread with each result as it comes.
        workers: how many are tried at once; one for each core where left out.
        side_by_side: whether each is also put to what the others' notebook checks claim, as far as they share one.
    """
    beside: dict[str, list[str]] = {}
    for defect in defects if side_by_side else ():
        beside.setdefault(defect.caught_by, []).append(defect.breaks)
    server_url()  # before the workers would each start one
    jobs: list[Job[Outcome | Control]] = [
        *controls_of(defects),
        *(partial(try_defect, defect, beside=beside.get(defect.caught_by, ())) for defect in defects),
    ]
    results = run_beside_each_other(jobs, progress, workers)
    return (
        [result for result in results if isinstance(result, Outcome)],
        [result for result in results if isinstance(result, Control)],
    )


def controls_of(defects: Sequence[Defect]) -> list[Job[Control]]:
    """Return what makes the same checks as the defects' on copies that nobody has harmed: a run a notebook or file."""
    asked: dict[tuple[str, bool], list[str]] = {}
    for defect in defects:
        by_test = defect.is_caught_by_a_test
        place = (defect.caught_by.partition("::")[0], by_test)
        asked.setdefault(place, []).append(defect.caught_by if by_test else defect.breaks)
    return [
        partial(control_tests if by_test else control_checks, place, list(dict.fromkeys(keys)))
        for (place, by_test), keys in asked.items()
    ]


def run_beside_each_other(
    jobs: Sequence[Job[Done]], progress: Callable[[Done], object] = lambda _: None, workers: int = 0
) -> list[Done]:
    """Return what each job returns, in their order; some run at once, each on a thread.

    Args:
        jobs: each takes what it must call again and again, which raises once all is to end.
        progress: is called in this thread with each result as it comes.
        workers: how many at once; one for each core where left out.
    """
    stop, done = Event(), Queue[tuple[int, Done | BaseException]]()
    waiting = iter(enumerate(jobs))
    threads = [
        Thread(target=_work, args=(waiting, stop, done)) for _ in range(min(workers or os.cpu_count() or 2, len(jobs)))
    ]
    results: dict[int, Done] = {}
    try:
        for thread in threads:
            thread.start()
        while len(results) < len(jobs):
            try:
                place, result = done.get(timeout=LOOK_SECONDS)
            except Empty:
                continue
            if isinstance(result, BaseException):
                raise result
            results[place] = result
            progress(result)
    finally:  # an interrupt, too
        stop.set()
        for thread in threads:
            if thread.ident:
                thread.join()
    return [results[place] for place in range(len(jobs))]


def _work(
    waiting: Iterable[tuple[int, Job[Done]]], stop: Event, done: "Queue[tuple[int, Done | BaseException]]"
) -> None:
    def watch() -> None:
        if stop.is_set():
            raise StoppedError

    for place, job in waiting:
        if stop.is_set():
            return
        try:
            done.put((place, job(watch)))
        except StoppedError:
            return
        except BaseException as error:
            done.put((place, error))
