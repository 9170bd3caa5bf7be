"""Scoring by ONNX Runtime; needs no torch."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from qctkit.errors import InputError, PredictorError
from qctkit.predictors.onnx_description import Channel, Description, Sees
from qctkit.predictors.onnx_graph import check_graph
from qctkit.predictors.skill import Skill
from qctkit.subject import ATTRIBUTES

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
NOTHING_BUT_FATAL = 4
"""Level of ONNX Runtime's own log: errors are raised, and said once."""

SOFT_TISSUE_HU = 40.0
"""What is shown outside the femur where only the femur is to be seen: muscle, so that the rim is
not an edge to air."""

SLICES_AT_ONCE = 8
"""Slices of an image that a slice-wise graph is given together: 50 of 512 x 512 would take GBs."""

LEAST_WEIGHT = 1e-6
"""A view that shows no femur is read as 0, not divided by nothing."""

LEAST_ERROR = 1e-6
"""An error below this would weigh without bound."""


@dataclass(frozen=True)
class Hardware:
    """What computes.

    Attributes:
        device: "cpu", "cuda" (an error where it is not to be had), or "auto", which takes CUDA
            where ONNX Runtime really gets it.
        threads: of one session on the CPU; None takes the cores that this process may use.
    """

    device: str = "cpu"
    threads: int | None = None


@dataclass(frozen=True, eq=False)
class Readings:
    """What a predictor reads of images, in years, kg and logits.

    Attributes:
        values: ``(N, A)``.
        spreads: standard deviations ``(N, A)``, NaN where the graph gives none.
    """

    values: NDArray[np.float64]
    spreads: NDArray[np.float64]

    @classmethod
    def of_batches(cls, batches: "Sequence[Readings]", attributes: int) -> "Readings":
        """Return the readings of all batches, of which there may be none."""
        none = np.empty((0, attributes))
        return cls(
            np.concatenate([none, *(one.values for one in batches)]),
            np.concatenate([none, *(one.spreads for one in batches)]),
        )


