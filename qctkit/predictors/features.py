"""Physical features of a hip: sizes, cortex, densities and soft tissue, differentiable in the HU.

What a reader would measure with calipers and regions of interest, with soft edges in place of hard
ones.
"""

import math

import torch
from torch import Tensor, nn

from qctkit.predictors.landmarks import (
    SHAFT_LEVELS_MM,
    Landmarks,
    Tissue,
    above,
    below,
    landmarks,
    weighted_mean,
)
from qctkit.view import View

PROXIMAL_FROM_MM = -54.0
"""Lower end of what every scan of a hip shows of the femur."""

CORTEX_DEPTH_MM = 6.0
"""A cortex of up to 4 mm, and the blur to its inner side."""

CORTEX_FROM_HU, CALCAR_FROM_HU = 100.0, 300.0
"""What exceeds this counts as cortex; beside the calcar trabecular bone is denser."""

QUANTILES_HU = (100.0, 200.0, 300.0, 500.0, 820.0)
"""Shares of bone above these stand for quantiles; 300 to 820 HU is the bone band."""

SURROUNDING_MM = 9.0
LEAN_SURROUNDING = 0.6
"""Muscle compartment: where so much of the surrounding is muscle or bone, not subcutaneous fat."""

FAT_DIRECTIONS_DEG = (0, 25, 50, 75)
"""From lateral towards anterior."""

SIZE = (
    *(
        f"{name}_log_mm"
        for name in (
            "head_radius",
            "neck_radius",
            "shaft_radius",
            "axis_length",
            "volume_root",
            "extent_superior",
            "extent_anterior",
            "extent_medial",
            "frontal_outline_root",
        )
    ),
    "neck_slope",
)
CORTEX = (
    *(
        f"cortex_{name}_log_hu_mm"
        for name in ("shaft", "neck_inferior", "neck_superior", "neck_sides", "head")
    ),
    "cortex_peak_log_hu",
)
DENSITY = (
    *(f"core_{name}_hu" for name in ("head", "neck", "trochanter", "upper", "lower")),
    *(f"core_{name}_spread_hu" for name in ("upper", "lower")),
    *(f"shell_{name}_hu" for name in ("upper", "lower")),
    *(f"shell_{name}_high_hu" for name in ("upper", "lower")),
    "bone_hu",
    *(f"share_above_{level:.0f}_hu" for level in QUANTILES_HU),
)
MUSCLE = ("muscle_hu", "muscle_spread_hu", "muscle_fat_share")
SOFT = (
    *(
        f"{tissue}_lateral_{side}_cm3"
        for side in ("front", "back")
        for tissue in ("body", "fat", "muscle")
    ),
    *(
        f"{tissue}_at_{degrees}_deg_cm3"
        for degrees in FAT_DIRECTIONS_DEG
        for tissue in ("fat", "body")
    ),
)
FEATURES = SIZE + CORTEX + DENSITY + MUSCLE + SOFT
"""Sizes are logarithms of mm and cortical masses of HU mm, so that ratios are linear."""


class PhysicalFeatures(nn.Module):
    """``(N, 2, D, H, W)`` (HU, femur share) to ``(N, F)``, in the order of ``FEATURES``.

    Raises:
        InputError: the view's spacing is not the same along all axes.
    """

    positions_mm: Tensor

    def __init__(self, view: View) -> None:
        super().__init__()
        positions = torch.from_numpy(view.positions_mm).float().reshape(-1, 3)
        # Known from the view: not a weight to be stored.
        self.register_buffer("positions_mm", positions, persistent=False)
        self._shape, self._spacing_mm = view.shape, view.cube_mm

    def forward(self, image: Tensor) -> Tensor:
        """Return features ``(N, F)``."""
        hu, femur = image[:, 0].flatten(1), image[:, 1].flatten(1)
        tissue = Tissue(hu, femur, self.positions_mm, self._shape, self._spacing_mm)
        marks = landmarks(tissue)
        found = {
            **_sizes(tissue, marks),
            **_cortex(tissue, marks),
            **_densities(tissue, marks),
            **_muscle(tissue),
            **_soft_tissue(tissue),
        }
        return torch.stack([found[name] for name in FEATURES], dim=1)


