"""How far an atlas must be followed, so that measures move as they follow the attributes.

Registration is stiff and slopes are shrunken, so that what an atlas does to a femur is less than
what the regressions of the measures themselves say. The cohort's own subjects tell by how much.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from qctkit.contracts import Edit
from qctkit.engine.atlas import Atlas
from qctkit.engine.edits.composition import from_atlas
from qctkit.engine.effects import Array, Design
from qctkit.engine.scenes import view_scene
from qctkit.predictors.spread import FeatureReader

SUBJECTS = 10
LEAST, LARGEST = 0.8, 1.6
"""Subjects on whom the atlas is checked, and how far it may be corrected."""

Measured = tuple[FeatureReader, Array]
"""A reader of measures, and what it measures of the cohort, ``(N, F)``."""


def at_full_size(atlas: Atlas, edit: Edit, images: Tensor, readers: Sequence[Measured]) -> Atlas:
    """Return the atlas with the amplitude of each attribute's effect.

    Each attribute is moved by a standard deviation, towards the mean, in some of the cohort's own
    subjects ``(N, 2, D, H, W)``; the amplitude is the least-squares factor between what is then
    measured and what should be.
    """
    if not readers:
        return atlas
    places = np.unique(np.linspace(0, len(atlas.design.rows) - 1, SUBJECTS).round().astype(int))
    factors = []
    for column in range(len(atlas.design.names)):
        changes = _changes(atlas.design, places, column)
        factors.append(_factor(atlas, edit, images, readers, places, changes))
    return replace(atlas, amplitude=np.clip(factors, LEAST, LARGEST))


def measures(reader: FeatureReader, images: Tensor) -> Array:
    """Return the measures ``(N, F)`` of images ``(N, 2, D, H, W)``, one at a time."""
    with torch.no_grad():
        found = torch.cat([reader.measure(one[None]) for one in images])
    return np.asarray(found.double().numpy())


def measure_effects(design: Design, reader: FeatureReader, measured: Array) -> Array:
    """Return the change ``(A, F)`` of measures per unit of each attribute."""
    effects = design.effects(measured)
    shape = list(reader.shape_columns)
    effects[:, shape] = design.bone_shape_effects(measured[:, shape])
    return effects


def _changes(design: Design, places: Array, column: int) -> Array:
    """Return changes ``(n, A)`` of one attribute by its spread, towards the mean."""
    values = design.values[:, column]
    changes = np.zeros((len(places), len(design.names)))
    changes[:, column] = np.where(values[places] > values.mean(), -1.0, 1.0) * values.std()
    return changes


def _factor(
    atlas: Atlas,
    edit: Edit,
    images: Tensor,
    readers: Sequence[Measured],
    places: Array,
    changes: Array,
) -> float:
    """Return the factor between what changes of the atlas are measured to do, and should do."""
    rows = [atlas.design.rows[place] for place in places]
    start = edit.start(len(rows), atlas.view)
    start |= from_atlas(edit, atlas.own_starts(rows, changes))
    with torch.no_grad():
        after = edit.apply(view_scene(images[rows], atlas.view), start)
    shown = torch.stack([after.hu, after.femur], dim=1)
    across = along = 0.0
    for reader, measured in readers:
        spread = atlas.design.residual_sd(measured)
        found = (measures(reader, shown) - measured[rows]) / spread
        wanted = changes @ measure_effects(atlas.design, reader, measured) / spread
        across += float((found * wanted).sum())
        along += float(np.square(found).sum())
    return across / max(along, 1e-9)
