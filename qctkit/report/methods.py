"""A paragraph for a paper's methods, with every parameter and version."""

from collections.abc import Mapping, Sequence

from qctkit.cohort import Record
from qctkit.report.facts import ReportFacts
from qctkit.report.training_words import joined, title, unit
from qctkit.subject import AGE, SEX, WEIGHT

SCANNED = {SEX.name: "women", AGE.name: "age", WEIGHT.name: "weight"}


def methods(facts: ReportFacts) -> str:
    """Return the paragraph, plain text, ready to paste."""
    run, record = facts.run, facts.made[0].record
    versions = run["versions"]
    return " ".join(
        [
            f"Labelled QCT volumes of the proximal femur were generated with qctkit "
            f"{versions['qctkit']} by its recipe {run['recipe']}, which {run['account']}.",
            _scans(facts),
            _targets(facts),
            f"Each candidate was made by input optimisation: the parameters of the edit "
            f"({' then '.join(record['edits'])}: {run['edit']}) were fitted with the predictors "
            f"frozen, in up to {max(one.record['steps'] for one in facts.made)} steps, on a grid "
            f"of {_by(record['view']['shape'])} voxels of "
            f"{_spacing(record['view']['spacing_mm'])} mm in the femur's own frame, in batches of "
            f"{run['batch']}, {_preserved(run['preservation'])}, and applied once to the scan at "
            "its full resolution.",
            _read(record["readings"]),
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
    return f"Targets {how}; the recipe changed {names}, and every other label is the source's own."


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
    return (
        f"A candidate was accepted when all validators passed "
        f"({', '.join(facts.run['validators'])}); {len(facts.made)} of {facts.candidates} "
        f"candidates were accepted{f', refused were {refused}' if refused else ''}."
    )


def _trained(training: Record) -> str:
    known = {
        "subjects": "on {} subjects", "folds": "{}-fold cross-validation over subjects",
        "seed": "seed {}",
    }  # fmt: skip
    words = [form.format(training[name]) for name, form in known.items() if name in training]
    return f"Predictors were trained {', '.join(words)}." if words else ""


def _preserved(weights: Mapping[str, float]) -> str:
    if not weights:
        return "with no term to preserve"
    return "preserving " + ", ".join(f"{name} (weight {one:g})" for name, one in weights.items())


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
