"""What each kind of component promises, as protocols with a ``Contract:`` list.

Built-ins and plugins meet the same contracts. Nothing here imports torch at run time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from qctkit.cohort import Cohort
from qctkit.subject import Sex
from qctkit.view import View
from qctkit.volume import Volume

if TYPE_CHECKING:
    from torch import Tensor, nn


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


class Role(StrEnum):
    """What a predictor may be used for.

    A reader only ever reads finished candidates: it is the judge outside the loop, so a recipe
    that puts one into the loop is refused.
    """

    LOOP = "loop"
    READER = "reader"


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Views of a cohort's subjects with their attributes.

    Attributes:
        images: ``(N, 2, D, H, W)`` float32: HU, and the femur's share of each voxel.
        values: attributes ``(N,)`` float32 by name, NaN where missing; sex is 0 (F) or 1 (M).
        view: the grid on which the images were sampled.
    """

    images: "Tensor"
    values: Mapping[str, "Tensor"]
    view: View

    def take(self, chosen: Sequence[int]) -> "TrainingData":
        """Return the data of some subjects."""
        rows = list(chosen)
        values = {name: column[rows] for name, column in self.values.items()}
        return TrainingData(self.images[rows], values, self.view)


class PredictorFamily(Protocol):
    """A kind of predictor that `qctkit train` can fit.

    Contract:
        - a module maps images ``(N, 2, D, H, W)`` (HU, femur share) to estimates ``(N, A)`` in
          the order of the attributes it was built for: years and kg for continuous attributes, a
          logit for binary ones;
        - it is deterministic in eval mode, batch equals single, and its gradient reaches the HU;
        - ``build`` with the settings that ``fit`` recorded gives the module its weights fit;
        - ``fit`` is decided by its arguments and seed alone.
    """

    name: str
    role: Role
    attributes: tuple[str, ...]

    def build(self, attributes: Sequence[str], view: View) -> "nn.Module":
        """Return an untrained module for these attributes."""
        ...

    def fit(
        self,
        data: TrainingData,
        attributes: Sequence[str],
        seed: int,
        tick: Callable[[], None],
    ) -> "nn.Module":
        """Return a module trained on the data, in eval mode; ``tick`` is called as it goes."""
        ...

    def ticks(self) -> int:
        """Return how often ``fit`` will call ``tick``."""
        ...
