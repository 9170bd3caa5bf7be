"""Persons to samples: anatomy, scan, truth and record."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from qctkit.cohort import FemurMask, MaskOrigin, Sample, Side
from qctkit.errors import InputError
from qctkit.simulate.anatomy import Anatomy
from qctkit.simulate.person import PROVENANCE_KEY, Person, draw_person
from qctkit.simulate.render import render
from qctkit.simulate.scanner import CALIBRATION, blur, noise, noise_factor
from qctkit.simulate.settings import SimulationSettings
from qctkit.simulate.truth import anatomy_truth
from qctkit.units import Unit
from qctkit.volume import INT16_RANGE, Volume

DEFAULT_SETTINGS = SimulationSettings()

COUNTERFACTUAL_SUFFIX = "-counterfactual"


def simulate_person(person: Person, settings: SimulationSettings = DEFAULT_SETTINGS) -> Sample:
    """Return a person's left hip as a sample: int16 HU, true mask, truth and provenance."""
    record = {**person.record(), "settings": settings.record()}
    return _sample(Anatomy(person, person), person, settings, person.person_id, record)


def simulate_counterfactual(
    person: Person,
    target: Person,
    settings: SimulationSettings = DEFAULT_SETTINGS,
    *,
    density_only: bool,
) -> Sample:
    """Return the same individual with the target's attributes, scanned with the same noise.

    With ``density_only`` the outer shape of the femur, the pelvis, the soft tissue, and what the
    size of the body does to contrast and noise, stay those of ``person``; trabecular and cortical
    density and cortical thickness of the femur become the target's. The cortex thins or thickens
    at its inner surface, which counts as a change of density: the mask stays. Without it, the
    sample has the target's voxels.

    ``person_of`` gives the person whose body is shown; the labels are the target's.

    Raises:
        InputError: the target is another individual.
    """
    if (person.seed, person.index, person.variation) != (
        target.seed,
        target.index,
        target.variation,
    ):
        raise InputError(
            f"{target.person_id} of seed {target.seed} is not {person.person_id} of seed "
            f"{person.seed}; make the target with counterfactual()"
        )
    body = person if density_only else target
    record = {
        **body.record(),
        "settings": settings.record(),
        "counterfactual": {
            "density_only": density_only,
            "source": person.record(),
            "target": target.record(),
        },
    }
    sample_id = person.person_id + COUNTERFACTUAL_SUFFIX
    return _sample(Anatomy(body, target), target, settings, sample_id, record)


def simulate_cohort(
    subjects: int, seed: int, settings: SimulationSettings = DEFAULT_SETTINGS
) -> Iterator[Sample]:
    """Yield the first subjects of a seed, one in memory at a time.

    Raises:
        InputError: the number of subjects is not positive, or the seed is negative.
    """
    if subjects < 1:
        raise InputError(f"a cohort needs at least one subject, got {subjects}")
    draw_person(seed, 0)  # refuses a bad seed here rather than at the first step
    return (simulate_person(draw_person(seed, index), settings) for index in range(subjects))


def _sample(
    anatomy: Anatomy,
    labels: Person,
    settings: SimulationSettings,
    sample_id: str,
    record: dict[str, Any],
) -> Sample:
    geometry = settings.geometry
    rendering = render(anatomy, geometry)
    grain = noise(anatomy.person, settings)
    hu = (
        blur(rendering.hu, settings)
        + np.float32(settings.noise_hu * noise_factor(anatomy.person)) * grain
    )
    voxels = np.clip(np.rint(hu), *INT16_RANGE).astype(np.int16)
    return Sample(
        sample_id=sample_id,
        subject=labels.subject,
        volume=Volume(voxels, geometry, Unit.HU, CALIBRATION),
        femur=FemurMask(rendering.femur, Side.LEFT, MaskOrigin.SIMULATED),
        provenance={PROVENANCE_KEY: record},
        truth=anatomy_truth(anatomy),
    )
