"""Whether a gradient can be trusted: judged against float64, by how far float32 itself lies off.

A reference goes with each exported graph: what is read of two images in float64, and of their
gradient a sketch (sums under 64 patterns of signs), from which the size of an error follows without
storing the gradient. Needs no torch.
"""

import hashlib
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from qctkit.cohort import Record
from qctkit.gradients import Array, Asked, Gradients, GradientSource
from qctkit.view import View

SIGNS = 64
"""Patterns of a sketch: the error of an error is then one part in eleven, 1 / sqrt(2 x 64)."""

TIMES_EAGER = 2.0
"""Error allowed in float32, over that of PyTorch's own float32; the bar of issue 6."""

LEAST_ERROR = 1e-6
"""Error that nobody minds: eight roundings of float32. A reference can be met by chance."""


@dataclass(frozen=True)
class Errors:
    """How far results lie from a reference, relative to it.

    Attributes:
        losses, readings: differences, relative to values of at least 1.
        gradient: of a sample's gradient as a whole, relative to the reference's size.
    """

    losses: float
    readings: float
    gradient: float

    def beyond(self, eager: "Errors") -> dict[str, float]:
        """Return what exceeds twice eager's errors, by name."""
        own, allowed = asdict(self), asdict(eager)
        return {
            name: found
            for name, found in own.items()
            # NaN exceeds everything.
            if not found <= TIMES_EAGER * max(allowed[name], LEAST_ERROR / TIMES_EAGER)
        }


@dataclass(frozen=True, eq=False)
class Reference:
    """What a graph gives of two images in float64, and how far PyTorch's float32 is off.

    Attributes:
        images_sha256: of the images as float32, drawn by ``femur_images`` wherever it is needed.
        asked: of them.
        losses: ``(N,)``.
        readings: ``(N, A)``.
        sketch: of the gradient, ``(N, 64)``.
        size: its norm, ``(N,)``.
        eager: the largest errors of PyTorch in float32, over several images; of a graph that came
            from elsewhere, what float32 usually is off.
    """

    images_sha256: str
    asked: Asked
    losses: Array
    readings: Array
    sketch: Array
    size: Array
    eager: Errors

    def record(self) -> Record:
        """Return everything as JSON values."""
        return {
            "images_sha256": self.images_sha256,
            "asked": {name: one.tolist() for name, one in vars(self.asked).items()},
            "losses": self.losses.tolist(),
            "readings": self.readings.tolist(),
            "sketch": self.sketch.tolist(),
            "size": self.size.tolist(),
            "eager": asdict(self.eager),
        }

    @classmethod
    def from_record(cls, record: Record) -> "Reference":
        """Return the reference that ``record`` gave.

        Raises:
            KeyError, TypeError, ValueError: a field is missing or holds what it cannot.
        """
        asked = {
            name: np.array(one, dtype=np.float32, ndmin=2) for name, one in record["asked"].items()
        }
        found = {
            name: np.array(record[name], dtype=np.float64)
            for name in ("losses", "readings", "sketch", "size")
        }
        eager = Errors(**{name: float(one) for name, one in record["eager"].items()})
        return cls(str(record["images_sha256"]), Asked(**asked), eager=eager, **found)


def reference_of(images: Array, asked: Asked, exact: Gradients, eager: Errors) -> Reference:
    """Return the reference of images from what was computed of them in float64."""
    sizes = np.linalg.norm(exact.gradient.reshape(len(images), -1), axis=1)
    return Reference(
        digest(images), asked, exact.losses, exact.readings, sketch(exact.gradient), sizes, eager
    )


@dataclass(frozen=True)
class SelfCheck:
    """What a source of gradients came to on the images of a reference.

    Attributes:
        errors: the largest; None where they could not be taken.
        eager: PyTorch's own.
        doubt: why it is not to be trusted, in a sentence; empty where it is.
    """

    errors: Errors | None
    eager: Errors
    doubt: str = ""

    @property
    def passed(self) -> bool:
        """Whether the gradient can be trusted."""
        return not self.doubt


def self_check(source: GradientSource, images: Array, reference: Reference) -> SelfCheck:
    """Compare a source with the reference that goes with its graph, on that reference's images."""
    if digest(images) != reference.images_sha256:
        return SelfCheck(
            None, reference.eager, "the images of its self-check cannot be drawn again here"
        )
    errors = sketched_errors(source(images, reference.asked), reference)
    beyond = errors.beyond(reference.eager)
    if not beyond:
        return SelfCheck(errors, reference.eager)
    eager = asdict(reference.eager)
    words = ", ".join(
        f"{name} {found:.1e} off ({eager[name]:.1e} is usual)" for name, found in beyond.items()
    )
    return SelfCheck(errors, reference.eager, f"it differs from its reference: {words}")