class OnnxPredictor:
    """A described ONNX model as an ONNX Runtime session.

    Args:
        model: as ``read_model`` gave it.
        description: its contract; the graph is checked against it.
        hardware: what computes.
        where: the file, for messages.

    Raises:
        PredictorError: the graph does not fit its description, cannot be loaded, or CUDA was asked
            for and is not to be had.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        description: Description,
        hardware: Hardware,
        where: str,
    ) -> None:
        self.model = model
        self.description = description
        self.threads = hardware.threads or usable_cores()
        self._hardware = hardware
        self._where = where
        self._one_by_one = check_graph(model, description, where)
        self._session = open_session(model, hardware.device, self.threads, where)
        self.provider: str = self._session.get_providers()[0]
        if hardware.device == "cuda" and self.provider != CUDA:
            raise PredictorError(
                f"--device cuda: ONNX Runtime gave {self.provider} instead of {CUDA}; install CUDA "
                "and cuDNN for this onnxruntime-gpu, or use --device cpu"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what goes to a worker process: it opens a session of its own."""
        return OnnxPredictor, (self.model, self.description, self._hardware, self._where)

    @property
    def name(self) -> str:
        """The predictor's name."""
        return self.description.name

    @property
    def attributes(self) -> tuple[str, ...]:
        """Attributes, in the order of the columns that ``score`` returns."""
        return self.description.attributes

    def score(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return estimates ``(N, A)`` of images, as ``read`` does, without their spreads."""
        return self.read(images).values

    def read(self, images: NDArray[np.float32]) -> Readings:
        """Return estimates and spreads of images ``(N, 2, D, H, W)`` (HU, femur share).

        Years, kg, and a logit for sex, whatever the graph's own units are.

        Raises:
            PredictorError: the graph answers with other shapes, NaN, or no probability.
        """
        raw = self._by_slices(images) if self.description.slice_wise else self._raw(images)
        if not np.isfinite(raw).all():
            raise PredictorError(f"{self._where}: the graph gave values that are not finite")
        try:
            columns = [one.in_own_unit(raw[:, one.column]) for one in self.description.estimates]
        except InputError as error:
            raise PredictorError(f"{self._where}: {error}; state its unit as it is") from error
        spreads = [
            np.full(len(raw), np.nan)
            if one.spread_column is None
            else one.in_own_unit(raw[:, one.spread_column])
            for one in self.description.estimates
        ]
        if np.less(spreads, 0.0).any():
            raise PredictorError(f"{self._where}: the graph gave a standard deviation below 0")
        return Readings(np.stack(columns, axis=1), np.stack(spreads, axis=1))

    def _by_slices(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the mean over slices, weighed by their femur, from a few slices at a time.

        Of spreads it is the mean of their squares: a network's variance is linear in what it reads.
        """
        weight = images[:, 1].mean(axis=(2, 3), dtype=np.float64)
        starts = range(0, images.shape[2], SLICES_AT_ONCE)
        parts = [slice(first, first + SLICES_AT_ONCE) for first in starts]
        estimates = self.description.estimates
        spread = [one.spread_column for one in estimates if one.spread_column is not None]
        total: NDArray[np.float64] = np.zeros(1)
        for part in parts:
            raw = self._raw(images[:, :, part])
            raw[:, spread] **= 2
            total = total + weight[:, part].sum(axis=1)[:, None] * raw
        mean = np.asarray(total / np.maximum(weight.sum(axis=1), LEAST_WEIGHT)[:, None])
        mean[:, spread] **= 0.5
        return mean

    def _raw(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what the graph answers of images, in its own units, ``(N, columns)``."""
        fed = channels_of(images, self.description)
        pieces = np.split(fed, len(fed)) if self._one_by_one else [fed]
        return np.concatenate([self._run(piece) for piece in pieces], dtype=np.float64)

    def _run(self, fed: NDArray[np.float32]) -> NDArray[np.float32]:
        names = self.description
        try:
            (found,) = self._session.run([names.output_name], {names.input_name: fed})
        except Exception as error:  # onnxruntime raises several private types
            raise PredictorError(f"{self._where}: the graph failed: {_brief(error)}") from error
        values = np.asarray(found, dtype=np.float32)
        last = max(one.last_column for one in names.estimates)
        if values.ndim != 2 or len(values) != len(fed) or values.shape[1] <= last:
            raise PredictorError(
                f"{self._where}: the graph answered {len(fed)} images with an array of shape "
                f"{values.shape}; expected ({len(fed)}, {last + 1} or more)"
            )
        return values


def channels_of(images: NDArray[np.float32], description: Description) -> NDArray[np.float32]:
    """Return what the graph is fed, ``(N, C, D, H, W)``, of images (HU, femur share)."""
    hu, femur = images[:, 0], images[:, 1]
    if description.sees is Sees.FEMUR:
        muscle = np.float32(SOFT_TISSUE_HU)
        hu = muscle + femur * (hu - muscle)
    made = {
        Channel.HU: lambda: hu,
        Channel.WINDOWED: lambda: description.view.window.apply(hu),
        Channel.FEMUR: lambda: femur,
    }
    channels = [made[channel]() for channel in description.channels]
    return np.ascontiguousarray(np.stack(channels, axis=1), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Estimates:
    """One attribute of a batch, from all predictors that read it.

    Attributes:
        values: ``(N,)``: years, kg, or the probability of being male.
        spreads: standard deviations ``(N,)``; None where no error was measured.
    """

    values: NDArray[np.float64]
    spreads: NDArray[np.float64] | None


def combine(
    predictors: Sequence[OnnxPredictor], readings: Sequence[Readings]
) -> Mapping[str, Estimates]:
    """Return one estimate per attribute: the mean of what predictors read, weighed by their skill.

    Weights are the inverse squared errors on unseen subjects; a binary attribute's probabilities
    are weighed by accuracy over chance. Predictors whose skill was not measured count, equally,
    only where no other reads the attribute. A predictor without spreads of its own lends its error
    on unseen subjects. The spread is that of predictors that all err alike, which is the most that
    their mean can err.
    """
    return {
        name: _combined(name, predictors, readings)
        for name in ATTRIBUTES
        if any(name in one.attributes for one in predictors)
    }


def _combined(
    name: str, predictors: Sequence[OnnxPredictor], readings: Sequence[Readings]
) -> Estimates:
    found = [
        (read, one.attributes.index(name), one.description.skills.get(name))
        for one, read in zip(predictors, readings, strict=True)
        if name in one.attributes
    ]
    measured = [one for one in found if one[2] is not None] or found
    weights = np.array([_weight(skill) for _, _, skill in measured])
    weights /= weights.sum()
    values = np.stack([read.values[:, column] for read, column, _ in measured])
    if ATTRIBUTES[name].kind == "binary":
        values = 1.0 / (1.0 + np.exp(-np.clip(values, -30.0, 30.0)))
    spreads = weights @ np.stack([_spreads(*one) for one in measured])
    return Estimates(weights @ values, None if np.isnan(spreads).any() else spreads)


def _spreads(read: Readings, column: int, skill: Skill | None) -> NDArray[np.float64]:
    """Return the standard deviations ``(N,)`` of one attribute, NaN where nothing was measured."""
    own = read.spreads[:, column]
    error = np.nan if skill is None else skill.figures.get("rmse", np.nan)
    return np.where(np.isnan(own), error, own)


def _weight(skill: Skill | None) -> float:
    if skill is None:
        return 1.0
    if "accuracy" in skill.figures:
        return max(skill.figures["accuracy"] - 0.5, 0.01)
    return float(max(skill.figures["rmse"], LEAST_ERROR) ** -2)


def usable_cores() -> int:
    """Return how many physical cores this process may run on.

    Two threads of one core share its arithmetic units, so more sessions' threads than cores only
    wait for one another. Where the system does not tell, every processor counts as a core.
    """
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    siblings = Path("/sys/devices/system/cpu")
    cores = set()
    for number in os.sched_getaffinity(0):
        file = siblings / f"cpu{number}" / "topology" / "thread_siblings_list"
        cores.add(file.read_text().strip() if file.is_file() else str(number))
    return len(cores)


def open_session(
    model: onnx.ModelProto, device: str, threads: int, where: str, without: Sequence[str] = ()
) -> Any:
    """Return an ONNX Runtime session of a model, without some of the runtime's optimisers.

    Raises:
        PredictorError: it cannot be loaded, or CUDA was asked for and is not to be had.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = NOTHING_BUT_FATAL
    options.intra_op_num_threads = threads
    # Threads that spin while they wait slow a busy neighbour, and are slowed by it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    can_cuda = CUDA in onnxruntime.get_available_providers() and _has_cuda()
    if device == "cuda" and not can_cuda:
        raise PredictorError(
            "--device cuda: no CUDA device that ONNX Runtime can use was found; use --device cpu"
        )
    # TF32 keeps ten bits: a GPU's readings would differ from a CPU's by more than parity allows.
    cuda = [(CUDA, {"use_tf32": "0"})] if device != "cpu" and can_cuda else []
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(),
            options,
            providers=[*cuda, CPU],
            disabled_optimizers=list(without) or None,
        )
    except Exception as error:  # onnxruntime raises several private types
        raise PredictorError(f"{where}: ONNX Runtime refuses it: {_brief(error)}") from error


def _has_cuda() -> bool:
    """Whether a driver shows a device; asking ONNX Runtime itself would only say what was built."""
    return any(Path("/proc/driver/nvidia/gpus").glob("*"))


def _brief(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
