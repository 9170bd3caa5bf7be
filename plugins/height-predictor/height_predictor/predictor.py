"""Height and age off the size and the density of the femur, level by level."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from qctkit.plugin import Role, TrainingData, View
from torch import Tensor, nn

LEVELS = 4
RIDGE = 3.0


class Line(nn.Module):
    """``(N, 2, D, H, W)`` (HU, femur share) to ``(N, A)``: linear in standardised measures."""

    mean: Tensor
    scale: Tensor
    slopes: Tensor
    intercepts: Tensor

    def __init__(self, measure: Callable[[Tensor], Tensor], measures: int, outputs: int) -> None:
        super().__init__()
        self.measure = measure
        self.register_buffer("mean", torch.zeros(measures))
        self.register_buffer("scale", torch.ones(measures))
        self.register_buffer("slopes", torch.zeros(measures, outputs))
        self.register_buffer("intercepts", torch.zeros(outputs))

    def forward(self, image: Tensor) -> Tensor:
        """Return estimates in the attributes' own units."""
        standard = (self.measure(image) - self.mean) / self.scale
        return standard @ self.slopes + self.intercepts


def areas(image: Tensor) -> Tensor:
    """Return the root of the femur's area, points, and its mean HU, at each level, ``(N, 8)``."""
    hu, femur = (image[:, one].unflatten(1, (LEVELS, -1)) for one in (0, 1))
    area = femur.sum(dim=(3, 4)).mean(dim=2)
    density = (hu * femur).sum(dim=(2, 3, 4)) / femur.sum(dim=(2, 3, 4)).clamp(min=1.0)
    return torch.cat([area.clamp(min=1.0).sqrt(), density], dim=1)


def widths(image: Tensor) -> Tensor:
    """Return the spread of the femur along each axis, points, and of its HU, ``(N, 8)``."""
    hu, femur = image[:, 0], image[:, 1]
    measures = []
    for half in (slice(0, hu.shape[1] // 2), slice(hu.shape[1] // 2, None)):
        share = femur[:, half] / femur[:, half].sum(dim=(1, 2, 3), keepdim=True).clamp(min=1.0)
        for axis in (2, 3):
            along = share.sum(dim=[one for one in (1, 2, 3) if one != axis])
            place = torch.arange(along.shape[1], dtype=along.dtype)
            middle = (along * place).sum(dim=1, keepdim=True)
            measures.append((along * (place - middle) ** 2).sum(dim=1).clamp(min=0.01).sqrt())
        mean = (share * hu[:, half]).sum(dim=(1, 2, 3))
        square = (share * hu[:, half] ** 2).sum(dim=(1, 2, 3))
        measures += [mean, (square - mean**2).clamp(min=1.0).sqrt()]
    return torch.stack(measures, dim=1)


@dataclass(frozen=True)
class HeightPredictor:
    """Ridge regression of height and age on areas and densities; it may drive the loop."""

    name: str = "height-predictor"
    role: Role = Role.LOOP
    attributes: tuple[str, ...] = ("height_cm", "age_years")
    view: View = field(default_factory=View)
    on_request: bool = True

    def build(self, attributes: Sequence[str], view: View) -> Line:
        """Return an untrained model."""
        return Line(areas, 2 * LEVELS, len(attributes))

    def fit(self, data: TrainingData, attributes: Sequence[str], seed: int) -> Line:
        """Return a model fitted to the subjects whose value is known; nothing is drawn."""
        module = self.build(attributes, data.view)
        measured = torch.cat([module.measure(image) for image in data.singly()])
        module.mean.copy_(measured.mean(dim=0))
        module.scale.copy_(measured.std(dim=0).clamp(min=1e-3))
        standard = (measured - module.mean) / module.scale
        for column, name in enumerate(attributes):
            known = data.values[name].isfinite()
            x, y = standard[known], data.values[name][known]
            module.intercepts[column] = y.mean()
            module.slopes[:, column] = torch.linalg.solve(
                x.T @ x + RIDGE * torch.eye(x.shape[1]), x.T @ (y - y.mean())
            )
        return module.eval()


@dataclass(frozen=True)
class HeightJudge(HeightPredictor):
    """The same regression on other measures, widths: a judge that stays outside the loop."""

    name: str = "height-judge"
    role: Role = Role.READER

    def build(self, attributes: Sequence[str], view: View) -> Line:
        """Return an untrained model."""
        return Line(widths, 8, len(attributes))
