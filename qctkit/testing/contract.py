"""What all contract tests share: a component, checks that say what they found, and a runner."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from unittest import SkipTest

from qctkit.discovery import in_words


class Contract:
    """Checks of one component.

    A plugin's tests inherit the class of its kind and set ``component``; pytest then runs every
    ``test_*`` method. The first line of each method's docstring is what is promised.
    """

    component: Any

    @cached_property
    def figures(self) -> list[str]:
        """What the check that runs has found beyond pass and fail."""
        return []

    def found(self, words: str) -> None:
        """Keep a figure for `qctkit plugins check` to show."""
        self.figures.append(words)


@dataclass(frozen=True)
class Finding:
    """How one check ended.

    Attributes:
        promise: what the contract says.
        passed: None where it could not be checked.
        words: the figures found, or what is wrong.
    """

    promise: str
    passed: bool | None
    words: str


def expect(holds: bool, otherwise: str) -> None:
    """Raise an AssertionError that says what is wrong; ``python -O`` does not silence it."""
    if not holds:
        raise AssertionError(otherwise)


def run_contract(contract: type[Contract], component: Any) -> Iterator[Finding]:
    """Run every check of a contract on a component, whatever the others find."""
    bound: type[Contract] = type(contract.__name__, (contract,), {"component": component})
    for name in _checks(contract):
        yield _run(bound(), name)


def _checks(contract: type[Contract]) -> list[str]:
    classes = reversed(contract.__mro__)
    return list(dict.fromkeys(one for c in classes for one in vars(c) if one.startswith("test_")))


def _run(contract: Contract, name: str) -> Finding:
    check = getattr(contract, name)
    promise = (check.__doc__ or name).splitlines()[0].rstrip(".")
    try:
        check()
    except SkipTest as why:
        return Finding(promise, None, str(why))
    except AssertionError as error:
        return Finding(promise, False, str(error) or "an assertion failed")
    # A component may raise anything; the other checks go on.
    except Exception as error:
        return Finding(promise, False, in_words(error))
    return Finding(promise, True, "; ".join(contract.figures))
