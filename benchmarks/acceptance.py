"""How often do readers outside the loop accept a true change, and a copy that did not change?

Readers that learned from the same 29 subjects are weak, and a validator that trusts them must allow
for that. The true change is the oracle of ``transfer.py``: the same individual simulated with the
values asked for.

    python benchmarks/acceptance.py FOLDER [--first 3] [--repeats 3] [--sources 34]
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from predictors import on_view
from torch import Tensor
from transfer_subjects import Repeat, Shown, built_in, shown_oracle, shown_source, targets_of

from qctkit.contracts import Candidate, Reading, Role, TrainingData
from qctkit.density import DensityReference
from qctkit.networks import one_thread
from qctkit.pipeline.carry import carrying
from qctkit.pipeline.readings import readings_of
from qctkit.pipeline.reference import cohort_reference
from qctkit.predictors.trained import PredictorSet
from qctkit.progress import Silent
from qctkit.validators import attributes
from qctkit.view import HIP_VIEW

RECIPE = "femur-morph"
ALLOWED = (0.75, 1.0, 1.25, 1.5, 2.0)
"""Errors by which readers together may miss; the validator's own value is among them."""


def main() -> None:
    """Print the shares accepted, by what is allowed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=3, help="number of the first repeat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sources", type=int, default=34)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    found = [
        accepted(Repeat(given.folder, number, 29, given.sources))
        for number in range(given.first, given.first + given.repeats)
    ]
    print("| errors allowed | true changes accepted | copies accepted |\n|---|---|---|")
    for row, allowed in enumerate(ALLOWED):
        true, copies = np.mean([one[row] for one in found], axis=0)
        own = " (the validator's)" if allowed == attributes.ERRORS_ALLOWED else ""
        print(f"| {allowed}{own} | {true:.2f} | {copies:.2f} |")


def accepted(repeat: Repeat) -> np.ndarray:
    """Return the shares of true changes and of copies that pass, ``(len(ALLOWED), 2)``."""
    recipe, predictors = built_in().recipe(RECIPE), repeat.predictors()
    carried = tuple(one.attribute for one in carrying(recipe, predictors) if one.carried)
    targets = targets_of(repeat, recipe, predictors)
    sources = [shown_source(repeat, one) for one in repeat.people]
    oracles = [
        shown_oracle(repeat, person, target.values, density_only=False)
        for person, target in zip(repeat.people, targets, strict=True)
    ]
    read = [_read(predictors, some) for some in (sources, oracles)]
    reference = cohort_reference(repeat.training_cohort(), Silent())
    passed = np.zeros((len(targets), len(ALLOWED), 2))
    for row, (person, target) in enumerate(zip(repeat.people, targets, strict=True)):
        source = repeat.source_cohort().load(person.person_id)
        asked = {
            name: wanted - float(source.subject.value(name) or 0.0)
            for name, wanted in target.values.items()
        }
        for column, after in enumerate((read[1], read[0])):
            candidate = Candidate(
                source=source,
                volume=source.volume,
                femur=source.femur,
                region=source.femur.voxels,
                label=target.label(source.subject, carried),
                carried=carried,
                readings=_readings(predictors, read[0], after, row, asked),
            )
            passed[row, :, column] = _verdicts(candidate, reference)
    return np.asarray(passed.mean(axis=0))


def _verdicts(candidate: Candidate, reference: DensityReference) -> list[bool]:
    own, found = attributes.ERRORS_ALLOWED, []
    for allowed in ALLOWED:
        attributes.ERRORS_ALLOWED = allowed
        found.append(attributes.Attributes().judge(candidate, reference).passed)
    attributes.ERRORS_ALLOWED = own
    return found


def _read(predictors: PredictorSet, scans: list[Shown]) -> dict[str, Tensor]:
    """Return what each reader outside the loop reads of scans, ``(N, A)``."""
    images = np.stack([np.stack([one.hu, one.femur]) for one in scans]).astype(np.float16)
    data = TrainingData(torch.from_numpy(images), {}, HIP_VIEW)
    found = {}
    for one in predictors.of_role(Role.READER):
        with one_thread(), torch.no_grad():
            found[one.name] = torch.cat(
                [one(part) for part in on_view(data, one.view).images.split(25)]
            )
    return found


def _readings(
    predictors: PredictorSet,
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    row: int,
    asked: Mapping[str, float],
) -> tuple[Reading, ...]:
    """Return the readings of a subject as the pipeline would give them to the validator."""
    return tuple(
        reading
        for one in predictors.of_role(Role.READER)
        for reading in readings_of(
            one, before[one.name][row].tolist(), after[one.name][row].tolist(), asked
        )
    )


if __name__ == "__main__":
    main()
