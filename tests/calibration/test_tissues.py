from pathlib import Path

import numpy as np
import pytest

from qctkit.errors import InputError
from qctkit.geometry import Geometry
from qctkit.phantoms.tissues import (
    REFERENCES,
    TissueReference,
    Tissues,
    find_tissues,
    from_scan,
    from_tissues,
)
from qctkit.readers.nifti import read_nifti
from qctkit.simulate import SimulationSettings, simulate_cohort
from qctkit.units import Material, Unit
from qctkit.volume import Volume

SHAPE = (12, 60, 60)


def body(
    *, air_hu: float = -1000.0, fat_hu: float = -103.0, muscle_hu: float = 54.0, noise: float = 20.0
) -> Volume:
    """Bone in muscle in fat in air."""
    _, h, w = np.indices(SHAPE) - 30
    radius = np.hypot(h, w)
    hu = np.select([radius < 6, radius < 18, radius < 25], [700.0, muscle_hu, fat_hu], air_hu)
    hu = np.rint(hu + noise * np.random.default_rng(1).standard_normal(SHAPE))
    return Volume(hu, Geometry.from_spacing(SHAPE, (3.0, 1.0, 1.0)))


@pytest.mark.parametrize("noise", [8.0, 27.0])
def test_peaks_are_found_through_a_scans_noise(noise: float) -> None:
    found = find_tissues(body(noise=noise))
    assert found.air_hu == pytest.approx(-1000, abs=4)
    assert found.fat_hu == pytest.approx(-103, abs=5)
    assert found.muscle_hu == pytest.approx(54, abs=5)


def test_padding_outside_the_field_of_view_is_no_air() -> None:
    voxels = body(air_hu=-1000.0).voxels.copy()
    voxels[:, :, :20] = -1024
    found = find_tissues(Volume(voxels, Geometry.from_spacing(SHAPE, (3.0, 1.0, 1.0))))
    assert found.air_hu == pytest.approx(-1000, abs=4)


def test_the_foam_of_a_couch_is_no_air() -> None:
    voxels = body(air_hu=-1000.0, noise=8.0).voxels.copy()
    voxels[:, 56:, :] = np.rint(np.random.default_rng(0).normal(-960, 8, voxels[:, 56:, :].shape))
    voxels[:, :, :6] = np.rint(np.random.default_rng(0).normal(-960, 8, voxels[:, :, :6].shape))
    found = find_tissues(Volume(voxels, Geometry.from_spacing(SHAPE, (3.0, 1.0, 1.0))))
    assert found.air_hu == pytest.approx(-1000, abs=4)


def test_the_simulated_cohort_shows_its_own_tissues() -> None:
    settings = SimulationSettings(spacing_mm=(5.0, 5.0, 5.0))
    for sample in simulate_cohort(4, 0, settings):
        found = find_tissues(sample.volume)
        assert found.air_hu == pytest.approx(-1000, abs=3)
        assert found.fat_hu == pytest.approx(-103, abs=6)
        assert sample.truth is not None
        assert found.muscle_hu == pytest.approx(sample.truth["muscle_hu"], abs=6)


def test_densities_of_the_simulated_scanners_own_phantom_give_its_line_back() -> None:
    """With densities of the tissues as this scanner's calibration gives them, no error is left but
    that of finding the peaks."""
    sample = next(iter(simulate_cohort(1, 0, SimulationSettings(spacing_mm=(5.0, 5.0, 5.0)))))
    line = sample.volume.calibration
    assert line is not None
    densities = (float(line.density_mg_cm3(np.array(hu))) for hu in (-1000, -103, 54))
    reference = TissueReference("own", "own", line.material, *densities, "the simulator")
    found = from_scan(sample.volume, reference)
    assert float(found.density_mg_cm3(np.array(500))) == pytest.approx(
        float(line.density_mg_cm3(np.array(500))), rel=0.015
    )


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda one: one.name)
def test_the_result_is_marked_approximate(reference: TissueReference) -> None:
    found = from_tissues(Tissues(-998.0, -104.0, 52.0), reference, 120.0)
    assert found.is_approximate
    assert found.material is Material.HA
    assert found.in_words.endswith(f"air, fat and muscle by {reference.title}")  # and no r
    assert found.tube_voltage_kvp == 120.0


def test_tissues_at_their_reference_densities_give_the_identity() -> None:
    reference = TissueReference("unit", "unit", Material.HA, -1000.0, -100.0, 50.0, "none")
    found = from_tissues(Tissues(-1000.0, -100.0, 50.0), reference)
    assert found.slope_mg_cm3_per_hu == pytest.approx(1.0)
    assert found.intercept_mg_cm3 == pytest.approx(0.0, abs=1e-9)
    assert found.residual_mg_cm3 == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("tissue", "values"),
    [
        ("air", (-500.0, -100.0, 50.0)),
        ("fat", (-1000.0, 50.0, -100.0)),
        ("muscle", (-1000.0, -100.0, 300.0)),
        ("air", (float("nan"), -100.0, 50.0)),
    ],
)
def test_values_that_cannot_be_the_tissue_are_refused(
    tissue: str, values: tuple[float, float, float]
) -> None:
    with pytest.raises(InputError, match=f"^{tissue} at"):
        Tissues(*values)


def test_a_scan_cropped_to_the_bone_is_refused() -> None:
    volume = body()
    box = (slice(0, 12), slice(20, 40), slice(20, 40))
    cropped = Volume(volume.voxels[box], volume.geometry.crop(box))
    with pytest.raises(InputError, match="no peak of air") as caught:
        find_tissues(cropped)
    assert "cropped to the bone" in str(caught.value)


def test_a_scan_in_mg_cm3_is_refused() -> None:
    volume = body()
    with pytest.raises(InputError, match="already"):
        find_tissues(Volume(volume.voxels, volume.geometry, Unit.MG_CM3_HA))


def test_references_say_what_was_only_recalled() -> None:
    assert all("Recalled, not verified" in reference.source for reference in REFERENCES)


SCANS = (
    *(
        f"ibsi-sts/STS_{number}"
        for number in ("001", "012", "015", "020", "026", "031", "040", "044")
    ),
    "tcga-ov-pelvis/TCGA-09-2043_pelvis",
    "totalseg-example/totalseg_example",
)


@pytest.mark.parametrize("scan", SCANS)
def test_real_scans_show_air_fat_and_muscle(real_data: Path, scan: str) -> None:
    found = read_nifti(real_data / "ct" / f"{scan}_ct.nii.gz")
    tissues = find_tissues(found.volume)
    assert -1020 <= tissues.air_hu <= -990
    assert -110 <= tissues.fat_hu <= -88
    assert 18 <= tissues.muscle_hu <= 60
    assert 0.78 <= from_tissues(tissues).slope_mg_cm3_per_hu <= 0.81
