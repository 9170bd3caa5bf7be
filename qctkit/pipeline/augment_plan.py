"""The plan of an ``augment`` run: everything that stays the same from candidate to candidate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from qctkit.cohort import Record
from qctkit.contracts import (
    AtMost,
    AttributeTerm,
    Edit,
    LossTerm,
    Recipe,
    Role,
    Transform,
    Validator,
)
from qctkit.density import DensityReference
from qctkit.engine.cohort_range import CohortRange, cohort_range
from qctkit.engine.edits.composition import compose
from qctkit.engine.loop import REACHED_WITHIN
from qctkit.engine.target_draw import Limit
from qctkit.engine.targets import Target
from qctkit.errors import PluginError
from qctkit.pipeline.augment_cohort import Learned, learn
from qctkit.pipeline.augment_targets import check_targets, drawn_targets
from qctkit.pipeline.carry import Carrying, reads
from qctkit.pipeline.graph_aims import brought_graphs, gradient_graphs
from qctkit.pipeline.reference import cohort_reference
from qctkit.pipeline.versions import versions
from qctkit.predictors.trained import PredictorSet, TrainedPredictor
from qctkit.progress import Progress
from qctkit.registry import Registry
from qctkit.store.reader import CohortFile
from qctkit.subject import ATTRIBUTES, Subject
from qctkit.view import View

if TYPE_CHECKING:
    from qctkit.predictors.gradient_onnx import OnnxGradients

BATCH = 8
"""Candidates optimised together, where nothing else is asked. No probe chooses: what a sample costs
changes little from 4 to 16 (benchmarks/RESULTS.md), and bytes may follow the number."""


@dataclass(frozen=True)
class AugmentOptions:
    """What to make.

    Attributes:
        samples: accepted samples wanted.
        seed: of every draw.
        max_candidates: most candidates to try; None allows four a sample.
        targets: explicit targets, one a candidate; empty draws them from the cohort.
        limits: whom drawn targets may be taken from.
        gradients: folder of gradient graphs, by which ONNX Runtime computes the gradient of what
            drives; None leaves it to PyTorch.
        batch: candidates optimised together; None is what a resumed run began with, or else 8.
    """

    samples: int = 16
    seed: int = 0
    max_candidates: int | None = None
    targets: tuple[Target, ...] = ()
    limits: tuple[Limit, ...] = ()
    gradients: Path | None = None
    batch: int | None = None

    @property
    def budget(self) -> int:
        """Most candidates to make."""
        if self.targets:
            return min(self.max_candidates or len(self.targets), len(self.targets))
        return self.max_candidates or 4 * self.samples


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that stays the same from candidate to candidate.

    ``view`` is the grid that is optimised on, that of the predictors that drive; ``learned`` what
    a recipe needs to know of the whole cohort, ``graphs`` the gradient graphs of drivers, by name.
    ``batch`` is how many candidates are optimised together.
    Of a recipe with a ``transform`` the edit is that of no edits, and does nothing.
    """

    cohort: CohortFile
    reference_fingerprint: str
    recipe: Recipe
    edit: Edit
    transform: Transform | None
    predictors: PredictorSet
    drivers: tuple[TrainedPredictor, ...]
    validators: tuple[Validator, ...]
    terms: Mapping[str, LossTerm]
    attribute_term: AttributeTerm
    carried: tuple[str, ...]
    driven: tuple[str, ...]
    reference: DensityReference
    sources: Mapping[str, Subject]
    cohort_range: CohortRange
    targets: tuple[Target, ...]
    options: AugmentOptions
    registry: Registry
    view: View
    learned: Learned | None
    batch: int
    graphs: "Mapping[str, OnnxGradients]" = field(default_factory=dict)


def make_plan(
    cohort: CohortFile,
    reference: CohortFile,
    recipe: Recipe,
    predictors: PredictorSet,
    registry: Registry,
    options: AugmentOptions,
    outcomes: Sequence[Carrying],
    progress: Progress,
) -> Plan:
    """Return the plan of a run; what is learned of people is learned of ``reference``.

    Raises:
        PluginError: the recipe puts a reader into the loop, or names what is not registered.
        InputError: a target is of an attribute that is not driven, or none can be drawn.
    """
    _refuse_driven_transform(recipe)
    drivers = _drivers(recipe, predictors)
    carried = tuple(outcome.attribute for outcome in outcomes if outcome.carried)
    driven = _readable(drivers) if recipe.drives_all else carried
    sources = {sample_id: cohort.subject(sample_id) for sample_id in cohort.sample_ids}
    check_targets(options.targets, sources, recipe, driven, outcomes)
    watched = [one.name for one in drivers] or [recipe.carried_by or predictors.predictors[0].name]
    view = predictors.shared_view(watched)
    targets = options.targets[: options.budget] or drawn_targets(
        sources, driven, options.limits, seed=options.seed, most=options.budget
    )
    return Plan(
        cohort=cohort,
        reference_fingerprint=reference.fingerprint,
        recipe=recipe,
        edit=compose([registry.edit(name) for name in recipe.edits]),
        transform=registry.transform(recipe.transform) if recipe.transform else None,
        predictors=predictors,
        drivers=drivers,
        validators=tuple(registry.validator(name) for name in recipe.validators),
        terms={name: registry.loss(name) for name in recipe.preservation},
        attribute_term=registry.attribute_term(recipe.attribute_term),
        carried=carried,
        driven=driven,
        reference=cohort_reference(reference, progress),
        sources=sources,
        cohort_range=cohort_range(list(sources.values())),
        targets=targets,
        options=options,
        registry=registry,
        view=view,
        learned=learn(reference, recipe, drivers, view, progress) if driven else None,
        batch=options.batch or BATCH,
        graphs=_graphs(recipe, drivers if driven else (), options.gradients, progress),
    )


