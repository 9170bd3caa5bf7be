"""What each kind of component promises, as protocols with a ``Contract:`` list.

Built-ins and plugins meet the same contracts. Nothing heavy is imported here at run time, so that a
plugin can be discovered in a millisecond.
"""

from __future__ import annotations  # so that the types below need not be imported to run

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from qctkit.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from qctkit.cohort import Cohort, FemurMask, Record, Sample
    from qctkit.density import DensityReference
    from qctkit.frame import FemurFrame
    from qctkit.subject import Sex, Subject
    from qctkit.view import View
    from qctkit.volume import Mask, Volume

Displacement: TypeAlias = "Callable[[Tensor], Tensor]"
"""Displacements in mm at frame positions in mm, both with (superior, anterior, medial) last."""


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


class Images(Protocol):
    """Views of subjects, ``(N, 2, D, H, W)`` (HU, femur share); a tensor is one.

    Contract:
        - indices choose as those of a tensor do, and give a float32 tensor;
        - what is not chosen need not be in memory, so that large views are read in batches.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Views of a cohort's subjects with their attributes.

    Attributes:
        images: ``(N, 2, D, H, W)``: HU, and the femur's share of each voxel.
        values: attributes ``(N,)`` float32 by name, NaN where missing; sex is 0 (F) or 1 (M).
        view: the grid on which the images were sampled.
        subjects: whose image each is, ``N`` pseudonyms; two hips of one person have one. Without
            them each image is taken for another person's.

    Raises:
        ValueError: there are not as many subjects as images.
    """

    images: Images
    values: Mapping[str, Tensor]
    view: View
    subjects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.subjects:
            object.__setattr__(self, "subjects", tuple(map(str, range(len(self.images)))))
        if len(self.subjects) != len(self.images):
            raise ValueError(f"{len(self.images)} images of {len(self.subjects)} subjects")

    def take(self, chosen: Sequence[int]) -> TrainingData:
        """Return the data of some images."""
        import numpy as np

        rows = np.array(chosen, dtype=np.int64)
        values = {name: column[rows] for name, column in self.values.items()}
        subjects = tuple(self.subjects[row] for row in chosen)
        return TrainingData(_ChosenImages(self.images, rows), values, self.view, subjects)

    def singly(self) -> Iterator[Tensor]:
        """Yield the images one by one, ``(1, 2, D, H, W)``: all at once may fill memory."""
        for row in range(len(self.images)):
            yield self.images[row : row + 1]


@dataclass(frozen=True, eq=False)
class _ChosenImages:
    """Some subjects of others' images."""

    images: Images
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> Tensor:
        import numpy as np

        subjects, *parts = key if isinstance(key, tuple) else (key,)
        # A tensor of one number would choose as that number does, without its axis.
        rows = self.rows[subjects if isinstance(subjects, slice) else np.asarray(subjects)]
        return self.images[(rows, *parts)]


@dataclass(frozen=True, eq=False)
class FitState:
    """Where a fit stands.

    Attributes:
        tensors: weights, optimiser, random state: whatever it needs, by name.
        record: the rest, as JSON values.
    """

    tensors: Mapping[str, Tensor]
    record: Record


class Checkpoint(Protocol):
    """Where a long fit keeps how far it is, so that it goes on after a kill.

    Contract:
        - ``load`` gives what the last ``save`` was given, to the bit, or None where this very fit
          (its data, configuration and seed) has saved nothing yet;
        - a kill at any instant leaves the last state whole.
    """

    @property
    def due(self) -> bool:
        """Whether the last state is old enough for another to be saved."""
        ...

    def load(self) -> FitState | None:
        """Return the last state, None at the start."""
        ...

    def save(self, state: FitState) -> None:
        """Keep a state in place of the last."""
        ...

    def part(self, name: str) -> Checkpoint:
        """Return the checkpoint of a part of the fit, such as one network of several."""
        ...


