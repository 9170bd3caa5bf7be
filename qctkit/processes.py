"""The same work on many items, in several processes."""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
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
    with _pool(min(workers, len(items))) as pool:
        with _deaf_to_interrupts():
            futures = {pool.submit(function, item): item for item in items}
        for future in as_completed(futures):
            yield futures.pop(future), future.result()


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Generator[Result, None, None]:
    """Give the results in the items' order; close the iterator when no more are wanted.

    An item is drawn, and begun in a worker, shortly before its result is asked for; what is begun
    when no more is wanted is dropped. As for the rest it is like ``in_processes``.

    Raises:
        QctkitError: a worker was ended from outside.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    waiting = iter(items)
    with _pool(workers) as pool:
        begun: deque[Future[Result]] = deque()
        while True:
            with _deaf_to_interrupts():
                for item in islice(waiting, workers + 1 - len(begun)):
                    begun.append(pool.submit(function, item))
            if not begun:
                return
            yield begun.popleft().result()


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Workers that end at once when what they are at is not wanted any more."""
    context = get_context("spawn")  # a fork would copy threads' locks in whatever state they are
    ears, mouth = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, _begin, (ears, [*ATTRIBUTES.values()]))
    with ears, mouth, pool:
        try:
            yield pool
        except BrokenProcessPool:
            raise QctkitError(
                "a worker process was ended from outside, perhaps for lack of memory; go on with "
                "--resume and fewer processes (-j 1)"
            ) from None
        except BaseException:
            mouth.close()
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
