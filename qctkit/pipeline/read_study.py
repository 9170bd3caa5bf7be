"""``qctkit read-study``: made and real scans, shown blinded, and what readers found."""

from pathlib import Path

from qctkit.cohort import Record, Sample
from qctkit.errors import InputError
from qctkit.pipeline.made_from import refuse_not_made_from
from qctkit.serve.agreement import reading_result
from qctkit.serve.answers import AnswerFile, read_study_of
from qctkit.serve.study import Study
from qctkit.serve.trials import Trial, draw_trials
from qctkit.store.reader import CohortFile

SCANS = 60


def open_study(
    made: CohortFile, real: CohortFile, answers: Path, *, scans: int = SCANS, seed: int = 0
) -> Study:
    """Return a blinded reading, new or as far as its file of answers says.

    Raises:
        CohortFileError: there are no made samples, or they were made from another cohort.
        InputError: there are too few people, or the answers are to another study.
    """
    refuse_not_made_from(made, real)
    trials = draw_trials(
        dict(zip(real.sample_ids, real.table["subject_id"].tolist(), strict=True)),
        dict(zip(made.sample_ids, made.table["source_subject_id"].tolist(), strict=True)),
        scans,
        seed,
    )
    study = {"made": made.fingerprint, "real": real.fingerprint, "scans": scans, "seed": seed}

    def load(trial: Trial) -> Sample:
        return (made if trial.is_made else real).load(trial.sample_id)

    return Study(trials, load, AnswerFile(answers, study), seed)


def study_result(made: CohortFile, real: CohortFile, answers: Path) -> Record:
    """Return what readers found, as JSON values; see ``qctkit.serve.agreement``.

    Raises:
        InputError: the file holds no answers, or answers to other cohorts.
    """
    study = read_study_of(answers)
    for cohort, name in ((made, "made"), (real, "real")):
        if cohort.fingerprint != study[name]:
            raise InputError(f"{answers} holds answers about other scans than {cohort.path}")
    opened = open_study(made, real, answers, scans=study["scans"], seed=study["seed"])
    if not opened.answers.answers:
        raise InputError(f"{answers} holds no answers yet")
    return reading_result(opened.trials, opened.answers.answers)


def result_lines(result: Record) -> list[str]:
    """Return the result as lines for a terminal."""
    lines = [f"{result['scans']} scans, {result['made']} of them generated"]
    for one in result["readers"]:
        lines.append(
            f"  {one['reader']}: read {one['answered']}, accuracy {_shown(one['accuracy'])}, "
            f"AUC {_shown(one['auc'])}"
        )
    lines += [
        f"accuracy, mean over readers: {_shown(result['accuracy'])} (0.5 is guessing)",
        f"AUC, mean over readers: {_shown(result['auc'])}",
        f"generated scans called fake: {_shown(result['made_found'])}; "
        f"real ones called real: {_shown(result['real_found'])}",
    ]
    if result["kappa"] is not None:
        lines.append(
            f"agreement between readers: {result['kappa_name']}'s kappa {_shown(result['kappa'])} "
            f"on {result['kappa_scans']} scans that all have read"
        )
    return lines


def _shown(estimate: Record) -> str:
    value, low, high = (estimate[name] for name in ("value", "low", "high"))
    if value is None:
        return "unknown"
    return f"{value:.2f}" + ("" if low is None else f" ({low:.2f} to {high:.2f})")
