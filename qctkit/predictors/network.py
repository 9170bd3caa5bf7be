"""Predictors that are small networks on the whole view: volumetric, or slice by slice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qctkit.contracts import Checkpoint, Images, Role, TrainingData
from qctkit.networks import Curve, Schedule, SliceEncoder, encoder_named, loss_of, train
from qctkit.predictors.jitter import jitter
from qctkit.subject import AGE, ATTRIBUTES, SEX, WEIGHT
from qctkit.view import HIP_VIEW, View
from qctkit.window import Window

SOFT_TISSUE_HU = 40.0
"""What a bone-only view shows outside the femur: muscle, so that the rim is not an edge to air."""

BONE_SPAN, BONE_MIDDLE = 4.0, 0.45
"""Bone spans a third of the window about here; spreading it out speeds training."""

SOFT_WINDOW = Window(-200.0, 200.0)
"""Fat and muscle lie 160 HU apart, a sixteenth of the window of bone."""

LABEL_SMOOTHING = 0.05
"""Share by which classes are drawn together: few subjects otherwise drive logits to infinity."""

LEAST_FEMUR_MM2 = 181.0
"""Slices that show less femur than this, a fiftieth of the default view, teach nothing."""

SLICES_AT_ONCE = 8
"""Slices of one subject that are read together: 50 of 512 x 512 would take more than a GB."""


class NetworkPredictor(nn.Module):
    """A network on the windowed view: ``(N, 2, D, H, W)`` (HU, femur share) to ``(N, A)``.

    A slice-wise encoder reads each axial slice; the mean over slices, weighed by how much femur
    each shows, is what it reads of the subject.

    Args:
        encoder: a name of ``ENCODER_NAMES``.
        outputs: number of attributes.
        window: HU to [0, 1].
        bone_only: replace everything outside the femur by soft tissue, so that only bone is seen.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, encoder: str, outputs: int, window: Window, *, bone_only: bool) -> None:
        super().__init__()
        self.encoder = encoder_named(encoder, 2 if bone_only else 3)
        self.head = nn.Linear(self.encoder.features, outputs)
        self.register_buffer("centre", torch.zeros(outputs))
        self.register_buffer("scale", torch.ones(outputs))
        self.channels = BoneChannels(window) if bone_only else HipChannels(window)

    def forward(self, image: Tensor) -> Tensor:
        """Return estimates ``(N, A)`` in the attributes' own units, logits for binary ones."""
        if isinstance(self.encoder, SliceEncoder):
            readings = self.read_slices(image)
            weight = image[:, 1].mean(dim=(2, 3))[:, :, None]
            return (readings * weight).sum(1) / weight.sum(1).clamp(min=1e-6)
        raw: Tensor = self.head(self.encoder(self.channels(image)))
        return self.centre + self.scale * raw

    def read_slices(self, image: Tensor) -> Tensor:
        """Return what is read of each axial slice, ``(N, D, A)``; slice-wise encoders only."""
        if torch.is_grad_enabled() or torch.compiler.is_exporting():
            return self._read_slices(image)
        parts = image.split(SLICES_AT_ONCE, dim=2)
        return torch.cat([self._read_slices(part) for part in parts], dim=1)

    def _read_slices(self, image: Tensor) -> Tensor:
        count, _, depth, *_ = image.shape
        slices = self.channels(image).transpose(1, 2).flatten(0, 1)
        raw: Tensor = self.head(self.encoder(slices))
        return torch.unflatten(self.centre + self.scale * raw, 0, (count, depth))


class BoneChannels(nn.Module):
    """What an encoder is given of bone alone: windowed HU, and the femur's share."""

    def __init__(self, window: Window) -> None:
        super().__init__()
        self.window = window

    def forward(self, image: Tensor) -> Tensor:
        """Return two channels of images ``(N, 2, D, H, W)`` (HU, femur share)."""
        hu, femur = image[:, :1], image[:, 1:]
        hu = SOFT_TISSUE_HU + femur * (hu - SOFT_TISSUE_HU)
        return torch.cat([_bone(hu, self.window), femur], dim=1)


