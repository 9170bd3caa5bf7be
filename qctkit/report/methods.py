"""A paragraph for a paper's methods, with every parameter and version."""

from collections.abc import Mapping, Sequence

from qctkit.cohort import Record
from qctkit.report.facts import ReportFacts
from qctkit.report.training_words import joined, title, unit
from qctkit.subject import AGE, SEX, WEIGHT

SCANNED = {SEX.name: "women", AGE.name: "age", WEIGHT.name: "weight"}


def methods(facts: ReportFacts) -> str:
    """Return the paragraph, plain text, ready to paste."""
    run = facts.run
    versions = run["versions"]
    return " ".join(
        [
            f"Labelled QCT volumes of the proximal femur were generated with qctkit "
            f"{versions['qctkit']} by its recipe {run['recipe']}, which {run['account']}.",
            _scans(facts),
            _targets(facts),
            _changed(facts),
            _read(facts.made[0].record["readings"]),
            _judged(facts),
            _trained(run["predictors"]),
            f"Cohort fingerprint {run['cohort_fingerprint'][:16]}; seed {run['seed']}; "
            f"{_versions(versions)}{_plugins(run.get('plugins', ()))}.",
        ]
    )


def _scans(facts: ReportFacts) -> str:
    known = [one.subject for one in facts.real]
    women = sum(one.sex == "F" for one in known if one.sex)
    ranges = [
        f"{SCANNED[name]} {min(values):.0f} to {max(values):.0f} {unit(name)}"
        for name in (AGE.name, WEIGHT.name)
        if (values := [value for one in known if (value := one.value(name)) is not None])
    ]
    parts = "; ".join([f"{women} scans of women", *ranges])
    return (
        f"The real cohort holds {len(facts.real)} scans of {facts.subjects} subjects ({parts}), of "
        f"whom {facts.sources} were sources; voxels are in {facts.scale.in_words}, and networks "
        f"saw them in a window of {facts.window.low_hu:.0f} to {facts.window.high_hu:.0f} HU."
    )


def _targets(facts: ReportFacts) -> str:
    if not facts.carried:
        return (
            "No attribute was carried, so that samples keep all labels of their source and vary "
            "in density within what real subjects of equal attributes show."
        )
    names = joined([title(one).lower() for one in facts.carried])
    limits = f" with {'; '.join(facts.run['limits'])}" if facts.run["limits"] else ""
    how = (
        "were given" if facts.run["targets"]
        else f"were drawn from the joint distribution in the real cohort{limits}"
    )  # fmt: skip
    return (
        f"Targets {how}; the recipe changed {names}, and every other label is the source's own."
        f"{_rule(facts.run)}"
    )


def _rule(run: Record) -> str:
    """Return what decided which attributes are changed, where that is recorded."""
    if "least_r2" not in run:
        return ""
    return (
        f" Only attributes were changed that {run['carried_by']} predicts on held-out subjects "
        f"with a lower 5 % bound of R2 of at least {run['least_r2']:g}."
    )


def _changed(facts: ReportFacts) -> str:
    """Return how a candidate is made of its source."""
    run, record = facts.run, facts.made[0].record
    if "transform" in record:
        return (
            f"Each candidate was made by {record['transform']}, drawn anew: {run['edit']}. Nothing "
            "was optimised."
        )
    view = record["view"]
    return (
        f"Each candidate was made by input optimisation: the parameters of the edit "
        f"({' then '.join(record['edits'])}: {run['edit']}{_limits(run.get('edit_limits'))}) were "
        f"fitted with the predictors frozen{_optimised(run, record)}, on a grid of "
        f"{_by(view['shape'])} voxels of {_spacing(view['spacing_mm'])} mm in the femur's own "
        f"frame, in batches of {run['batch']}, {_preserved(run['preservation'])}, and applied "
        "once to the scan at its full resolution."
    )


