"""Predictors that are small 3D networks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from qctkit.contracts import Role, TrainingData
from qctkit.networks import PlainEncoder, ResidualEncoder, Schedule, train
from qctkit.predictors.jitter import jitter
from qctkit.subject import AGE, ATTRIBUTES, SEX, WEIGHT
from qctkit.view import View
from qctkit.window import Window

SOFT_TISSUE_HU = 40.0
"""What a bone-only view shows outside the femur: muscle, so that the rim is not an edge to air."""


LABEL_SMOOTHING = 0.05
"""Share by which classes are drawn together: few subjects otherwise drive logits to infinity."""


class NetworkPredictor(nn.Module):
    """A network on the windowed view: ``(N, 2, D, H, W)`` (HU, femur share) to ``(N, A)``.

    Args:
        encoder: features of the two-channel windowed image.
        outputs: number of attributes.
        window: HU to [0, 1].
        bone_only: replace everything outside the femur by soft tissue, so that only bone is seen.
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self,
        encoder: ResidualEncoder | PlainEncoder,
        outputs: int,
        window: Window,
        *,
        bone_only: bool,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.features, outputs)
        self.register_buffer("centre", torch.zeros(outputs))
        self.register_buffer("scale", torch.ones(outputs))
        self._window = window
        self._bone_only = bone_only

    def forward(self, image: Tensor) -> Tensor:
        """Return estimates ``(N, A)`` in the attributes' own units, logits for binary ones."""
        hu, femur = image[:, :1], image[:, 1:]
        if self._bone_only:
            hu = SOFT_TISSUE_HU + femur * (hu - SOFT_TISSUE_HU)
        seen = ((hu - self._window.low_hu) / self._window.width_hu).clamp(0.0, 1.0)
        # Bone spans a third of the window; spreading it out speeds training.
        raw: Tensor = self.head(self.encoder(torch.cat([4.0 * (seen - 0.45), femur], dim=1)))
        return self.centre + self.scale * raw


@dataclass(frozen=True)
class NetworkFamily:
    """Networks of one architecture, trained with missing attributes masked."""

    name: str
    role: Role
    attributes: tuple[str, ...]
    # Left out of repr, which names a configuration: a function's repr holds its address.
    encoder: Callable[[], ResidualEncoder | PlainEncoder] = field(repr=False)
    bone_only: bool
    schedule: Schedule = field(default_factory=Schedule)

    def build(self, attributes: Sequence[str], view: View) -> NetworkPredictor:
        """Return an untrained network for these attributes."""
        return NetworkPredictor(
            self.encoder(), len(attributes), view.window, bone_only=self.bone_only
        )

    def fit(
        self,
        data: TrainingData,
        attributes: Sequence[str],
        seed: int,
    ) -> NetworkPredictor:
        """Return a network trained on the data."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self.build(attributes, data.view)
        truth = torch.stack([data.values[name] for name in attributes], dim=1)
        binary = torch.tensor([ATTRIBUTES[name].kind == "binary" for name in attributes])
        _standardise(network, truth, binary)
        known = ~truth.isnan()
        standard = torch.where(known, (truth - network.centre) / network.scale, 0.0)

        def loss(estimates: Tensor, chosen: Tensor) -> Tensor:
            scaled = (estimates - network.centre) / network.scale
            wanted = standard[chosen]
            squared = (scaled - wanted) ** 2
            logistic = nn.functional.binary_cross_entropy_with_logits(
                scaled, LABEL_SMOOTHING + (1.0 - 2.0 * LABEL_SMOOTHING) * wanted, reduction="none"
            )
            per_value = torch.where(binary, logistic, 0.5 * squared)
            # A batch may hold no known value at all; then its loss is 0, not NaN.
            return per_value[known[chosen]].sum() / known[chosen].sum().clamp(min=1)

        train(network, data.images, loss, jitter, self.schedule, seed)
        return network


def _standardise(network: NetworkPredictor, truth: Tensor, binary: Tensor) -> None:
    """Set the output scale to the subjects' mean and spread; binary outputs stay logits."""
    for column, is_binary in enumerate(binary.tolist()):
        values = truth[:, column]
        values = values[~values.isnan()]
        if not is_binary:
            network.centre[column] = values.mean()
            network.scale[column] = values.std().clamp(min=1e-3)


def _residual() -> ResidualEncoder:
    return ResidualEncoder(2, (8, 16, 32))


def _plain() -> PlainEncoder:
    return PlainEncoder(2, 16)


def network_families() -> tuple[NetworkFamily, ...]:
    """Return the built-in networks: two for the loop, as in the source study, and a reader."""
    return (
        NetworkFamily("sex-network", Role.LOOP, (SEX.name,), _residual, bone_only=True),
        NetworkFamily(
            "age-weight-network", Role.LOOP, (AGE.name, WEIGHT.name), _residual, bone_only=True
        ),
        NetworkFamily(
            "reader-network",
            Role.READER,
            (SEX.name, AGE.name, WEIGHT.name),
            _plain,
            bone_only=True,
        ),
    )
