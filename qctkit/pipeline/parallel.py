"""The same work on many items, in several processes."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_WORKERS = 4
"""Each process holds a scan in memory; more processes than this are a choice to be made."""


def usual_workers() -> int:
    """Return the number of processes where the user gave none."""
    return min(os.cpu_count() or 1, MOST_WORKERS)


def in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[Item, Result]]:
    """Give each item with its result, as they are finished.

    With one worker everything stays in this process. Both the function and the items must be
    picklable. An interruption ends the workers before it goes on.
    """
    if workers <= 1 or len(items) <= 1:
        for item in items:
            yield item, function(item)
        return
    # Spawned, not forked: a fork copies threads' locks in whatever state they are.
    with ProcessPoolExecutor(min(workers, len(items)), get_context("spawn"), _leave_to_us) as pool:
        try:
            futures = {pool.submit(function, item): item for item in items}
            for future in as_completed(futures):
                yield futures.pop(future), future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _leave_to_us() -> None:
    """Let only the parent hear an interruption from the keyboard."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
