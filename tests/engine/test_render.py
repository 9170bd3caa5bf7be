from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from qctkit.cohort import FemurMask, Sample
from qctkit.contracts import Edit
from qctkit.engine import fields
from qctkit.engine import render as rendering
from qctkit.engine.edits.composition import compose, moving_part
from qctkit.engine.edits.density_field import DensityField
from qctkit.engine.edits.morph import Morph
from qctkit.engine.edits.soft_tissue import SoftTissue
from qctkit.engine.render import Rendering, moved_hu, render
from qctkit.frame import FemurFrame
from qctkit.view import View, spacing_of
from qctkit.volume import Volume

VIEW = View((36, 30, 30), spacing_of(3.0))
ALL = compose([DensityField(), SoftTissue(), Morph()])
slabs_of = rendering._slabs


def _parameters(edit: Edit, size: float, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: size * edit.spreads[name] * torch.randn(zero.shape[1:], generator=generator)
        for name, zero in edit.start(1, VIEW).items()
    }


def _shift_mm(mm: float) -> dict[str, torch.Tensor]:
    parameters = {name: zero[0] for name, zero in Morph().start(1, VIEW).items()}
    parameters["velocity_mm"][2] = mm  # medial
    return parameters


def _render(
    sample: Sample, frame: FemurFrame, edit: Edit, parameters: dict[str, torch.Tensor]
) -> Rendering:
    return render(sample, edit, parameters, edit.region(sample, frame, VIEW), frame, VIEW)


def _agreement(volume: Volume, femur: FemurMask) -> float:
    """Return the Dice overlap of a mask with what is brighter than soft tissue."""
    bone = ndimage.gaussian_filter(volume.voxels.astype(float), 0.7) > 150
    return float(2 * (bone & femur.voxels).sum() / (bone.sum() + femur.voxels.sum()))


def test_the_mask_moves_with_the_bone(sample: Sample, frame: FemurFrame) -> None:
    made = _render(sample, frame, Morph(), _shift_mm(6.0))
    middle = slice(12, 30)  # the knots' field is even here
    before, after = (
        np.argwhere(one.voxels[middle]).mean(axis=0) for one in (sample.femur, made.femur)
    )
    np.testing.assert_allclose(after - before, (0.0, 0.0, 2.0), atol=0.3)  # 3 mm voxels
    assert _agreement(made.volume, made.femur) > _agreement(sample.volume, sample.femur) - 0.02
    assert _agreement(made.volume, sample.femur) < _agreement(made.volume, made.femur) - 0.05


def test_a_mask_that_moves_keeps_its_side_and_origin(sample: Sample, frame: FemurFrame) -> None:
    made = _render(sample, frame, Morph(), _shift_mm(6.0)).femur
    assert (made.side, made.origin) == (sample.femur.side, sample.femur.origin)


def test_a_whole_composition_changes_its_region_alone_and_keeps_whole_numbers(
    sample: Sample, frame: FemurFrame
) -> None:
    made = _render(sample, frame, ALL, _parameters(ALL, 0.5))
    region = ALL.region(sample, frame, VIEW)
    assert made.volume.voxels.dtype == np.int16
    assert not (made.volume.voxels != sample.volume.voxels)[~region].any()
    assert (made.volume.voxels != sample.volume.voxels)[region].mean() > 0.5


def test_noise_stays_where_it_was_while_tissue_moves(sample: Sample, frame: FemurFrame) -> None:
    # Even soft tissue around the bone shows nothing but noise.
    made = _render(sample, frame, Morph(), _shift_mm(6.0))
    far = ndimage.binary_dilation(sample.femur.voxels | made.femur.voxels, iterations=3)
    old, new = (one.voxels[~far].astype(float) for one in (sample.volume, made.volume))
    assert np.corrcoef(old, new)[0, 1] > 0.95
    assert new.std() == pytest.approx(old.std(), rel=0.05)


def test_a_change_of_density_leaves_the_noise_as_strong_as_it_was(
    sample: Sample, frame: FemurFrame
) -> None:
    edit = DensityField()
    parameters = {name: zero[0] for name, zero in edit.start(1, VIEW).items()}
    parameters["log_factor"] += np.log(0.6)
    made = _render(sample, frame, edit, parameters)
    core = ndimage.binary_erosion(sample.femur.voxels, iterations=3)
    old, new = (one.voxels.astype(float) for one in (sample.volume, made.volume))
    assert new[core].mean() == pytest.approx(0.6 * old[core].mean(), rel=0.1)
    fine = [one - ndimage.uniform_filter(one, (0, 3, 3)) for one in (old, new)]
    # In so few voxels not all noise can be told from bone; all scaled would be 0.6.
    assert 0.8 < fine[1][core].std() / fine[0][core].std() < 1.05


def test_slabs_give_what_the_whole_gives(
    sample: Sample, frame: FemurFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    gentle = _parameters(ALL, 0.3)
    whole = _render(sample, frame, ALL, gentle)
    monkeypatch.setattr(rendering, "SLAB_VOXELS", 1)
    monkeypatch.setattr(fields, "POINTS_AT_ONCE", 3000)
    shape, margins_mm = sample.volume.voxels.shape, []
    monkeypatch.setattr(
        rendering, "_slabs", lambda *given: margins_mm.append(given[2]) or slabs_of(*given)
    )
    parts = _render(sample, frame, ALL, gentle)
    assert len(list(slabs_of(shape, 3.0, *margins_mm))) > 2
    apart = np.abs(whole.volume.voxels.astype(int) - parts.volume.voxels)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3
    np.testing.assert_array_equal(whole.femur.voxels, parts.femur.voxels)


def test_the_moving_part_leaves_density_alone(sample: Sample, frame: FemurFrame) -> None:
    parameters = _parameters(ALL, 0.5)
    alone = moving_part(ALL, parameters)
    assert (alone["density-field.shift_hu"] == 0.0).all()
    assert torch.equal(alone["morph.velocity_mm"], parameters["morph.velocity_mm"])
    making = (sample, ALL, parameters, ALL.region(sample, frame, VIEW), frame, VIEW)
    made, moved = render(*making), moved_hu(*making)
    inside = made.femur.voxels
    assert np.corrcoef(made.volume.voxels[inside], moved[inside])[0, 1] > 0.95


def test_the_noise_of_fractional_voxels_is_kept_to_the_last_bit_where_nothing_moves(
    sample: Sample, frame: FemurFrame
) -> None:
    volume = sample.volume.with_voxels(sample.volume.voxels + np.float32(0.3))
    fractional = replace(sample, volume=volume)
    still = {name: zero[0] for name, zero in ALL.start(1, VIEW).items()}
    made = _render(fractional, frame, ALL, still)
    np.testing.assert_array_equal(made.volume.voxels, volume.voxels)
