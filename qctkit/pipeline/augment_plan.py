"""The plan of an ``augment`` run: everything that stays the same from candidate to candidate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qctkit.cohort import Record
from qctkit.contracts import Edit, LossTerm, Recipe, Role, Validator
from qctkit.density import DensityReference
from qctkit.engine.edits.composition import compose
from qctkit.engine.targets import Target, draw_target
from qctkit.errors import PluginError
from qctkit.pipeline.carry import Carrying, reads
from qctkit.pipeline.reference import cohort_reference
from qctkit.pipeline.versions import versions
from qctkit.predictors.trained import PredictorSet, TrainedPredictor
from qctkit.progress import Progress
from qctkit.registry import Registry
from qctkit.store.reader import CohortFile
from qctkit.subject import ATTRIBUTES, Subject
from qctkit.view import View

BATCH = 8
"""Candidates optimised together."""


@dataclass(frozen=True)
class AugmentOptions:
    """What to make.

    Attributes:
        samples: accepted samples wanted.
        seed: of every draw.
        max_candidates: most candidates to try; None allows four a sample.
        targets: explicit targets; empty draws them from the cohort.
    """

    samples: int = 16
    seed: int = 0
    max_candidates: int | None = None
    targets: tuple[Target, ...] = ()

    @property
    def budget(self) -> int:
        """Candidates that may be made."""
        if self.targets:
            return len(self.targets)
        return self.max_candidates or 4 * self.samples


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that stays the same from candidate to candidate."""

    cohort: CohortFile
    recipe: Recipe
    edit: Edit
    predictors: PredictorSet
    drivers: tuple[TrainedPredictor, ...]
    validators: tuple[Validator, ...]
    terms: Mapping[str, LossTerm]
    carried: tuple[str, ...]
    driven: tuple[str, ...]
    reference: DensityReference
    sources: Mapping[str, Subject]
    options: AugmentOptions

    @property
    def view(self) -> View:
        """The grid that is optimised on: that of the predictors that drive."""
        names = [one.name for one in self.drivers] or [self.recipe.carried_by]
        return self.predictors.shared_view(names)

    def target(self, number: int) -> Target:
        """Return the target of a candidate, the same whatever was made before."""
        if self.options.targets:
            return self.options.targets[number]
        return draw_target(self.sources, self.driven, self.options.seed, number)


def make_plan(
    cohort: CohortFile,
    recipe: Recipe,
    predictors: PredictorSet,
    registry: Registry,
    options: AugmentOptions,
    outcomes: Sequence[Carrying],
    progress: Progress,
) -> Plan:
    """Return the plan of a run.

    Raises:
        PluginError: the recipe puts a reader into the loop, or names what is not registered.
    """
    drivers = tuple(
        predictors.named(name) for name in recipe.predictors if _trained(predictors, name)
    )
    for driver in drivers:
        if driver.role is Role.READER:
            raise PluginError(
                f"recipe {recipe.name} puts {driver.name} into the loop, but it is a reader: a "
                "judge must stay outside; choose a predictor of role 'loop'"
            )
    carried = tuple(outcome.attribute for outcome in outcomes if outcome.carried)
    readable = {name for one in drivers for name in one.attributes if reads(one, name)}
    driven = (
        tuple(name for name in ATTRIBUTES if name in readable) if recipe.drives_all else carried
    )
    return Plan(
        cohort=cohort,
        recipe=recipe,
        edit=compose([registry.edit(name) for name in recipe.edits]),
        predictors=predictors,
        drivers=drivers,
        validators=tuple(registry.validator(name) for name in recipe.validators),
        terms={name: registry.loss(name) for name in recipe.preservation},
        carried=carried,
        driven=driven,
        reference=cohort_reference(cohort, progress),
        sources={sample_id: cohort.subject(sample_id) for sample_id in cohort.sample_ids},
        options=options,
    )


def run_record(plan: Plan, outcomes: Sequence[Carrying]) -> Record:
    """Return what decides the bytes of the file; two runs with the same record are the same run."""
    return {
        "command": "augment",
        "recipe": plan.recipe.name,
        "account": plan.recipe.account,
        "edit": plan.edit.account,
        "validators": list(plan.recipe.validators),
        "preservation": dict(plan.recipe.preservation),
        "carrying": [outcome.record() for outcome in outcomes],
        "cohort_fingerprint": plan.cohort.fingerprint,
        "predictors": plan.predictors.training,
        "samples_wanted": plan.options.samples,
        "budget": plan.options.budget,
        "seed": plan.options.seed,
        "targets": [[one.source_sample_id, dict(one.values)] for one in plan.options.targets],
        "batch": BATCH,
        "versions": versions(),
    }


def _trained(predictors: PredictorSet, name: str) -> bool:
    """Whether a predictor was trained; one whose attributes the cohort cannot teach was not."""
    return any(one.name == name for one in predictors.predictors)
