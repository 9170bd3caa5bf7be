"""How much memory an ``augment`` run will need, told before it begins."""

from dataclasses import dataclass

import numpy as np

from qctkit.engine.flow import reach_mm, velocity_knots
from qctkit.engine.render import SLAB_VOXELS
from qctkit.errors import InputError
from qctkit.memory import GB, Room, held_bytes
from qctkit.pipeline.augment_plan import Plan

SCAN_BYTES = 11
"""Of each voxel of a scan, while a candidate is judged: source (2) and mask (1), what was made of
them (3), the region (1), and copies as the volume is closed (4)."""

BOX_BYTES = 8
"""Of each voxel of the box that changes: its HU with and without noise, or moved, as float32."""

SLAB_BYTES = 80
"""Of each voxel of a slab that is rendered: positions (12), HU, femur and depth, before and after,
and what edits compute on their way."""

LOOP_BYTES = 600
"""Of each voxel of the predictors' view, for each sample that is optimised at once: HU, depths and
Adam's memory, and what networks and fields keep for their gradient."""

TRUSTED_WITHIN = 1.5
"""Factor within which a peak is taken to lie of what is predicted. Rendering and judging a scan of
300 x 512 x 512 peaked at 0.92 of it, in each of two that were measured (benchmarks/RESULTS.md)."""


@dataclass(frozen=True)
class Need:
    """Memory that a run will need.

    Attributes:
        held: bytes of a process with what is the same for all candidates: libraries and the plan.
        work: bytes beside that of a process at the peak of its work on a candidate.
        workers: processes that work.
    """

    held: float
    work: float
    workers: int

    @property
    def bytes(self) -> float:
        """Of all processes together; where several work, one more waits for them."""
        return self.workers * (self.held + self.work) + (self.held if self.workers > 1 else 0.0)

    @property
    def words(self) -> str:
        """What is needed, in words."""
        processes = "1 process" if self.workers == 1 else f"{self.workers} processes"
        return f"about {self.bytes / GB:.1f} GB of memory in {processes}"


def predicted_need(plan: Plan, workers: int) -> Need:
    """Return what a run will need; ask when the plan is made, since this process's share is seen.

    Only shapes are looked at. How far an edit will move things is not known before: a slab is taken
    to be as large as slabs are meant to be.
    """
    rows = [plan.cohort.row(one) for one in {one.source_sample_id for one in plan.targets}]
    scans = [
        (
            np.array([row["depth"], row["height"], row["width"]], dtype=float),
            np.array([row[f"spacing_{axis}_mm"] for axis in ("depth", "height", "width")]),
        )
        for row in rows
    ]
    scan = max((_of_scan(plan, *one) for one in scans), default=0.0)
    loop = LOOP_BYTES * plan.batch * float(np.prod(plan.view.shape))
    return Need(held_bytes(), max(scan, loop), workers)


def _of_scan(plan: Plan, shape: np.ndarray, spacing_mm: np.ndarray) -> float:
    """Return the bytes in use at the peak of the work on a scan ``(D, H, W)``."""
    half_mm = np.asarray(plan.view.half_extent_mm)
    if plan.edit.reach_mm:
        half_mm = np.maximum(half_mm, reach_mm(velocity_knots(plan.view)))
    # Which axis of the array runs along which of the frame is not looked up: they are rarely other.
    box = np.minimum(shape, 2.0 * half_mm / spacing_mm)
    slab = min(float(box.prod()), float(SLAB_VOXELS))
    return float(SCAN_BYTES * shape.prod() + BOX_BYTES * box.prod() + SLAB_BYTES * slab)


def refuse_without_room(need: Need, here: Room | None) -> None:
    """Refuse a run that plainly needs more than there is, before it begins.

    Raises:
        InputError: even what is needed at least, by the factor that predictions are trusted in, is
            more than this machine or what limits this process on it has.
    """
    if here is None or need.bytes / TRUSTED_WITHIN <= here.bytes:
        return
    raise InputError(f"the run needs {need.words}, and {here.words}; {_advice(need, here)}")


def _advice(need: Need, here: Room) -> str:
    """Return what to do, in words."""
    for fewer in range(need.workers - 1, 0, -1):
        if Need(need.held, need.work, fewer).bytes <= here.bytes:
            return f"give fewer processes (-j {fewer})"
    return (
        "give one process (-j 1) and a smaller --batch, scans of fewer voxels, or a machine or job "
        "with more memory"
    )
