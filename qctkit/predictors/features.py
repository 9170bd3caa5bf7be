"""Physical features of a hip: sizes, cortex, densities and soft tissue, differentiable in the HU.

What a reader would measure with calipers and regions of interest, with soft edges in place of hard
ones.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

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
        places = self.places(image[:, 1].flatten(1))
        return self.measured(image[:, 0].flatten(1), places)

    def places(self, femur: Tensor) -> "Places":
        """Return what femurs ``(N, V)`` say of where things are measured."""
        return _places(self.tissue(femur))

    def tissue(self, femur: Tensor) -> Tissue:
        """Return femurs ``(N, V)`` on the view's grid."""
        return Tissue(femur, self.positions_mm, self._shape, self._spacing_mm)

    def measured(self, hu: Tensor, places: "Places") -> Tensor:
        """Return features ``(N, F)`` of HU ``(N, V)``."""
        found = {
            **places.sizes,
            **_cortex(hu, places.bone),
            **_densities(hu, places.bone),
            **_muscle(hu, places),
            **_soft_tissue(hu, places),
        }
        return torch.stack([found[name] for name in FEATURES], dim=1)


class StillFeatures:
    """The features of femurs that stay while their HU change, as in most steps of a loop.

    What femurs say is found once for each batch, and bone is looked for where some is.
    """

    def __init__(self, features: PhysicalFeatures) -> None:
        self._features = features
        self._femur: Tensor | None = None

    def __call__(self, hu: Tensor, femur: Tensor) -> Tensor:
        """Return features ``(N, F)`` of HU and the femur's share, each ``(N, D, H, W)``."""
        hu, femur = hu.flatten(1), femur.flatten(1)
        if femur.requires_grad:
            return self._features.measured(hu, self._features.places(femur))
        if self._femur is None or not torch.equal(self._femur, femur):
            quick = self._features.tissue(femur).smoothing(SURROUNDING_MM)
            places = replace(self._features.places(femur), smoothed=quick)
            self._femur, self._places, bone = femur, places, places.bone
            near = ((bone.rim > 0.0) | (femur > 0.0)).any(dim=0)
            (self._voxels,) = near.nonzero(as_tuple=True)
            self._bone = bone.at(self._voxels)
        near_hu = hu.index_select(1, self._voxels)
        found = {
            **self._places.sizes,
            **_cortex(near_hu, self._bone),
            **_densities(near_hu, self._bone),
            **_muscle(hu, self._places),
            **_soft_tissue(hu, self._places),
        }
        return torch.stack([found[name] for name in FEATURES], dim=1)


@dataclass(frozen=True, eq=False)
class BonePlaces:
    """Weights ``(N, V)`` of where bone is measured: 0 away from the femur.

    Attributes:
        femur: the femur's share of what every scan shows of it.
        deep: of what lies below the neck.
        rim: of the cortex and its blur.
        cortex: regions of the cortex, by name.
        surface_mm2: of each of these, ``(N,)``.
        means: of regions whose mean HU are features, by name.
        core, shell: of the upper and the lower half.
    """

    femur: Tensor
    deep: Tensor
    rim: Tensor
    cortex: Mapping[str, Tensor]
    surface_mm2: Mapping[str, Tensor]
    means: Mapping[str, Tensor]
    core: Mapping[str, Tensor]
    shell: Mapping[str, Tensor]
    voxel_mm3: float

    def at(self, voxels: Tensor) -> "BonePlaces":
        """Return the weights of some voxels alone, by index ``(W,)``."""

        def some(regions: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: weight[:, voxels] for name, weight in regions.items()}

        return replace(
            self,
            femur=self.femur[:, voxels],
            deep=self.deep[:, voxels],
            rim=self.rim[:, voxels],
            cortex=some(self.cortex),
            means=some(self.means),
            core=some(self.core),
            shell=some(self.shell),
        )


