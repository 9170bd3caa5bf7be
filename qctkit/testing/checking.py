"""The contracts of every component of a plugin, run one after another."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from qctkit.testing.contract import Finding, run_contract
from qctkit.testing.contracts import CONTRACTS

MARKS = {True: "ok      ", False: "BROKEN  ", None: "skipped "}


@dataclass(frozen=True)
class Checked:
    """One promise of one component, and what came of it."""

    kind: str
    component: str
    finding: Finding

    def record(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "kind": self.kind,
            "component": self.component,
            "promise": self.finding.promise,
            "passed": self.finding.passed,
            "found": self.finding.words,
        }

    def words(self) -> str:
        """Return two lines at most: the promise, and what was found."""
        found = f"\n          {self.finding.words}" if self.finding.words else ""
        promise = self.finding.promise
        return f"{MARKS[self.finding.passed]}  {self.component}: {promise}{found}"


def check_components(components: Mapping[str, Mapping[str, Any]]) -> Iterator[Checked]:
    """Yield every promise of every component; commands and attributes have no contract."""
    for kind, named in components.items():
        for name, component in named.items():
            if kind in CONTRACTS:
                for finding in run_contract(CONTRACTS[kind], component):
                    yield Checked(kind, name, finding)
