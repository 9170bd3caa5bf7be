"""Whether a file holds made samples, and of this real cohort."""

from qctkit.errors import CohortFileError
from qctkit.store.reader import CohortFile


def refuse_not_made_from(made: CohortFile, real: CohortFile, option: str = "") -> None:
    """Refuse what cannot be shown beside its sources.

    ``option`` gave the file, where it is not the one that a command is about.

    Raises:
        CohortFileError: there are no made samples, or they were made from another cohort.
    """
    name = f"{option} {made.path}".strip()
    if made.run.get("command") != "augment":
        raise CohortFileError(f"{name} holds no made samples; give a file of `qctkit augment`")
    if not len(made):
        raise CohortFileError(
            f"{name} holds no samples: all of its {made.refused_count} candidates were "
            "refused; `qctkit info` shows why"
        )
    if made.run["cohort_fingerprint"] != real.fingerprint:
        way_out = "a run on that cohort" if option else "--against the cohort it came from"
        raise CohortFileError(f"{name} was not made from {real.path}; give {way_out}")
