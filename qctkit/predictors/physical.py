"""A predictor on physical features: what few subjects can teach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qctkit.contracts import Role, TrainingData
from qctkit.predictors.features import (
    CORTEX,
    DENSITY,
    FEATURES,
    MUSCLE,
    SIZE,
    SOFT,
    PhysicalFeatures,
)
from qctkit.predictors.joint import Array, JointReader, fit_joint
from qctkit.predictors.temperature import honest_temperature
from qctkit.subject import AGE, SEX, WEIGHT
from qctkit.view import HIP_VIEW, View

KEY = (
    *(f"{name}_log_mm" for name in ("head_radius", "neck_radius", "shaft_radius", "axis_length")),
    *(f"cortex_{n}_log_hu_mm" for n in ("shaft", "neck_inferior", "neck_superior", "neck_sides")),
    *(f"core_{name}_hu" for name in ("head", "neck", "upper")),
)
"""One measure for each thing that a femur's size, cortex and spongiosa can differ in."""

GROUPS: dict[str, tuple[str, ...]] = {
    "key": KEY,
    "skeleton": SIZE + CORTEX,
    "bone": CORTEX + DENSITY,
    "ageing": CORTEX + MUSCLE,
    "tissue": CORTEX + DENSITY + MUSCLE,
    "body": SIZE + SOFT,
}
"""One joint model each: with few subjects a model of all features is worse than several of few."""

READ_BY: dict[str, tuple[str, ...]] = {
    SEX.name: ("key", "skeleton", "bone"),
    AGE.name: ("ageing", "tissue"),
    WEIGHT.name: ("body",),
}
"""The groups whose mean reads an attribute: where the body shows it."""

NOISE_SUBJECTS = 2.0
"""Variance added to standardised features, times subjects: what they differ in by chance."""

INNER_FOLDS = 10

UNBOUNDED = 1e6
"""Bound of logits while the temperature is looked for."""


class PhysicalPredictor(nn.Module):
    """``(N, 2, D, H, W)`` (HU, femur share) to ``(N, A)``: the mean of its groups' readers.

    The logit of sex is divided by a temperature and bent towards ``most_logit``: on a hip unlike
    all that it learned from, evidence would otherwise add up without end.
    """

    temperature: Tensor
    most_logit: Tensor

    def __init__(self, attributes: Sequence[str], view: View) -> None:
        super().__init__()
        self.features = PhysicalFeatures(view)
        self.attributes = tuple(attributes)
        self.readers = nn.ModuleDict(
            {name: JointReader(len(columns), attributes) for name, columns in GROUPS.items()}
        )
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("most_logit", torch.tensor(UNBOUNDED))

    def forward(self, image: Tensor) -> Tensor:
        """Return estimates ``(N, A)`` in the attributes' own units, a logit for sex."""
        return self.read(self.measure(image))

    @property
    def shape_columns(self) -> tuple[int, ...]:
        """Return the columns of sizes."""
        return tuple(FEATURES.index(name) for name in SIZE)

    def measure(self, image: Tensor) -> Tensor:
        """Return the features ``(N, F)`` of images."""
        found: Tensor = self.features(image)
        return found

    def read(self, features: Tensor) -> Tensor:
        """Return estimates ``(N, A)`` from features ``(N, F)``."""
        readings = {
            name: reader(features[:, _columns(name)]) for name, reader in self.readers.items()
        }
        columns = []
        for column, name in enumerate(self.attributes):
            read = torch.stack([readings[group][:, column] for group in READ_BY[name]]).mean(0)
            if name == SEX.name:
                read = self.most_logit * torch.tanh(read / self.temperature / self.most_logit)
            columns.append(read)
        return torch.stack(columns, dim=1)


@dataclass(frozen=True)
class PhysicalFamily:
    """Joint Gaussian models on physical features."""

    name: str = "physical-features"
    role: Role = Role.LOOP
    attributes: tuple[str, ...] = (SEX.name, AGE.name, WEIGHT.name)
    view: View = HIP_VIEW

    def build(self, attributes: Sequence[str], view: View) -> PhysicalPredictor:
        """Return an untrained model for these attributes on this view."""
        return PhysicalPredictor(attributes, view)

    def fit(
        self,
        data: TrainingData,
        attributes: Sequence[str],
        seed: int,  # noqa: ARG002 - solves draw nothing
    ) -> PhysicalPredictor:
        """Return a model fitted to the data."""
        model = self.build(attributes, data.view)
        values = {name: column.double().numpy() for name, column in data.values.items()}
        with torch.no_grad():
            features = torch.cat([model.features(one) for one in data.singly()])
        fit_on_features(model, features.double().numpy(), values, data.subjects)
        return model.eval()


def fit_on_features(
    model: PhysicalPredictor,
    features: Array,
    values: Mapping[str, Array],
    subjects: Sequence[str],
) -> None:
    """Fit a model to features ``(N, F)`` and attributes ``(N,)`` of subjects ``N`` in place.

    The temperature makes its probabilities of sex honest on subjects held out of these very ones.
    """
    model.temperature.fill_(1.0)
    model.most_logit.fill_(UNBOUNDED)
    logits = None
    if SEX.name in model.attributes:
        logits = _held_out(model, features, values, subjects)[:, model.attributes.index(SEX.name)]
    _fit_groups(model, features, values)
    if logits is not None:
        sexes = zip(subjects, values[SEX.name], strict=True)
        known = {person for person, sex in sexes if not np.isnan(sex)}
        # Laplace's rule of succession: after n right readings the next is wrong with 1 / (n + 2).
        model.most_logit.fill_(np.log(len(known) + 1.0))
        model.temperature.fill_(honest_temperature(logits, values[SEX.name]))


def _fit_groups(model: PhysicalPredictor, features: Array, values: Mapping[str, Array]) -> None:
    noise = NOISE_SUBJECTS / len(features)
    for group, reader in model.readers.items():
        fitted = fit_joint(features[:, _columns(group)], values, model.attributes, noise)
        reader.load_state_dict(fitted.state_dict())


def _held_out(
    model: PhysicalPredictor,
    features: Array,
    values: Mapping[str, Array],
    subjects: Sequence[str],
) -> Array:
    """Return what models of the other subjects read of each scan, ``(N, A)``."""
    fold = _folds([values[name] for name in model.attributes], subjects)
    read = np.empty((len(features), len(model.attributes)))
    for out in (fold == number for number in range(fold.max() + 1)):
        kept = {name: column[~out] for name, column in values.items()}
        _fit_groups(model, features[~out], kept)
        with torch.no_grad():
            read[out] = model.read(torch.from_numpy(features[out]).float()).double().numpy()
    return read


def _folds(values: Sequence[Array], subjects: Sequence[str]) -> NDArray[np.intp]:
    """Return the fold of each scan ``(N,)``: people, in order of their values, are dealt out."""
    person = {name: number for number, name in enumerate(dict.fromkeys(subjects))}
    of = np.array([person[name] for name in subjects])
    _, first = np.unique(of, return_index=True)
    order = np.lexsort([column[first] for column in reversed(values)])
    fold = np.empty(len(order), dtype=np.intp)
    fold[order] = np.arange(len(order)) % INNER_FOLDS
    return np.asarray(fold[of])


def _columns(group: str) -> list[int]:
    return [FEATURES.index(name) for name in GROUPS[group]]
