"""Which attributes a recipe can honestly change, learned from the cohort itself."""

from dataclasses import asdict, dataclass

from qctkit.cohort import Record
from qctkit.contracts import Recipe, Role
from qctkit.predictors.trained import PredictorSet, TrainedPredictor
from qctkit.subject import CORE

LEAST_SLOPE = 0.1
"""Slope of readings on true values below which a predictor does not read an attribute at all."""


@dataclass(frozen=True)
class Carrying:
    """The outcome of the rule for one attribute, with the figures it rests on.

    Attributes:
        r2, r2_low: skill on unseen subjects of the predictor that decides, and the lower 5 %
            bound over subjects; None where it was not trained for the attribute.
        carried: whether samples are given targets and labels of this attribute.
        words: the rule's outcome in a sentence.
    """

    attribute: str
    carried: bool
    r2: float | None
    r2_low: float | None
    words: str

    def record(self) -> Record:
        """Return the outcome as JSON values."""
        return asdict(self)


def carrying(recipe: Recipe, predictors: PredictorSet) -> tuple[Carrying, ...]:
    """Return the outcome for the core's attributes, and for others that a predictor reads.

    An attribute is carried when the recipe's edit could change it, when the predictor that sees
    only what the edit changes predicts it on held-out subjects (lower 5 % bound of R2 at least
    ``recipe.least_r2``), and when a reader outside the loop can confirm the change.
    """
    read = {name: None for one in predictors.predictors for name in one.attributes}
    return tuple(_outcome(name, recipe, predictors) for name in {**dict.fromkeys(CORE), **read})


def reads(predictor: TrainedPredictor, attribute: str) -> bool:
    """Whether a predictor reads an attribute off unseen subjects at all."""
    skill = predictor.skills.get(attribute)
    return skill is not None and skill.response.slope >= LEAST_SLOPE


def _outcome(name: str, recipe: Recipe, predictors: PredictorSet) -> Carrying:
    if name not in recipe.may_carry:
        words = f"{name}: not carried, {' and '.join(recipe.changed_by)} cannot change it"
        return Carrying(name, False, None, None, words)
    skill = predictors.named(recipe.carried_by).skills.get(name)
    if skill is None or skill.r2_low is None:
        why = predictors.skipped.get(name, "it is not predicted")
        return Carrying(name, False, None, None, f"{name}: not carried, {why}")
    r2, r2_low = skill.figures["r2"], skill.r2_low
    figures = (
        f"{recipe.carried_by} predicts it on {skill.subjects} held-out subjects with R2 {r2:.2f} "
        f"(lower 5 % bound {r2_low:.2f}, {recipe.least_r2:.2f} needed)"
    )
    if r2_low < recipe.least_r2:
        return Carrying(name, False, r2, r2_low, f"{name}: not carried, {figures}")
    if not any(reads(one, name) for one in predictors.of_role(Role.READER)):
        words = f"{name}: not carried, no reader outside the loop reads it; {figures}"
        return Carrying(name, False, r2, r2_low, words)
    return Carrying(name, True, r2, r2_low, f"{name}: carried, {figures}")
