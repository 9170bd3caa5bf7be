"""What each kind of component promises, as protocols with a ``Contract:`` list.

Built-ins and plugins meet the same contracts. Nothing heavy is imported here at run time, so that a
plugin can be discovered in a millisecond.
"""

from __future__ import annotations  # so that the types below need not be imported to run

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from qctkit.cohort import Cohort, Record, Sample
    from qctkit.density import DensityReference
    from qctkit.frame import FemurFrame
    from qctkit.subject import Sex, Subject
    from qctkit.view import View
    from qctkit.volume import Mask, Volume


@dataclass(frozen=True, eq=False)
class Scan:
    """One CT acquisition as a reader found it.

    Only sex, age, weight, tube voltage and geometry are taken from a header. A value that is
    absent or impossible (age ``000Y``, weight 0, sex ``O``) is None.

    Attributes:
        volume: voxels in HU with their geometry.
        sex, age_years, weight_kg: what the header says.
        tube_voltage_kvp: peak voltage of the X-ray tube, kV, which some calibrations depend on.
        description: format and size in a few words; never a header's text.
        notes: what the user should know of how it was read, a sentence each.
    """

    volume: Volume
    sex: Sex | None = None
    age_years: float | None = None
    weight_kg: float | None = None
    tube_voltage_kvp: float | None = None
    description: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class FoundScan:
    """A scan that a reader found, its voxels not read yet.

    Attributes:
        description: format and size in a few words, which tell the scans of one folder apart;
            never a header's text.
        load: reads the voxels and gives the scan; from a file that qctkit wrote, the sample whole.
            It can be pickled, since scans are read in several processes.
        patient: what the files say to tell patients apart, empty where they do not. It groups
            scans, or is hashed with the user's key, and is never shown or stored.
        notes: what the user should know of how it was found, such as what was skipped.
        subject_id: whose it is, in a file that qctkit wrote; such a scan is a sample already.
        label: which of several scans at one path, such as "series 2 of 4"; empty for the only one.
        place: where the user finds it, for messages; not the reader's to say.
    """

    description: str
    load: Callable[[], Scan | Sample] = field(repr=False)
    patient: str = field(default="", repr=False)
    notes: tuple[str, ...] = ()
    subject_id: str = ""
    label: str = ""
    place: str = ""


class Reader(Protocol):
    """Bytes on disk to volumes.

    Contract:
        - ``claims`` looks at the name, and at the first bytes where it must; it never raises;
        - ``find`` gives the scans at a path it claims, always in the same order, without reading
          voxels; it raises ``ScanError`` where there is none;
        - ``FoundScan.load`` gives the scan, or raises ``ScanError`` naming the slices and the way
          out; it never guesses a geometry;
        - messages do not name the path, since whoever asked adds it; no name, date, identifier
          or free text of a header, and no name of a file below the path, appears in a result, a
          log line or a message.
    """

    @property
    def name(self) -> str:
        """Unique name among its kind."""
        ...

    def claims(self, path: Path) -> bool:
        """Whether this reader can read what lies at the path."""
        ...

    def find(self, path: Path) -> Sequence[FoundScan]:
        """Return the scans at the path, their voxels not read yet."""
        ...


class Exporter(Protocol):
    """A cohort to files of another format.

    Contract:
        - geometry, unit and voxel values are kept exactly;
        - existing files are not touched unless ``overwrite``.
    """

    @property
    def name(self) -> str:
        """Unique name among its kind."""
        ...

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

    images: Tensor
    values: Mapping[str, Tensor]
    view: View

    def take(self, chosen: Sequence[int]) -> TrainingData:
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
        - it is deterministic in eval mode, batch equals single, and, unless it is a reader, its
          gradient reaches the HU;
        - ``build`` with the settings that ``fit`` recorded gives the module its weights fit;
        - ``fit`` is decided by its arguments and seed alone, and a family can be pickled, since
          fits run in several processes;
        - its ``repr`` names its configuration and nothing else, since cached predictors are found
          by it;
        - with ``on_request = True`` beside these members it is trained only where it is named.
    """

    @property
    def name(self) -> str:
        """Unique name among its kind."""
        ...

    @property
    def role(self) -> Role:
        """Whether it may drive the loop."""
        ...

    @property
    def attributes(self) -> tuple[str, ...]:
        """Attributes it can learn, in column order."""
        ...

    @property
    def view(self) -> View:
        """Grid on which it sees a subject; the window is the cohort's."""
        ...

    def build(self, attributes: Sequence[str], view: View) -> nn.Module:
        """Return an untrained module for these attributes."""
        ...

    def fit(
        self,
        data: TrainingData,
        attributes: Sequence[str],
        seed: int,
    ) -> nn.Module:
        """Return a module trained on the data, in eval mode."""
        ...


@dataclass(frozen=True, eq=False)
class Scene:
    """A batch of femurs on a grid, for edits: the predictors' view or the scan's own voxels.

    Attributes:
        hu: ``(N, D, H, W)`` float32.
        femur: ``(N, D, H, W)`` float32, the femur's share of each voxel.
        positions: ``(N or 1, D, H, W, 3)`` float32, frame positions (superior, anterior, medial)
            divided by the view's half extent, so that the view spans [-1, 1].
    """

    hu: Tensor
    femur: Tensor
    positions: Tensor

    def take(self, rows: Tensor) -> Scene:
        """Return some of the batch."""
        shared = len(self.positions) == 1
        return Scene(
            self.hu[rows], self.femur[rows], self.positions if shared else self.positions[rows]
        )