def _sizes(tissue: Tissue, marks: Landmarks) -> dict[str, Tensor]:
    proximal = tissue.grid(tissue.femur * (tissue.positions_mm[:, 0] > PROXIMAL_FROM_MM))[:, 0]
    step = tissue.spacing_mm
    low, high = SHAFT_LEVELS_MM
    shaft_mm2 = (tissue.femur * marks.shaft).sum(1) * tissue.voxel_mm3 / (high - low)
    rod_mm2 = math.pi * 8.0**2
    lengths = {
        "head_radius": torch.sqrt(marks.head_mm2 / math.pi),
        "neck_radius": torch.sqrt(marks.neck_mm2.clamp(min=50.0) / math.pi),
        "shaft_radius": torch.sqrt(shaft_mm2.clamp(min=50.0) / math.pi),
        # A rod of 8 mm along the neck's axis, from the head's surface to the lateral one.
        "axis_length": (tissue.femur * below(marks.across, 8.0, 1.0)).sum(1)
        * (tissue.voxel_mm3 / rod_mm2),
        "volume_root": (proximal.sum((1, 2, 3)) * tissue.voxel_mm3) ** (1 / 3),
        "extent_superior": proximal.amax(dim=(2, 3)).sum(1) * step,
        "extent_anterior": proximal.amax(dim=(1, 3)).sum(1) * step,
        "extent_medial": proximal.amax(dim=(1, 2)).sum(1) * step,
        "frontal_outline_root": torch.sqrt(proximal.amax(dim=2).sum((1, 2))) * step,
    }
    logs = {f"{name}_log_mm": value.clamp(min=1.0).log() for name, value in lengths.items()}
    return {**logs, "neck_slope": marks.slope}


def _cortex(tissue: Tissue, marks: Landmarks) -> dict[str, Tensor]:
    """Return cortical mass per surface (HU mm): what blur moves about but does not change.

    After the cortical mass surface density of Treece et al. (2010).
    """
    surface = tissue.surface_mm2()
    rim = (tissue.grown_femur() - tissue.eroded_femur(CORTEX_DEPTH_MM)).clamp(min=0.0)
    neck = marks.neck(width_mm=6.0, radius_mm=28.0)
    regions = {
        "shaft": (marks.shaft, CORTEX_FROM_HU),
        "neck_inferior": (neck * above(-marks.upward, 0.85, 0.05), CALCAR_FROM_HU),
        "neck_superior": (neck * above(marks.upward, 0.7, 0.05), CORTEX_FROM_HU),
        "neck_sides": (neck * below(marks.upward.abs(), 0.4, 0.05), CORTEX_FROM_HU),
        "head": (below(marks.from_head, 32.0) * below(marks.along, 4.0), CORTEX_FROM_HU),
    }
    found = {}
    for name, (region, from_hu) in regions.items():
        mass = (torch.relu(tissue.hu - from_hu) * rim * region).sum(1) * tissue.voxel_mm3
        thickness = mass / (surface * region).sum(1).clamp(min=1.0)
        found[f"cortex_{name}_log_hu_mm"] = thickness.clamp(min=10.0).log()
    dense = above(tissue.hu, 700.0, 40.0) * tissue.femur * (tissue.positions_mm[:, 0] < -20.0)
    found["cortex_peak_log_hu"] = weighted_mean(tissue.hu, dense).clamp(min=100.0).log()
    return found