def sketched_errors(found: Gradients, reference: Reference) -> Errors:
    """Return the largest errors over the samples, of the gradient by its sketch."""
    missed = np.sqrt(((sketch(found.gradient) - reference.sketch) ** 2).mean(axis=1))
    return Errors(
        _relative(found.losses, reference.losses),
        _relative(found.readings, reference.readings),
        float((missed / np.maximum(reference.size, np.finfo(np.float64).tiny)).max()),
    )


def gradient_errors(found: Array, exact: Array) -> NDArray[np.float64]:
    """Return each sample's error ``(N,)``: the norm of the difference over that of the exact."""
    rows = len(exact)
    difference = np.linalg.norm((found - exact.astype(np.float64)).reshape(rows, -1), axis=1)
    size = np.linalg.norm(exact.reshape(rows, -1), axis=1)
    return np.asarray(difference / np.maximum(size, np.finfo(np.float64).tiny))


def errors_of(found: Gradients, exact: Gradients) -> Errors:
    """Return the largest errors over the samples."""
    return Errors(
        _relative(found.losses, exact.losses),
        _relative(found.readings, exact.readings),
        float(gradient_errors(found.gradient, exact.gradient).max()),
    )


def sketch(gradient: Array) -> NDArray[np.float64]:
    """Return sums ``(N, 64)`` of gradients ``(N, ...)`` under patterns of signs.

    The mean square of a pattern's sum is the square of the norm, whatever the gradient.
    """
    flat = gradient.reshape(len(gradient), -1).astype(np.float64)
    bits = _mixed(flat.shape[1])
    patterns = range(SIGNS)
    sums = [flat @ np.where(bits >> np.uint64(one) & np.uint64(1), 1.0, -1.0) for one in patterns]
    return np.stack(sums, axis=1)


def femur_images(view: View, count: int) -> NDArray[np.float32]:
    """Return images ``(N, 2, D, H, W)`` of crooked femurs with soft edges, in muscle and fat.

    Nothing in them is symmetric, so that float32 rounds as it does in a real scan: on a box about
    the origin distances come out exact. [A] A shaft 14 mm and a head 23 mm in radius, joined by a
    neck, HU of marrow to cortex. Arithmetic alone, so that they are the same everywhere.
    """
    generator = np.random.default_rng(0)
    positions = view.positions_mm
    images = np.empty((count, 2, *view.shape), dtype=np.float32)
    for image in images:
        noise = generator.standard_normal(view.shape, dtype=np.float32)
        moved = positions - generator.uniform(-3.0, 3.0, 3)
        head = generator.uniform((22.0, -3.0, 18.0), (28.0, 3.0, 24.0))
        elbow = generator.uniform((-14.0, -3.0, -18.0), (-8.0, 3.0, -12.0))
        depth_mm = np.maximum.reduce(
            [
                23.0 - _distance(moved, head, head),
                15.0 - _distance(moved, head, elbow),
                14.0 - _distance(moved, elbow, elbow - (90.0, 4.0, 2.0)),
            ]
        )
        image[1] = np.clip(depth_mm / min(view.spacing_mm) + 0.5, 0.0, 1.0)
        cortex = np.clip(1.0 - np.abs(depth_mm - 3.0) / 4.0, 0.0, 1.0)
        soft = np.where(np.abs(positions[..., 2] - 4.0) < 40.0, 50.0, -100.0)
        image[0] = soft + image[1] * (150.0 + 700.0 * cortex) + 30.0 * noise
    return images


def _distance(
    points: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the distances ``(D, H, W)`` of points from a line between two others, mm."""
    along, offset = end - start, points - start
    share = np.clip((offset * along).sum(-1) / max(float((along**2).sum()), 1.0), 0.0, 1.0)
    return np.asarray(np.sqrt(((offset - share[..., None] * along) ** 2).sum(-1)))


def digest(images: Array) -> str:
    """Return the SHA-256 of images as float32."""
    return hashlib.sha256(np.ascontiguousarray(images, dtype="<f4").tobytes()).hexdigest()


def _relative(found: Array, exact: Array) -> float:
    difference = np.abs(found - exact.astype(np.float64))
    return float((difference / np.maximum(np.abs(exact), 1.0)).max())


def _mixed(count: int) -> NDArray[np.uint64]:
    """Return 64 random bits for each number below ``count``, the same everywhere.

    SplitMix64 (Steele, Lea and Flood 2014): arithmetic alone, which no library's version changes.
    """
    state = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(state ^ (state >> np.uint64(31)))