def _optimised(run: Record, record: Record) -> str:
    """Return how parameters were fitted; runs of before this was recorded cannot say."""
    if "optimiser" not in run:
        return ""
    found = run["optimiser"]
    pace = found["pace"]
    free = {name: one for name, one in found["parameters"].items() if _is_free(one)}
    held = [name for name in found["parameters"] if name not in free]
    start = "what the cohort's atlas says of the change" if found["from_atlas"] else "no change"
    aim = f"readings{' and measures' if found['follows_measures'] else ''}"
    if record["density_change_asked_hu"] is not None:
        aim = "a drawn change of mean density"
    sizes = ", ".join(
        f"{name} {one['first_step']:g} {one['unit']}".strip() for name, one in free.items()
    )
    memory = joined([f"{one:g}" for one in pace["memory"]])
    return (
        f", from {start}, by Adam (memory of {memory}; step "
        f"sizes {sizes or 'none'}, times {pace['first']:g} at first and {pace['last']:g} at last"
        f"{f'; {joined(held)} held' if held else ''}), aiming at {aim} (cost: "
        f"{run['attribute_term']}), until all were reached within {found['reached_within']:g} of "
        f"their typical errors, {found['patience']} steps brought nothing or {found['steps']} were "
        "taken"
    )


def _is_free(parameter: Record) -> bool:
    return bool(parameter["first_step"] > 0.0 and not parameter["held"])


def _limits(limits: Mapping[str, str] | None) -> str:
    """Return the limits of edits as a further clause."""
    words = [f"{name}, {found}" for name, found in (limits or {}).items()]
    return f"; limits: {'; '.join(words)}" if words else ""


def _read(readings: Sequence[Record]) -> str:
    """Return which predictors drove the change, and which only read it."""
    roles = {"loop": "in the loop", "reader": "outside the loop, by which the change was judged"}
    words = [
        f"{joined(names)} {where}"
        for role, where in roles.items()
        if (
            names := list(
                dict.fromkeys(one["predictor"] for one in readings if one["role"] == role)
            )
        )
    ]
    return f"Predictors were {'; '.join(words)}." if words else ""


def _judged(facts: ReportFacts) -> str:
    refused = "; ".join(f"{count} by {name}" for name, count in facts.reasons())
    limits = facts.run.get("validator_limits", {})
    asked = [
        f"{name} ({limits[name]})" if name in limits else name for name in facts.run["validators"]
    ]
    return (
        f"A candidate was accepted when all validators passed: {'; '.join(asked)}. "
        f"{len(facts.made)} of {facts.candidates} candidates were accepted"
        f"{f', refused were {refused}' if refused else ''}."
    )


def _trained(training: Record) -> str:
    known = {
        "subjects": "on {} subjects", "folds": "{}-fold cross-validation over subjects",
        "seed": "seed {}",
    }  # fmt: skip
    words = [form.format(training[name]) for name, form in known.items() if name in training]
    return f"Predictors were trained {', '.join(words)}." if words else ""


def _preserved(weights: Mapping[str, float | Record]) -> str:
    """Return the preservation terms, each with its weight or the bound on what it may cost."""
    words = [
        f"{name} (at most {one['at_most']:g})"
        if isinstance(one, Mapping)
        else f"{name} (weight {one:g})"
        for name, one in weights.items()
    ]
    return f"preserving {', '.join(words)}" if words else "with no term to preserve"


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {found}" for name, found in sorted(versions.items()))


def _plugins(plugins: Sequence[Record]) -> str:
    words = [f"{one['name']} {one.get('version', '')}".strip() for one in plugins]
    return f"; plugins {', '.join(words)}" if words else ""


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _spacing(spacing_mm: float | Sequence[float]) -> str:
    values = [spacing_mm] if isinstance(spacing_mm, int | float) else list(spacing_mm)
    words = [f"{one:g}" for one in values]
    return words[0] if len(set(words)) == 1 else " x ".join(words)
