"""What each kind of component promises, as protocols with a ``Contract:`` list.

Built-ins and plugins meet the same contracts. Nothing here imports torch at run time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from qctkit.cohort import Cohort
from qctkit.subject import Sex
from qctkit.volume import Volume


@dataclass(frozen=True, eq=False)
class Scan:
    """One CT acquisition as a reader found it.

    Only sex, age, weight and geometry are taken from a header. A value that is absent or
    impossible (age ``000Y``, weight 0, sex ``O``) is None.

    Attributes:
        volume: voxels in HU with their geometry.
        sex, age_years, weight_kg: what the header says.
        description: format and size in a few words; never a header's text.
    """

    volume: Volume
    sex: Sex | None = None
    age_years: float | None = None
    weight_kg: float | None = None
    description: str = ""


class Reader(Protocol):
    """Bytes on disk to volumes.

    Contract:
        - ``claims`` looks at the name, and at the first bytes where it must; it never raises;
        - ``read`` gives the scans found at a path it claims, or raises ``ScanError`` naming the
          file or slices and the way out; it never guesses a geometry;
        - no name, date, identifier or free text of a header appears in a result or a message.
    """

    name: str

    def claims(self, path: Path) -> bool:
        """Whether this reader can read what lies at the path."""
        ...

    def read(self, path: Path) -> Sequence[Scan]:
        """Return the scans at the path."""
        ...


class Exporter(Protocol):
    """A cohort to files of another format.

    Contract:
        - geometry, unit and voxel values are kept exactly;
        - existing files are not touched unless ``overwrite``.
    """

    name: str

    def export(self, cohort: Cohort, folder: Path, *, overwrite: bool) -> Sequence[Path]:
        """Write the cohort below the folder and return the files written."""
        ...
