"""Keeping a library's own warnings and log lines to itself.

They can quote a header's values, which must never be shown.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Silence all warnings and the named loggers for a while."""
    silenced = [logging.getLogger(name) for name in loggers]
    before = [logger.disabled for logger in silenced]
    for logger in silenced:
        logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, was_disabled in zip(silenced, before, strict=True):
            logger.disabled = was_disabled
