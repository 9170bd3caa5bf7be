"""Who takes part in ``transfer.py``: training subjects, their predictors, sources, oracles.

Everything lies in a folder whose name follows from the code that made it, written whole or not at
all, so that a run that was stopped goes on.
"""

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import qctkit_femur_density

import qctkit
from qctkit.cohort import FemurMask, Sample
from qctkit.contracts import Recipe
from qctkit.density import measure_density
from qctkit.engine.targets import Target
from qctkit.frame import locate
from qctkit.pipeline.carry import carrying, reads
from qctkit.pipeline.simulate import simulate
from qctkit.pipeline.train import save_predictors, train
from qctkit.pipeline.versions import versions
from qctkit.predictors.configuration import TrainingConfiguration
from qctkit.predictors.trained import PredictorSet, load_predictors
from qctkit.predictors.training import TrainingSettings
from qctkit.progress import Silent
from qctkit.registry import Registry, load_registry
from qctkit.simulate import Person, counterfactual, draw_person, simulate_person
from qctkit.simulate import simulate_counterfactual as simulate_oracle
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from qctkit.subject import ATTRIBUTES, Sex
from qctkit.view import HIP_VIEW, see
from qctkit.volume import Volume

TRAINING_SEED, SOURCE_SEED = 100, 200
FIRST_SOURCE = 500
"""No source bears a training subject's id: a recipe would leave that subject out."""

DENSITY_RECIPES = ("femur-density",)
"""Recipes that keep sex, and whose oracle has the target's attributes in bone density alone."""

SUBJECT_CODE = ("simulate", "view.py", "frame.py", "density.py")
PREDICTOR_CODE = ("predictors", "networks.py", "pipeline/train.py")
RECIPE_CODE = ("engine", "recipes", "validators", "pipeline/augment*.py", "pipeline/carry.py")


@dataclass(frozen=True)
class Repeat:
    """One repeat: its seed, and how many subjects are trained on and edited."""

    root: Path
    number: int
    training: int
    sources: int

    @property
    def folder(self) -> Path:
        """Where the subjects of this repeat are kept."""
        name = f"transfer-{code_of(*SUBJECT_CODE)}"
        return self.root / name / f"{self.number}-{self.training}"

    @property
    def people(self) -> tuple[Person, ...]:
        """The sources, as persons."""
        seed = SOURCE_SEED + self.number
        return tuple(draw_person(seed, FIRST_SOURCE + k) for k in range(self.sources))

    def training_cohort(self) -> CohortFile:
        """Return the subjects that everything is learned from."""
        path = self.folder / "training.h5"
        if path.is_file():
            return CohortFile(path)
        self.folder.mkdir(parents=True, exist_ok=True)
        seed = TRAINING_SEED + self.number
        return simulate(path, Silent(), subjects=self.training, seed=seed, overwrite=True)

    def source_cohort(self) -> CohortFile:
        """Return the subjects that are edited, which nothing was learned from."""
        path = self.folder / f"sources-{self.sources}.h5"
        if not path.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            run = {"command": "simulate", "subjects": self.sources, "versions": versions()}
            with CohortWriter(path, run, overwrite=True) as writer:  # over a part of it
                for position, person in enumerate(self.people):
                    writer.add(position, simulate_person(person))
        return CohortFile(path)

    def predictors(self) -> PredictorSet:
        """Return what the training subjects teach, by the normal training."""
        registry = built_in()
        folder = self.folder / f"predictors-{code_of(*PREDICTOR_CODE)}"
        if not folder.is_dir():
            families = TrainingConfiguration().chosen(registry.families())
            trained = train(self.training_cohort(), families, TrainingSettings(), Silent())
            save_predictors(trained, folder, overwrite=False)
        return load_predictors(folder, registry.family)

    def made(self, recipe: str) -> Path:
        """Return where what a recipe makes is kept: other code makes it anew."""
        code = code_of(*PREDICTOR_CODE, *RECIPE_CODE, plugin=recipe in DENSITY_RECIPES)
        return self.folder / f"made-{recipe}-{self.sources}-{code}"