def _graphs(
    recipe: Recipe,
    drivers: Sequence[TrainedPredictor],
    folder: Path | None,
    progress: Progress,
) -> "Mapping[str, OnnxGradients]":
    """Return the gradient graphs of the drivers, by name; none of those left to PyTorch."""
    found = brought_graphs(drivers)
    if folder is None:
        return found
    measures = aims_at_measures(recipe)
    return {**found, **gradient_graphs(folder, drivers, progress, of_measures=measures)}


def aims_at_measures(recipe: Recipe) -> bool:
    """Whether what the drivers measure is aimed at: where an atlas says what that should become."""
    return recipe.from_atlas and recipe.follows_measures


def _refuse_driven_transform(recipe: Recipe) -> None:
    if recipe.transform and recipe.is_driven:
        raise PluginError(
            f"recipe {recipe.name} has the transform {recipe.transform} and also predictors, "
            "edits, loss terms or attributes to carry; a transform is not driven, leave those out"
        )


def _drivers(recipe: Recipe, predictors: PredictorSet) -> tuple[TrainedPredictor, ...]:
    """Return the predictors in the loop, of those that the cohort could teach."""
    trained = {one.name for one in predictors.predictors}
    drivers = tuple(predictors.named(name) for name in recipe.predictors if name in trained)
    for driver in drivers:
        if driver.role is Role.READER:
            raise PluginError(
                f"recipe {recipe.name} puts {driver.name} into the loop, but it is a reader: a "
                "judge must stay outside; choose a predictor of role 'loop'"
            )
    return drivers


def _readable(drivers: Sequence[TrainedPredictor]) -> tuple[str, ...]:
    return tuple(name for name in ATTRIBUTES if any(reads(one, name) for one in drivers))


def run_record(plan: Plan, outcomes: Sequence[Carrying]) -> Record:
    """Return what decides the bytes of the file; two runs with the same record are the same run."""
    return {
        "command": "augment",
        "recipe": plan.recipe.name,
        "drivers": [one.name for one in plan.drivers],
        "account": plan.recipe.account,
        "edit": plan.transform.account if plan.transform else plan.edit.account,
        "edit_limits": _limits([plan.registry.edit(name) for name in plan.recipe.edits]),
        "optimiser": None if plan.transform else _optimiser(plan),
        "validators": list(plan.recipe.validators),
        "validator_limits": _limits(plan.validators),
        "preservation": {
            name: {"at_most": one.cost} if isinstance(one, AtMost) else one
            for name, one in plan.recipe.preservation.items()
        },
        "attribute_term": plan.recipe.attribute_term,
        "carrying": [outcome.record() for outcome in outcomes],
        "carried_by": plan.recipe.carried_by,
        "least_r2": plan.recipe.least_r2,
        "cohort_fingerprint": plan.cohort.fingerprint,
        "reference_fingerprint": plan.reference_fingerprint,
        "predictors": plan.predictors.training,
        "samples_wanted": plan.options.samples,
        "budget": len(plan.targets),
        "seed": plan.options.seed,
        "targets": [[one.source_sample_id, dict(one.values)] for one in plan.options.targets],
        "limits": [one.words for one in plan.options.limits],
        "cohort_range": plan.cohort_range.record(),
        "batch": plan.batch,
        **_computed_by(plan),
        "versions": versions(),
        "plugins": _plugins(plan),
    }


def _optimiser(plan: Plan) -> Record:
    """Return how the edit's parameters are found."""
    recipe, pace = plan.recipe, plan.recipe.pace
    return {
        "steps": recipe.steps,
        "patience": recipe.patience,
        "pace": {"first": pace.first, "last": pace.last, "memory": list(pace.memory)},
        "reached_within": REACHED_WITHIN,
        "from_atlas": recipe.from_atlas and bool(plan.driven),
        "follows_measures": recipe.follows_measures and bool(plan.driven),
        "parameters": {
            name: {"unit": plan.edit.units[name], "first_step": size, "held": name in recipe.held}
            for name, size in plan.edit.step_sizes.items()
        },
    }


def _limits(judges: Sequence[Edit] | Sequence[Validator]) -> dict[str, str]:
    """Return in words what edits allow or validators let pass, where they say so."""
    found = {one.name: getattr(one, "limits", "") for one in judges}
    return {name: str(words) for name, words in found.items() if words}


def _computed_by(plan: Plan) -> Record:
    """Return the digests of the gradient graphs in use, since a runtime rounds in its own way."""
    found = {name: graph.sha256 for name, graph in plan.graphs.items()}
    return {"gradient_graphs": found} if found else {}


def _plugins(plan: Plan) -> list[dict[str, str]]:
    """Return the plugins that this run needs, with their versions."""
    recipe = plan.recipe
    families = {one.family for one in plan.predictors.predictors}
    registered = set(plan.registry.names("predictors"))
    return plan.registry.made_by(
        [
            ("recipes", recipe.name),
            *(("edits", name) for name in recipe.edits),
            *([("transforms", recipe.transform)] if recipe.transform else []),
            *(("losses", name) for name in recipe.preservation),
            ("attribute_terms", recipe.attribute_term),
            *(("validators", name) for name in recipe.validators),
            *(("predictors", name) for name in sorted(families & registered)),
        ]
    )
