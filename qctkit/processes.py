"""The same work on many items, in several processes."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

from qctkit.errors import QctkitError
from qctkit.subject import ATTRIBUTES, Attribute, know

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

    With one worker everything stays in this process, in the items' order. Both the function and
    the items must be picklable. Workers end at once when this process is interrupted, ended or
    killed.

    Raises:
        QctkitError: a worker was ended from outside.
    """
    if workers <= 1 or len(items) <= 1:
        for item in items:
            yield item, function(item)
        return
    context = get_context("spawn")  # a fork would copy threads' locks in whatever state they are
    ears, mouth = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        min(workers, len(items)), context, _begin, (ears, [*ATTRIBUTES.values()])
    )
    with ears, mouth, pool:
        try:
            with _deaf_to_interrupts():
                futures = {pool.submit(function, item): item for item in items}
            for future in as_completed(futures):
                yield futures.pop(future), future.result()
        except BrokenProcessPool:
            raise QctkitError(
                "a worker process was ended from outside, perhaps for lack of memory; go on with "
                "--resume and fewer processes (-j 1)"
            ) from None
        except BaseException:
            mouth.close()  # what the workers are at is not wanted any more
            pool.shutdown(cancel_futures=True)
            raise


def _begin(ears: Connection, attributes: Sequence[Attribute]) -> None:
    """Know what the parent knows of attributes, and end with it."""
    know(attributes)
    _end_with_parent(ears)


def _end_with_parent(ears: Connection) -> None:
    """Leave this process as soon as the parent says so or is gone."""

    def listen() -> None:
        try:
            ears.recv()
        except EOFError:
            os._exit(1)

    threading.Thread(target=listen, daemon=True).start()


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let processes that are started here leave interruptions to their parent."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
