"""Small networks on physical features: what hundreds of subjects can teach beyond straight lines.

A linear Gaussian model and a few networks read the same measures, and their mean is the predictor:
the first is the better one for sex and weight, the others for age, which bone does not follow in a
straight line. With few subjects ``physical-features`` is better (docs/predictors.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from qctkit.contracts import Role, TrainingData
from qctkit.networks import Schedule, train
from qctkit.predictors.features import FEATURES, SIZE, PhysicalFeatures
from qctkit.predictors.joint import FAR, JointReader, fit_joint
from qctkit.predictors.network import Ensemble, attribute_loss, standardise
from qctkit.predictors.spread import measured
from qctkit.subject import AGE, SEX, WEIGHT
from qctkit.view import HIP_VIEW, View

HIDDEN = 32

NOISE = 0.1
"""SD of the noise added to standardised features in training: small differences count little."""

JOINT_NOISE = 0.001
"""Variance added to features in the joint model: hundreds of subjects need hardly any."""


class MeasuredNetwork(Ensemble):
    """``(N, 2, D, H, W)`` (HU, femur share) to ``(N, A)``: a joint model and networks."""

    centre: Tensor
    scale: Tensor

    def __init__(self, attributes: Sequence[str], view: View, members: int) -> None:
        super().__init__([_Member(len(attributes)) for _ in range(members)], len(attributes))
        self.features = PhysicalFeatures(view)
        self.joint = JointReader(len(FEATURES), attributes)
        self.register_buffer("centre", torch.zeros(len(FEATURES)))
        self.register_buffer("scale", torch.ones(len(FEATURES)))

    def forward(self, image: Tensor) -> Tensor:
        """Return estimates ``(N, A)`` in the attributes' own units, a logit for sex."""
        return self.read(self.measure(image))

    @property
    def slice_wise(self) -> bool:
        """It measures the whole femur."""
        return False

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
        standard = self.standard(features)
        members = torch.stack([member(standard) for member in self.members]).mean(0)
        mean: Tensor = (self.joint(features) + members) / 2.0
        return mean / self.temperature

    def standard(self, features: Tensor) -> Tensor:
        """Return features in standard deviations, bent so that none alone decides."""
        return FAR * torch.tanh((features - self.centre) / self.scale / FAR)


@dataclass(frozen=True)
class MeasuredFamily:
    """A joint model and networks on physical features, trained where it is named.

    It reads what ``physical-features`` reads, so it may drive the loop beside it but is no judge
    outside.
    """

    name: str = "measured-network"
    role: Role = Role.LOOP
    attributes: tuple[str, ...] = (SEX.name, AGE.name, WEIGHT.name)
    view: View = HIP_VIEW
    members: int = 5
    schedule: Schedule = field(default_factory=lambda: Schedule(epochs=60, batch=32))
    on_request: bool = True

    def build(self, attributes: Sequence[str], view: View) -> MeasuredNetwork:
        """Return an untrained model for these attributes on this view."""
        return MeasuredNetwork(attributes, view, self.members)

    def fit(self, data: TrainingData, attributes: Sequence[str], seed: int) -> MeasuredNetwork:
        """Return a model trained on the data, each subject measured once."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.build(attributes, data.view)
        fit_on_measures(model, measured(model, data), data.values, attributes, self.schedule, seed)
        return model.eval()


def fit_on_measures(
    model: MeasuredNetwork,
    features: Tensor,
    values: Mapping[str, Tensor],
    attributes: Sequence[str],
    schedule: Schedule,
    seed: int,
) -> None:
    """Fit a model to features ``(N, F)`` and attributes ``(N,)``, NaN where unknown, in place."""
    model.centre.copy_(features.mean(dim=0))
    model.scale.copy_(features.std(dim=0).clamp(min=1e-6))
    exact = {name: column.double().numpy() for name, column in values.items()}
    joint = fit_joint(features.double().numpy(), exact, attributes, JOINT_NOISE)
    model.joint.load_state_dict(joint.state_dict())
    standard = model.standard(features)
    curves = []
    for number, member in enumerate(one for one in model.members if isinstance(one, _Member)):
        standardise(member, values, attributes)
        loss = attribute_loss(member, values, attributes)
        curves.append(train(member, standard, loss, _jitter, schedule, seed + 1000 * number))
    model.curves = tuple(curves)


class _Member(nn.Module):
    """Standard features ``(N, F)`` to ``(N, A)``: a straight line and one hidden layer."""

    centre: Tensor
    scale: Tensor

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.line = nn.Linear(len(FEATURES), outputs)
        self.bend = nn.Sequential(
            nn.Linear(len(FEATURES), HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, outputs)
        )
        self.register_buffer("centre", torch.zeros(outputs))
        self.register_buffer("scale", torch.ones(outputs))

    def forward(self, standard: Tensor) -> Tensor:
        """Return estimates ``(N, A)`` in the attributes' own units, a logit for sex."""
        estimates: Tensor = self.centre + self.scale * (self.line(standard) + self.bend(standard))
        return estimates


def _jitter(standard: Tensor, generator: torch.Generator) -> Tensor:
    return standard + NOISE * torch.randn(standard.shape, generator=generator)