class HipChannels(nn.Module):
    """What an encoder is given of the whole hip."""

    def __init__(self, window: Window) -> None:
        super().__init__()
        self.window = window

    def forward(self, image: Tensor) -> Tensor:
        """Return three channels of images ``(N, 2, D, H, W)`` (HU, femur share)."""
        return hip_channels(image, self.window)


class Ensemble(nn.Module):
    """The mean of members that differ in their first weights and order of training.

    ``temperature`` ``(A,)`` divides it: 1 but for binary attributes, whose probabilities it makes
    honest. ``curves`` are the members' losses by epoch, after a fit.
    """

    temperature: Tensor

    def __init__(self, members: Sequence[nn.Module], outputs: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("temperature", torch.ones(outputs))
        self.curves: tuple[Curve, ...] = ()

    def forward(self, image: Tensor) -> Tensor:
        """Return the mean of the members' estimates, ``(N, A)``."""
        return torch.stack([member(image) for member in self.members]).mean(0) / self.temperature

    @property
    def slice_wise(self) -> bool:
        """Whether it reads slices, and of a subject their mean weighed by their femur."""
        return all(isinstance(member.encoder, SliceEncoder) for member in self.members)

    def read_slices(self, image: Tensor) -> Tensor:
        """Return the mean of what members read of each slice, ``(N, D, A)``."""
        read = [member.read_slices(image) for member in self.members]  # type: ignore[operator]
        return torch.stack(read).mean(dim=0) / self.temperature


@dataclass(frozen=True)
class NetworkFamily:
    """Networks of one architecture, trained with missing attributes masked.

    Attributes:
        encoder: a name of ``ENCODER_NAMES``.
        bone_only: see bone alone, as density recipes need.
        members: networks of different seeds whose mean is the predictor.
        on_request: trained only where a configuration names it.
    """

    name: str
    role: Role
    attributes: tuple[str, ...]
    encoder: str = "residual"
    bone_only: bool = True
    members: int = 1
    schedule: Schedule = field(default_factory=Schedule)
    view: View = field(default_factory=View)
    on_request: bool = False

    @property
    def slice_wise(self) -> bool:
        """Whether it reads slices one by one."""
        return self.encoder == "slices"

    def build(self, attributes: Sequence[str], view: View) -> Ensemble:
        """Return untrained networks for these attributes."""
        members = [self._member(attributes, view) for _ in range(self.members)]
        return Ensemble(members, len(attributes))

    def fit(
        self,
        data: TrainingData,
        attributes: Sequence[str],
        seed: int,
        held_out: TrainingData | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Ensemble:
        """Return networks trained on the data; the loss on what is held out is only noted."""
        if self.slice_wise:
            data = _slices(data, shown_slices(data))
            held_out = None if held_out is None else _slices(held_out, shown_slices(held_out))
        return self._fit(data, attributes, seed, held_out, checkpoint)

    def fit_slices(
        self, data: TrainingData, attributes: Sequence[str], seed: int, kept: Tensor
    ) -> Ensemble:
        """Return slice-wise networks trained on some slices, ``kept`` ``(N, D)`` bool."""
        return self._fit(_slices(data, kept), attributes, seed, None, None)

    def _fit(
        self,
        data: TrainingData,
        attributes: Sequence[str],
        seed: int,
        held_out: TrainingData | None,
        checkpoint: Checkpoint | None,
    ) -> Ensemble:
        members, curves = [], []
        for number in range(self.members):
            member_seed = seed + 1000 * number
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(member_seed)
                member = self._member(attributes, data.view)
            part = None if checkpoint is None else checkpoint.part(f"member-{number}")
            curves.append(
                _train(member, data, held_out, attributes, self.schedule, member_seed, part)
            )
            members.append(member)
        ensemble = Ensemble(members, len(attributes)).eval()
        ensemble.curves = tuple(curves)
        return ensemble

    def _member(self, attributes: Sequence[str], view: View) -> NetworkPredictor:
        return NetworkPredictor(
            self.encoder, len(attributes), view.window, bone_only=self.bone_only
        )


def hip_channels(image: Tensor, window: Window) -> Tensor:
    """Return bone, soft tissue and the femur's share of ``(N, 2, D, H, W)``, three channels."""
    hu, femur = image[:, :1], image[:, 1:]
    return torch.cat([_bone(hu, window), 2.0 * _windowed(hu, SOFT_WINDOW) - 1.0, femur], dim=1)


def shown_slices(data: TrainingData) -> Tensor:
    """Return which axial slices ``(N, D)`` show enough femur to teach something."""
    _, anterior_mm, medial_mm = data.view.spacing_mm
    points = torch.cat([one[:, 1].sum(dim=(2, 3)) for one in data.singly()])
    return points * anterior_mm * medial_mm > LEAST_FEMUR_MM2


def network_families() -> tuple[NetworkFamily, ...]:
    """Return the built-in networks: two for the loop, as in the source study, and a reader.

    Two more are trained on request: ``slice-network`` reads slices, as the source study did, and
    ``hip-network`` sees the whole hip, which pays with hundreds of subjects.
    """
    every = (SEX.name, AGE.name, WEIGHT.name)
    return (
        NetworkFamily("sex-network", Role.LOOP, (SEX.name,)),
        NetworkFamily("age-weight-network", Role.LOOP, (AGE.name, WEIGHT.name)),
        NetworkFamily("reader-network", Role.READER, every, encoder="plain"),
        NetworkFamily(
            "slice-network",
            Role.READER,
            every,
            encoder="slices",
            schedule=Schedule(epochs=12, batch=32),
            on_request=True,
        ),
        NetworkFamily(
            "hip-network",
            Role.READER,
            every,
            encoder="spread",
            bone_only=False,
            schedule=Schedule(epochs=25, batch=8),
            view=HIP_VIEW,
            on_request=True,
        ),
    )


class Standardised(Protocol):
    """A network whose outputs are ``centre + scale * raw``, both ``(A,)``."""

    centre: Tensor
    scale: Tensor


def attribute_loss(
    network: Standardised, values: Mapping[str, Tensor], attributes: Sequence[str]
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the mean loss over known attributes, of estimates and the rows they belong to."""
    truth = torch.stack([values[name] for name in attributes], dim=1)
    binary = torch.tensor([ATTRIBUTES[name].kind == "binary" for name in attributes])
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

    return loss


def standardise(
    network: Standardised, values: Mapping[str, Tensor], attributes: Sequence[str]
) -> None:
    """Set the output scale to the subjects' mean and spread; binary outputs stay logits."""
    for column, name in enumerate(attributes):
        known = values[name][~values[name].isnan()]
        if ATTRIBUTES[name].kind != "binary":
            network.centre[column] = known.mean()
            network.scale[column] = known.std().clamp(min=1e-3)


def _bone(hu: Tensor, window: Window) -> Tensor:
    return BONE_SPAN * (_windowed(hu, window) - BONE_MIDDLE)


@dataclass(frozen=True, eq=False)
class _SliceImages:
    """Axial slices ``(M, 2, 1, H, W)`` of subjects' images: the subject and level of each."""

    images: Images
    subject: NDArray[np.int64]
    level: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.subject)

    def __getitem__(self, key: Tensor) -> Tensor:
        rows = key.numpy()
        return self.images[self.subject[rows], :, self.level[rows]][:, :, None]


def _slices(data: TrainingData, chosen: Tensor) -> TrainingData:
    """Return chosen axial slices, ``(N, D)`` bool, as inputs of their own."""
    subject, level = np.nonzero(chosen.numpy())
    values = {name: column[subject] for name, column in data.values.items()}
    names = tuple(data.subjects[row] for row in subject)
    return TrainingData(_SliceImages(data.images, subject, level), values, data.view, names)


def _train(
    network: NetworkPredictor,
    data: TrainingData,
    held_out: TrainingData | None,
    attributes: Sequence[str],
    schedule: Schedule,
    seed: int,
    checkpoint: Checkpoint | None,
) -> Curve:
    standardise(network, data.values, attributes)
    watch = None
    if held_out is not None:
        unseen, images = attribute_loss(network, held_out.values, attributes), held_out.images
        everyone = torch.arange(len(images))

        def watch() -> float:
            return loss_of(network, images, everyone, unseen, schedule.batch)

    loss = attribute_loss(network, data.values, attributes)
    return train(network, data.images, loss, jitter, schedule, seed, watch, checkpoint)


def _windowed(hu: Tensor, window: Window) -> Tensor:
    return ((hu - window.low_hu) / window.width_hu).clamp(0.0, 1.0)