class Edit(Protocol):
    """A differentiable, parameterised change of a volume.

    Contract:
        - parameters at zero are the identity, exactly;
        - parameters are in the physical units that ``units`` names and know no voxel grid: the
          same ones change a coarse view and the full-resolution scan alike;
        - ``change_hu`` adds nothing outside ``region``, grown by the scanner's blur;
        - ``step_sizes`` are Adam's first step for each parameter, in its unit;
        - ``blur_mm`` is the sigma of the scanner's blur that a rendered change passes through, 0
          for none.
    """

    @property
    def name(self) -> str:
        """Unique name among its kind."""
        ...

    @property
    def account(self) -> str:
        """What the edit may change, in plain words."""
        ...

    @property
    def blur_mm(self) -> float:
        """Sigma of the scanner's blur that a rendered change passes through, mm."""
        ...

    @property
    def units(self) -> Mapping[str, str]:
        """Unit of each parameter."""
        ...

    @property
    def step_sizes(self) -> Mapping[str, float]:
        """First step of each parameter, in its unit."""
        ...

    def start(self, batch: int, view: View) -> dict[str, Tensor]:
        """Return parameters at zero, each ``(N, ...)``."""
        ...

    def change_hu(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return what is added to the HU, ``(N, D, H, W)``."""
        ...

    def region(self, sample: Sample, frame: FemurFrame, view: View) -> Mask:
        """Return the voxels ``(D, H, W)`` of a scan that the edit may change."""
        ...

    def within_limits(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return ``(N,)`` bool: whether the parameters obey the edit's own constraint."""
        ...


@dataclass(frozen=True, eq=False)
class Change:
    """The state of an edit that preservation terms judge."""

    edit: Edit
    scene: Scene
    change_hu: Tensor
    parameters: Mapping[str, Tensor]


class LossTerm(Protocol):
    """A preservation term: what a change costs.

    Contract:
        - gives ``(N,)`` values of at least 0, unit-free, 0 at the identity;
        - each value depends on its own sample alone;
        - its gradient is finite everywhere, the identity included.
    """

    @property
    def name(self) -> str:
        """Unique name among its kind."""
        ...

    def __call__(self, change: Change) -> Tensor:
        """Return the cost of each sample's change, ``(N,)``."""
        ...


@dataclass(frozen=True)
class Verdict:
    """A validator's answer about a candidate.

    Attributes:
        validator: its name.
        passed: pass or fail.
        figures: what the verdict rests on, by name with unit.
        words: the same in a sentence that a user understands.
    """

    validator: str
    passed: bool
    figures: Mapping[str, float]
    words: str

    def record(self) -> Record:
        """Return the verdict as JSON values."""
        return {
            "validator": self.validator,
            "passed": self.passed,
            "figures": dict(self.figures),
            "words": self.words,
        }


@dataclass(frozen=True)
class Reading:
    """What one predictor reads off a source and its candidate, beside what it should read.

    Attributes:
        predictor, role, attribute: whose reading of what.
        before, after: readings (years, kg, or a logit for sex).
        expected: what this predictor reads, on average, off a real subject changed in this way.
        typical_error: spread of its readings of unseen real subjects about its own line.
        can_read: whether it reads the attribute off unseen subjects at all; otherwise the reading
            is on record and has no say.
    """

    predictor: str
    role: Role
    attribute: str
    before: float
    after: float
    expected: float
    typical_error: float
    can_read: bool


@dataclass(frozen=True, eq=False)
class Candidate:
    """A changed volume with what is asked of it, for validators to judge.

    Attributes:
        source: the real sample it was made from.
        volume: the changed volume, same geometry and unit.
        region: voxels that the recipe may change.
        label: the subject that the candidate claims to be.
        carried: attributes whose target it must reach.
        readings: of every predictor, in the loop and outside it.
    """

    source: Sample
    volume: Volume
    region: Mask
    label: Subject
    carried: tuple[str, ...]
    readings: tuple[Reading, ...]


class Validator(Protocol):
    """A candidate to a verdict.

    Contract:
        - looks only at the candidate and at the reference, and changes neither;
        - gives the same verdict every time;
        - its words say what was found, not only whether it passed.
    """

    @property
    def name(self) -> str:
        """Unique name among its kind."""
        ...

    def judge(self, candidate: Candidate, reference: DensityReference) -> Verdict:
        """Return the verdict on a candidate, given the densities of the real cohort."""
        ...


@dataclass(frozen=True)
class Recipe:
    """Predictors, edit, loss terms, validators and defaults under one name.

    Attributes:
        name: what ``--plugin`` selects.
        account: one sentence: what it changes and what it leaves alone.
        predictors: names of the predictors that drive the loop; none may be a reader.
        edit: name of the edit.
        preservation: weight of each loss term, by name.
        validators: names; a candidate is accepted when all pass.
        may_carry: attributes that the edit could carry, if the cohort shows that it does.
        carried_by: the predictor whose skill on unseen subjects decides what is carried.
        least_r2: lower 5 % bound of that skill for an attribute to be carried.
        drives_all: drive every attribute although none is carried (the study's algorithm).
        steps, patience: at most so many steps; stalled after so many without improvement.
    """

    name: str
    account: str
    predictors: tuple[str, ...]
    edit: str
    preservation: Mapping[str, float]
    validators: tuple[str, ...]
    may_carry: tuple[str, ...]
    carried_by: str
    least_r2: float = 0.1
    drives_all: bool = False
    steps: int = 150
    patience: int = 25