@dataclass(frozen=True, eq=False)
class Places:
    """What femurs say of where things are measured: all that does not depend on HU.

    Attributes:
        sizes: features of size, ``(N,)`` by name.
        bone: where bone is measured.
        away: weight ``(N, V)`` of what is clear of the femur; ``rest`` of what is not femur.
        full: what ``smoothed`` gives of ones ``(1, V)``.
        soft: weights ``(V,)`` of regions of soft tissue, by name.
        smoothed: a Gaussian over what surrounds a voxel.
    """

    sizes: Mapping[str, Tensor]
    bone: BonePlaces
    away: Tensor
    rest: Tensor
    full: Tensor
    soft: Mapping[str, Tensor]
    smoothed: Callable[[Tensor], Tensor]
    voxel_mm3: float


def _places(tissue: Tissue) -> Places:
    marks = landmarks(tissue)

    def smoothed(rows: Tensor) -> Tensor:
        return tissue.smoothed(rows, SURROUNDING_MM)

    return Places(
        sizes=_sizes(tissue, marks),
        bone=_bone_places(tissue, marks),
        away=below(tissue.smoothed(tissue.femur, tissue.spacing_mm), 0.02, 0.005),
        rest=1.0 - tissue.femur,
        full=smoothed(torch.ones_like(tissue.femur[:1])),
        soft=_soft_regions(tissue),
        smoothed=smoothed,
        voxel_mm3=tissue.voxel_mm3,
    )


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


def _bone_places(tissue: Tissue, marks: Landmarks) -> BonePlaces:
    superior, surface = tissue.positions_mm[:, 0], tissue.surface_mm2()
    core = tissue.eroded_femur(CORTEX_DEPTH_MM)
    shell = tissue.femur - tissue.eroded_femur(tissue.spacing_mm)
    neck = marks.neck(width_mm=6.0, radius_mm=28.0)
    cortex = {
        "shaft": marks.shaft,
        "neck_inferior": neck * above(-marks.upward, 0.85, 0.05),
        "neck_superior": neck * above(marks.upward, 0.7, 0.05),
        "neck_sides": neck * below(marks.upward.abs(), 0.4, 0.05),
        "head": below(marks.from_head, 32.0) * below(marks.along, 4.0),
    }
    halves = {
        "upper": (superior > 0.0).float(),
        "lower": ((superior <= 0.0) & (superior > PROXIMAL_FROM_MM)).float(),
    }
    trochanter = torch.exp(-0.5 * ((marks.along - 60.0) / 8.0) ** 2) * (superior > -40.0)
    return BonePlaces(
        femur=tissue.femur * (superior > PROXIMAL_FROM_MM),
        deep=tissue.femur * (superior < -20.0),
        rim=(tissue.grown_femur() - core).clamp(min=0.0),
        cortex={name: region.expand_as(core) for name, region in cortex.items()},
        surface_mm2={name: (surface * region).sum(1) for name, region in cortex.items()},
        means={
            "core_head_hu": core * below(marks.from_head, 16.0),
            "core_neck_hu": core * marks.neck(width_mm=6.0, radius_mm=25.0),
            "core_trochanter_hu": core * trochanter,
        },
        core={name: core * half for name, half in halves.items()},
        shell={name: shell * half for name, half in halves.items()},
        voxel_mm3=tissue.voxel_mm3,
    )


def _cortex(hu: Tensor, places: BonePlaces) -> dict[str, Tensor]:
    """Return cortical mass per surface (HU mm): what blur moves about but does not change.

    After the cortical mass surface density of Treece et al. (2010).
    """
    found = {}
    for name, region in places.cortex.items():
        from_hu = CALCAR_FROM_HU if name == "neck_inferior" else CORTEX_FROM_HU
        mass = (torch.relu(hu - from_hu) * places.rim * region).sum(1) * places.voxel_mm3
        thickness = mass / places.surface_mm2[name].clamp(min=1.0)
        found[f"cortex_{name}_log_hu_mm"] = thickness.clamp(min=10.0).log()
    dense = above(hu, 700.0, 40.0) * places.deep
    found["cortex_peak_log_hu"] = weighted_mean(hu, dense).clamp(min=100.0).log()
    return found