class PredictorFamily(Protocol):
    """A kind of predictor that `qctkit train` can fit.

    Contract:
        - a module maps images ``(N, 2, D, H, W)`` (HU, femur share) to estimates ``(N, A)`` in
          the order of the attributes it was built for: years and kg for continuous attributes, a
          logit for binary ones;
        - it is deterministic in eval mode, batch equals single, and, unless it is a reader, its
          gradient reaches the HU;
        - ``build`` with the settings that ``fit`` recorded gives the module its weights fit;
        - a module may offer ``measure(image)``, features ``(N, F)``, and ``read(features)``, whose
          chain it then is: its spread grows with the distance from whom it learned from;
        - ``fit`` is decided by its arguments and seed alone, and a family can be pickled, since
          fits run in several processes;
        - ``fit`` may take two more arguments by name, and is given those that it names: a
          ``checkpoint: Checkpoint | None``, from which it goes on to the same weights, bit for bit,
          and ``held_out: TrainingData | None``, for curves; it decides nothing;
        - what ``fit`` chooses by leaving out some of its data, it chooses by leaving out people:
          all images of one of ``data.subjects`` together;
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


class Grid(Protocol):
    """What a scene's voxels are: the predictors' view, or a scan's own.

    Contract:
        - ``displaced`` gives at each position x what lay at x + ``displacement_mm(x)``, frame
          positions ``(N or 1, D, H, W, 3)`` to mm of the same shape with the batch; where that is
          zero, values stay exactly as they are; beyond the grid its border value holds;
        - a view interpolates trilinearly, with gradient to the displacement, where that is looked
          for; given displacements, and a scan's own voxels, follow cubic splines;
        - ``blur`` gives a change of true HU ``(N, D, H, W)`` as a scanner with that blur shows it;
          the view is too coarse to show the blur and gives the change as it is.
    """

    def displaced(self, scene: Scene, displacement_mm: Displacement) -> Scene:
        """Return the scene with its HU, femur and depths taken from displaced positions."""
        ...

    def blur(self, change_hu: Tensor, sigma_mm: float) -> Tensor:
        """Return a change of true HU as the scanner shows it."""
        ...


@dataclass(frozen=True, eq=False)
class Scene:
    """A batch of femurs on a grid, for edits: the predictors' view or the scan's own voxels.

    Attributes:
        hu: ``(N, D, H, W)`` float32.
        femur: ``(N, D, H, W)`` float32, the femur's share of each voxel.
        depth_mm: ``(N, D, H, W)`` float32, depth below the femur's surface, negative outside; in
            a scan's own voxels the femur is where it is positive.
        positions_mm: ``(N or 1, D, H, W, 3)`` float32, frame positions (superior, anterior,
            medial).
        view: the predictors' grid, whose box the knots of an edit's parameters span.
        view_depth_mm: ``(N, *view.shape)``, the depth on the view's grid: where the bone lies,
            for edits that must know more than this grid shows.
        grid: what the voxels are, and so what lies between them.
    """

    hu: Tensor
    femur: Tensor
    depth_mm: Tensor
    positions_mm: Tensor
    view: View
    view_depth_mm: Tensor
    grid: Grid

    def take(self, rows: Tensor) -> Scene:
        """Return some of the batch."""
        shared = len(self.positions_mm) == 1
        return replace(
            self,
            hu=self.hu[rows],
            femur=self.femur[rows],
            depth_mm=self.depth_mm[rows],
            positions_mm=self.positions_mm if shared else self.positions_mm[rows],
            view_depth_mm=self.view_depth_mm[rows],
        )

    def displaced(self, displacement_mm: Displacement) -> Scene:
        """Return the scene that shows at each position x what lay at x + ``displacement_mm(x)``."""
        return self.grid.displaced(self, displacement_mm)


class Edit(Protocol):
    """A differentiable, parameterised change of a volume.

    Contract:
        - parameters at zero are the identity, exactly;
        - parameters are in the physical units that ``units`` names and know no voxel grid: the
          same ones change a coarse view and the full-resolution scan alike;
        - ``apply`` changes nothing outside ``region``, grown by the scanner's blur;
        - an edit that moves nothing gives back the scene's own ``femur`` and depths;
        - each sample's result depends on its own scene and parameters alone;
        - a figure ``largest_displacement_mm`` says how far things move with these parameters:
          that far around a slab of a scan is looked at, or ``reach_mm`` where there is none;
        - ``step_sizes`` are Adam's first step for each parameter, in its unit, and ``spreads``
          what each varies by among people of one age and sex;
        - with ``limits`` beside these members, a text that says with its figures how far the
          parameters may go, the run's record and the methods paragraph say so too.
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
    def reach_mm(self) -> float:
        """Furthest that anything may move, mm; 0 for an edit that leaves all in its place."""
        ...

    @property
    def units(self) -> Mapping[str, str]:
        """Unit of each parameter."""
        ...

    @property
    def step_sizes(self) -> Mapping[str, float]:
        """First step of each parameter, in its unit."""
        ...

    @property
    def spreads(self) -> Mapping[str, float]:
        """Standard deviation of each parameter among people, in its unit."""
        ...

    def start(self, batch: int, view: View) -> dict[str, Tensor]:
        """Return parameters at zero, each ``(N, ...)`` with knots along its last three axes."""
        ...

    def apply(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Scene:
        """Return the scene with what the edit changes: its HU, femur and depths."""
        ...

    def region(self, sample: Sample, frame: FemurFrame, view: View) -> Mask:
        """Return the voxels ``(D, H, W)`` of a scan that the edit may change."""
        ...

    def within_limits(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return ``(N,)`` bool: whether the parameters obey the edit's own constraint."""
        ...

    def figures(
        self, scene: Scene, parameters: Mapping[str, Tensor]
    ) -> Sequence[Mapping[str, float]]:
        """Return, for each sample, how far the edit goes, by name with unit."""
        ...


@dataclass(frozen=True, eq=False)
class Transformed:
    """What a transform makes of a scan, on the scan's own grid.

    Attributes:
        voxels: ``(D, H, W)``, in the unit of the scan.
        femur: bool ``(D, H, W)``: the femur where it now is.
        figures: how far it went, by name with unit; of a map that moves things also its
            ``least_determinant``.
    """

    voxels: NDArray[Any]
    femur: Mask
    figures: Mapping[str, float] = field(default_factory=dict)


class Transform(Protocol):
    """A random change of a scan that nothing drives, as plain augmentation makes it.

    Contract:
        - the same scan and seed give the same result, to the last bit;
        - neither the volume nor the femur that it is given is changed;
        - some femur is left in the scan.
    """

    @property
    def name(self) -> str:
        """Unique name among its kind."""
        ...

    @property
    def account(self) -> str:
        """What it changes, in plain words."""
        ...

    def apply(self, volume: Volume, femur: FemurMask, seed: int) -> Transformed:
        """Return the scan changed in a way that the seed draws."""
        ...


@dataclass(frozen=True, eq=False)
class Change:
    """The state of an edit that preservation terms judge: the scene before and after it."""

    edit: Edit
    before: Scene
    after: Scene
    parameters: Mapping[str, Tensor]


class LossTerm(Protocol):
    """A preservation term: what a change costs.

    Contract:
        - gives ``(N,)`` values of at least 0, unit-free, 0 at the identity;
        - each value depends on its own sample alone;
        - its gradient is finite everywhere, the identity included;
        - with ``default_weight`` beside these members, a bound's weight sets out from it.
    """

    @property
    def name(self) -> str:
        """Unique name among its kind."""
        ...

    def __call__(self, change: Change) -> Tensor:
        """Return the cost of each sample's change, ``(N,)``."""
        ...


@dataclass(frozen=True, eq=False)
class Gap:
    """What one predictor in the loop reads, beside what it should.

    Attributes:
        read, wanted: readings ``(N, C)``.
        typical_error: ``(C,)``, the error on unseen subjects.
        side: ``(N, C)``: of the logit of a class, 1 or -1 for the side of the class asked for; 0
            for an amount.
    """

    read: Tensor
    wanted: Tensor
    typical_error: Tensor
    side: Tensor

    @property
    def error(self) -> Tensor:
        """How far readings lie above what is wanted, ``(N, C)``, in typical errors."""
        return (self.read - self.wanted) / self.typical_error


class AttributeTerm(Protocol):
    """What it costs that predictors in the loop read something else than they should.

    Contract:
        - gives ``(N, C)`` values of at least 0, unit-free, 0 where a reading is as wanted;
        - near that, it is the squared error in typical errors: a cost of 0.15^2 counts as reached;
        - each value depends on its own reading alone, and its gradient is finite.
    """

    @property
    def name(self) -> str:
        """Unique name among its kind."""
        ...

    def __call__(self, gap: Gap) -> Tensor:
        """Return the cost of each reading, ``(N, C)``."""
        ...


@dataclass(frozen=True)
class AtMost:
    """A bound on what a preservation term may cost, in place of a weight.

    The loop finds the weight that keeps it, for each candidate by itself. A candidate that cannot
    keep it is refused.

    Raises:
        PluginError: the cost is not above 0.
    """

    cost: float

    def __post_init__(self) -> None:
        if not self.cost > 0.0:
            raise PluginError(
                f"a loss term is bounded by {self.cost:g}; a bound must be above 0, since every "
                "change costs something"
            )


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
        typical_error: spread of its readings of unseen real subjects about what their attributes
            say.
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
        femur: the femur in it: the source's mask, moved by the edit.
        region: voxels that the recipe may change.
        label: the subject that the candidate claims to be.
        carried: attributes whose target it must reach.
        readings: of every predictor, in the loop and outside it.
        figures: how far the edit went, by name with unit, as the edit gave them.
        moved_hu: HU ``(D, H, W)`` of the source, only moved as the edit moves it, its density
            unchanged; None for an edit that moves nothing.
    """

    source: Sample
    volume: Volume
    femur: FemurMask
    region: Mask
    label: Subject
    carried: tuple[str, ...]
    readings: tuple[Reading, ...]
    figures: Mapping[str, float] = field(default_factory=dict)
    moved_hu: NDArray[np.float32] | None = None


class Validator(Protocol):
    """A candidate to a verdict.

    Contract:
        - looks only at the candidate and at the reference, and changes neither;
        - gives the same verdict every time;
        - its words say what was found, not only whether it passed;
        - with ``limits`` beside these members, a text that says with its figures what passes, the
          run's record and the methods paragraph say so too.
    """

    @property
    def name(self) -> str:
        """Unique name among its kind."""
        ...

    def judge(self, candidate: Candidate, reference: DensityReference) -> Verdict:
        """Return the verdict on a candidate, given the densities of the real cohort."""
        ...


@dataclass(frozen=True)
class Pace:
    """How the loop's steps go on, as multiples of the edits' own step sizes.

    Attributes:
        first: of the first step.
        last: that steps fall to along half a cosine, by the last step that is allowed.
        memory: shares of Adam's mean and mean square that a step keeps; the shorter, the sooner it
            follows a slope that changes.
    """

    first: float = 1.0
    last: float = 1.0
    memory: tuple[float, float] = (0.9, 0.999)

    def share(self, step: int, steps: int) -> float:
        """Return the multiple at a step, of those counted from 0 to before ``steps``."""
        fallen = 0.5 - 0.5 * math.cos(math.pi * step / steps)
        return self.first + (self.last - self.first) * fallen

    def settled(self, steps: int) -> int:
        """Return after how many steps none is longer than the edits' own."""
        longer = [step for step in range(steps) if self.share(step, steps) > 1.0]
        return max(longer, default=-1) + 1


@dataclass(frozen=True)
class Recipe:
    """Predictors, edits, loss terms, validators and defaults under one name.

    Attributes:
        name: what ``--plugin`` selects.
        account: one sentence: what it changes and what it leaves alone.
        predictors: names of the predictors that drive the loop; none may be a reader.
        edits: names of the edits, in the order in which they are applied: density in the source's
            own anatomy first, then what moves it.
        preservation: weight of each loss term, or the bound that it must keep, by name.
        validators: names; a candidate is accepted when all pass.
        may_carry: attributes that the edits could carry, if the cohort shows that it does.
        carried_by: the predictor whose skill on unseen subjects decides what is carried.
        least_r2: lower 5 % bound of that skill for an attribute to be carried.
        drives_all: drive every attribute although none is carried (the study's algorithm).
        steps, patience: at most so many steps; stalled after so many without improvement.
        pace: how steps go on; by default all are the edits' own.
        from_atlas: start from what the cohort's atlas says of the change asked, not from nothing.
        held: parameters of the edits, ``edit.parameter``, that stay at their start.
        follows_measures: aim at what every measure of the drivers should become, where they read
            from measures, and not only at what they should read.
        attribute_term: name of the term that says what missing an aim costs.
        transform: name of a transform in place of edits: nothing is optimised, nothing is carried,
            and all labels stay the source's. What is above but name, account and validators is
            then left empty.
    """

    name: str
    account: str
    predictors: tuple[str, ...] = ()
    edits: tuple[str, ...] = ()
    preservation: Mapping[str, float | AtMost] = field(default_factory=dict)
    validators: tuple[str, ...] = ()
    may_carry: tuple[str, ...] = ()
    carried_by: str = ""
    least_r2: float = 0.1
    drives_all: bool = False
    steps: int = 150
    patience: int = 25
    pace: Pace = Pace()
    from_atlas: bool = False
    held: tuple[str, ...] = ()
    follows_measures: bool = False
    attribute_term: str = "squared-error"
    transform: str = ""

    @property
    def changed_by(self) -> tuple[str, ...]:
        """Names of what changes a scan: the edits, or the transform."""
        return (self.transform,) if self.transform else self.edits

    @property
    def is_driven(self) -> bool:
        """Whether anything of it asks for an optimisation, which a transform cannot have."""
        driven = (self.predictors, self.edits, self.preservation, self.may_carry, self.carried_by)
        return any(driven) or self.drives_all
