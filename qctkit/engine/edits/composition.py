"""Several edits as one, applied in order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from qctkit.cohort import Sample
from qctkit.contracts import Edit, Scene
from qctkit.engine.atlas import Start
from qctkit.frame import FemurFrame
from qctkit.view import View
from qctkit.volume import Mask

_Value = TypeVar("_Value")


def compose(edits: Sequence[Edit]) -> Edit:
    """Return edits as one that applies them in order; one alone is itself."""
    return edits[0] if len(edits) == 1 else Composition(tuple(edits))


@runtime_checkable
class StartedByAtlas(Protocol):
    """An edit whose parameters an atlas can say."""

    def from_atlas(self, start: Start) -> dict[str, Tensor]:
        """Return the parameters that the atlas says."""
        ...


def from_atlas(edit: Edit, start: Start) -> dict[str, Tensor]:
    """Return the parameters of those edits that an atlas can start."""
    if isinstance(edit, Composition):
        return {
            f"{one.name}.{name}": values
            for one in edit.edits
            for name, values in from_atlas(one, start).items()
        }
    return edit.from_atlas(start) if isinstance(edit, StartedByAtlas) else {}


@runtime_checkable
class MovesInPart(Protocol):
    """An edit that moves tissue, and beside that changes how dense it is."""

    def moving_part(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the parameters with all at zero that moves nothing."""
        ...


def moving_part(edit: Edit, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the parameters with those of edits that move nothing at zero."""
    if isinstance(edit, Composition):
        return {
            f"{one.name}.{name}": values
            for one in edit.edits
            for name, values in moving_part(one, _own(one, parameters)).items()
        }
    if isinstance(edit, MovesInPart):
        return edit.moving_part(parameters)
    if not edit.reach_mm:
        return {name: torch.zeros_like(values) for name, values in parameters.items()}
    return dict(parameters)


def furthest_mm(edit: Edit, scene: Scene, parameters: Mapping[str, Tensor]) -> float:
    """Return how far an edit with these parameters moves anything at most, mm.

    It is the ``largest_displacement_mm`` among its figures, or its reach where it gives none.
    """
    if isinstance(edit, Composition):
        return edit.furthest_mm(scene, parameters)
    if not edit.reach_mm:
        return 0.0
    found = [one.get("largest_displacement_mm", np.inf) for one in edit.figures(scene, parameters)]
    return min(max(found), edit.reach_mm)


@dataclass(frozen=True)
class Composition:
    """Edits applied in order, each to what the one before it left.

    Parameters are named ``edit.parameter``, such as ``morph.velocity_mm``.
    """

    edits: tuple[Edit, ...]

    @property
    def name(self) -> str:
        """Return the names of the edits in their order."""
        return "+".join(edit.name for edit in self.edits)

    @property
    def account(self) -> str:
        """Return what each edit may change, in plain words."""
        return "; then ".join(edit.account for edit in self.edits)

    @property
    def reach_mm(self) -> float:
        """Furthest that all edits together may move anything, mm."""
        return sum(edit.reach_mm for edit in self.edits)

    @property
    def units(self) -> Mapping[str, str]:
        """Unit of each parameter."""
        return self._merged(lambda edit: edit.units)

    @property
    def step_sizes(self) -> Mapping[str, float]:
        """First step of each parameter, in its unit."""
        return self._merged(lambda edit: edit.step_sizes)

    @property
    def spreads(self) -> Mapping[str, float]:
        """Spread of each parameter among people, in its unit."""
        return self._merged(lambda edit: edit.spreads)

    def start(self, batch: int, view: View) -> dict[str, Tensor]:
        """Return the parameters of all edits at zero."""
        return self._merged(lambda edit: edit.start(batch, view))

    def apply(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Scene:
        """Return the scene after all edits; one at zero is the identity, and left out."""
        for edit in self.edits:
            own = _own(edit, parameters)
            if any(values.requires_grad or values.any() for values in own.values()):
                scene = edit.apply(scene, own)
        return scene

    def region(self, sample: Sample, frame: FemurFrame, view: View) -> Mask:
        """Return the voxels that any of the edits may change."""
        regions = (edit.region(sample, frame, view) for edit in self.edits)
        return reduce(np.logical_or, regions)

    def within_limits(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Tensor:
        """Whether the parameters obey every edit's constraint."""
        steps = self._steps(scene, parameters)
        allowed = [edit.within_limits(shown, own) for edit, shown, own in steps]
        return torch.stack(allowed).all(dim=0)

    def furthest_mm(self, scene: Scene, parameters: Mapping[str, Tensor]) -> float:
        """Return how far all edits together move anything at most, mm."""
        steps = self._steps(scene, parameters)
        return sum(furthest_mm(edit, shown, own) for edit, shown, own in steps)

    def figures(self, scene: Scene, parameters: Mapping[str, Tensor]) -> list[Mapping[str, float]]:
        """Return the figures of all edits, for each sample."""
        steps = self._steps(scene, parameters)
        columns = [(edit.name, edit.figures(shown, own)) for edit, shown, own in steps]
        return [
            {f"{edit}.{name}": value for edit, rows in columns for name, value in rows[n].items()}
            for n in range(len(scene.hu))
        ]

    def _steps(
        self, scene: Scene, parameters: Mapping[str, Tensor]
    ) -> Iterator[tuple[Edit, Scene, dict[str, Tensor]]]:
        """Yield each edit with the scene that it is applied to and its own parameters."""
        for number, edit in enumerate(self.edits):
            own = _own(edit, parameters)
            yield edit, scene, own
            if number + 1 < len(self.edits):
                scene = edit.apply(scene, own)

    def _merged(self, values: Callable[[Edit], Mapping[str, _Value]]) -> dict[str, _Value]:
        return {
            f"{edit.name}.{name}": value
            for edit in self.edits
            for name, value in values(edit).items()
        }


def _own(edit: Edit, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the parameters of one edit by the names that it knows."""
    prefix = f"{edit.name}."
    return {
        name.removeprefix(prefix): values
        for name, values in parameters.items()
        if name.startswith(prefix)
    }