def _densities(tissue: Tissue, marks: Landmarks) -> dict[str, Tensor]:
    superior, hu = tissue.positions_mm[:, 0], tissue.hu
    core = tissue.eroded_femur(CORTEX_DEPTH_MM)
    shell = tissue.femur - tissue.eroded_femur(tissue.spacing_mm)
    halves = {
        "upper": (superior > 0.0).float(),
        "lower": ((superior <= 0.0) & (superior > PROXIMAL_FROM_MM)).float(),
    }
    trochanter = torch.exp(-0.5 * ((marks.along - 60.0) / 8.0) ** 2) * (superior > -40.0)
    found = {
        "core_head_hu": weighted_mean(hu, core * below(marks.from_head, 16.0)),
        "core_neck_hu": weighted_mean(hu, core * marks.neck(width_mm=6.0, radius_mm=25.0)),
        "core_trochanter_hu": weighted_mean(hu, core * trochanter),
    }
    for name, half in halves.items():
        inner, outer = weighted_mean(hu, core * half), weighted_mean(hu, shell * half)
        variance = weighted_mean((hu - inner[:, None]) ** 2, core * half)
        excess = weighted_mean(torch.relu(hu - outer[:, None]), shell * half)
        found[f"core_{name}_hu"] = inner
        found[f"core_{name}_spread_hu"] = torch.sqrt(variance + 1.0)
        found[f"shell_{name}_hu"] = outer
        found[f"shell_{name}_high_hu"] = outer + excess
    bone = tissue.femur * (superior > PROXIMAL_FROM_MM)
    found["bone_hu"] = weighted_mean(hu, bone)
    for level in QUANTILES_HU:
        found[f"share_above_{level:.0f}_hu"] = weighted_mean(above(hu, level, 25.0), bone)
    return found


def _muscle(tissue: Tissue) -> dict[str, Tensor]:
    """Return HU of the muscle compartment and the share of fat between its muscles."""
    hu = tissue.hu
    lean = above(hu, -20.0, 10.0)
    around = tissue.smoothed(lean, SURROUNDING_MM)
    full = tissue.smoothed(torch.ones_like(lean[:1]), SURROUNDING_MM)
    away_from_bone = below(tissue.smoothed(tissue.femur, tissue.spacing_mm), 0.02, 0.005)
    compartment = above(around / full, LEAN_SURROUNDING, 0.03) * away_from_bone
    compartment = compartment * below(hu, 140.0, 10.0) * above(hu, -300.0, 30.0)
    level = hu.clamp(-130.0, 90.0)
    mean = weighted_mean(level, compartment)
    variance = weighted_mean((level - mean[:, None]) ** 2, compartment)
    return {
        "muscle_hu": mean,
        "muscle_spread_hu": torch.sqrt(variance + 1.0),
        "muscle_fat_share": weighted_mean(below(level, -30.0, 20.0), compartment),
    }


def _soft_tissue(tissue: Tissue) -> dict[str, Tensor]:
    """Return volumes (cm3) on the lateral side alone: on the other the view ends in the midline."""
    superior, anterior, medial = tissue.positions_mm.T
    hu, rest = tissue.hu, 1.0 - tissue.femur
    tissues = {
        "body": above(hu, -500.0, 50.0) * rest,
        "fat": above(hu, -180.0, 15.0) * below(hu, -30.0, 15.0) * rest,
        "muscle": above(hu, -20.0, 10.0) * below(hu, 140.0, 10.0) * rest,
    }
    lateral = medial < 0.0
    regions = {
        "lateral_front": (lateral & (anterior > 0.0)).float(),
        "lateral_back": (lateral & (anterior <= 0.0)).float(),
    }
    for degrees in FAT_DIRECTIONS_DEG:
        regions[f"at_{degrees}_deg"] = _sheet(tissue, math.radians(degrees)) * (
            superior.abs() < 30.0
        )
    voxel_cm3 = tissue.voxel_mm3 / 1000.0
    found = {}
    for region, weight in regions.items():
        for name, share in tissues.items():
            found[f"{name}_{region}_cm3"] = (share * weight).sum(1) * voxel_cm3
    return found


def _sheet(tissue: Tissue, angle: float) -> Tensor:
    """Return the weight ``(V,)`` of a sheet outwards from the axis, lateral turning anterior."""
    _, anterior, medial = tissue.positions_mm.T
    out = math.sin(angle) * anterior - math.cos(angle) * medial
    off = math.cos(angle) * anterior + math.sin(angle) * medial
    weight: Tensor = torch.exp(-0.5 * (off / 6.0) ** 2) * (out > 0.0)
    return weight