@dataclass(frozen=True, eq=False)
class Shown:
    """A scan as judges see it, in its own femur's frame, and what it measures.

    Attributes:
        hu, femur: on the grid of ``HIP_VIEW``, int16 and 255ths, as judges were trained.
        figures: mean density in HU, and whatever else was noted.
    """

    hu: np.ndarray
    femur: np.ndarray
    figures: Mapping[str, Any]

    @classmethod
    def of(cls, volume: Volume, femur: FemurMask, **noted: Any) -> "Shown":
        """Return a scan as judges see it."""
        image = see(volume, femur, locate(femur, volume.geometry), HIP_VIEW)
        density = measure_density(volume, femur)
        return cls(
            np.rint(image.hu).astype(np.int16),
            np.rint(image.femur * 255).astype(np.uint8),
            {
                "trabecular_hu": density.trabecular_hu,
                "cortical_hu": density.cortical_hu,
                **noted,
            },
        )

    def save(self, path: Path) -> None:
        """Write it whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, hu=self.hu, femur=self.femur, figures=json.dumps(self.figures))
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Shown":
        """Return what was saved."""
        with np.load(path) as kept:
            return cls(kept["hu"], kept["femur"], json.loads(str(kept["figures"])))


def built_in() -> Registry:
    """Return what ships with qctkit: other plugins that are installed here would change figures."""
    return load_registry(only=DENSITY_RECIPES)


def asked(repeat: Repeat, recipe: str, names: Sequence[str]) -> list[dict[str, float]]:
    """Return the values asked of each source: some attributes of one other source.

    Sources take each other's place in a drawn ring; where sex is kept, in one of each sex.
    """
    people = repeat.people
    rings = [list(range(len(people)))]
    if recipe in DENSITY_RECIPES:
        rings = [[k for k in rings[0] if people[k].sex is sex] for sex in Sex]
    values: list[dict[str, float]] = [{} for _ in people]
    for ring in rings:
        order = np.random.default_rng([SOURCE_SEED, repeat.number]).permutation(ring).tolist()
        for place, other in zip(order, order[1:] + order[:1], strict=True):
            wanted = people[other].subject
            values[place] = {name: float(wanted.value(name)) for name in names}  # type: ignore[arg-type]
    return values


def askable(recipe: Recipe, predictors: PredictorSet) -> tuple[str, ...]:
    """Return the attributes that a recipe lets itself be asked for."""
    if recipe.drives_all:
        drivers = [predictors.named(name) for name in recipe.predictors]
        return tuple(name for name in ATTRIBUTES if any(reads(one, name) for one in drivers))
    return tuple(one.attribute for one in carrying(recipe, predictors) if one.carried)


def oracle_of(person: Person, values: Mapping[str, float], *, density_only: bool) -> Sample:
    """Return the same individual with the values asked for."""
    target = counterfactual(
        person,
        sex=None if "sex" not in values else Sex.M if values["sex"] > 0.5 else Sex.F,
        age_years=values.get("age_years"),
        weight_kg=values.get("weight_kg"),
    )
    return simulate_oracle(person, target, density_only=density_only)


def shown_source(repeat: Repeat, person: Person) -> Shown:
    """Return a source as judges see it."""
    path = repeat.folder / "shown" / f"{person.person_id}.npz"
    if not path.is_file():
        sample = repeat.source_cohort().load(person.person_id)
        Shown.of(sample.volume, sample.femur).save(path)
    return Shown.load(path)


def shown_oracle(
    repeat: Repeat, person: Person, values: Mapping[str, float], *, density_only: bool
) -> Shown:
    """Return a source's oracle as judges see it."""
    text = json.dumps([dict(values), density_only], sort_keys=True)
    name = f"{person.person_id}-oracle-{hashlib.sha256(text.encode()).hexdigest()[:12]}.npz"
    path = repeat.folder / "shown" / name
    if not path.is_file():
        sample = oracle_of(person, values, density_only=density_only)
        Shown.of(sample.volume, sample.femur).save(path)
    return Shown.load(path)


def targets_of(repeat: Repeat, recipe: Recipe, predictors: PredictorSet) -> list[Target]:
    """Return the target of each source, in the sources' order."""
    names = askable(recipe, predictors)
    return [
        Target(person.person_id, values)
        for person, values in zip(repeat.people, asked(repeat, recipe.name, names), strict=True)
    ]


@functools.cache
def code_of(*parts: str, plugin: bool = False) -> str:
    """Return a name of the code in some modules, and of the plugin that brings femur-density."""
    package = Path(qctkit.__file__).parent
    files = [file for part in parts for found in package.glob(part) for file in _sources(found)]
    if plugin:
        files += _sources(Path(qctkit_femur_density.__file__).parent)
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:8]


def _sources(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]