def _densities(hu: Tensor, places: BonePlaces) -> dict[str, Tensor]:
    found = {name: weighted_mean(hu, weight) for name, weight in places.means.items()}
    for name, core in places.core.items():
        shell = places.shell[name]
        inner, outer = weighted_mean(hu, core), weighted_mean(hu, shell)
        variance = weighted_mean((hu - inner[:, None]) ** 2, core)
        excess = weighted_mean(torch.relu(hu - outer[:, None]), shell)
        found[f"core_{name}_hu"] = inner
        found[f"core_{name}_spread_hu"] = torch.sqrt(variance + 1.0)
        found[f"shell_{name}_hu"] = outer
        found[f"shell_{name}_high_hu"] = outer + excess
    found["bone_hu"] = weighted_mean(hu, places.femur)
    for level in QUANTILES_HU:
        found[f"share_above_{level:.0f}_hu"] = weighted_mean(above(hu, level, 25.0), places.femur)
    return found


def _muscle(hu: Tensor, places: Places) -> dict[str, Tensor]:
    """Return HU of the muscle compartment and the share of fat between its muscles."""
    around = places.smoothed(above(hu, -20.0, 10.0))
    compartment = above(around / places.full, LEAN_SURROUNDING, 0.03) * places.away
    compartment = compartment * below(hu, 140.0, 10.0) * above(hu, -300.0, 30.0)
    level = hu.clamp(-130.0, 90.0)
    mean = weighted_mean(level, compartment)
    variance = weighted_mean((level - mean[:, None]) ** 2, compartment)
    return {
        "muscle_hu": mean,
        "muscle_spread_hu": torch.sqrt(variance + 1.0),
        "muscle_fat_share": weighted_mean(below(level, -30.0, 20.0), compartment),
    }


def _soft_tissue(hu: Tensor, places: Places) -> dict[str, Tensor]:
    """Return volumes (cm3) on the lateral side alone: on the other the view ends in the midline."""
    rest = places.rest
    tissues = {
        "body": above(hu, -500.0, 50.0) * rest,
        "fat": above(hu, -180.0, 15.0) * below(hu, -30.0, 15.0) * rest,
        "muscle": above(hu, -20.0, 10.0) * below(hu, 140.0, 10.0) * rest,
    }
    voxel_cm3 = places.voxel_mm3 / 1000.0
    found = {}
    for region, weight in places.soft.items():
        for name, share in tissues.items():
            found[f"{name}_{region}_cm3"] = (share * weight).sum(1) * voxel_cm3
    return found


def _soft_regions(tissue: Tissue) -> dict[str, Tensor]:
    superior, anterior, medial = tissue.positions_mm.T
    lateral = medial < 0.0
    regions = {
        "lateral_front": (lateral & (anterior > 0.0)).float(),
        "lateral_back": (lateral & (anterior <= 0.0)).float(),
    }
    for degrees in FAT_DIRECTIONS_DEG:
        regions[f"at_{degrees}_deg"] = _sheet(tissue, math.radians(degrees)) * (
            superior.abs() < 30.0
        )
    return regions


def _sheet(tissue: Tissue, angle: float) -> Tensor:
    """Return the weight ``(V,)`` of a sheet outwards from the axis, lateral turning anterior."""
    _, anterior, medial = tissue.positions_mm.T
    out = math.sin(angle) * anterior - math.cos(angle) * medial
    off = math.cos(angle) * anterior + math.sin(angle) * medial
    weight: Tensor = torch.exp(-0.5 * (off / 6.0) ** 2) * (out > 0.0)
    return weight
