"""Whether a file holds made samples, and of this real cohort."""

from qctkit.errors import CohortFileError
from qctkit.store.reader import CohortFile


def refuse_not_made_from(made: CohortFile, real: CohortFile) -> None:
    """Refuse what cannot be shown beside its sources.

    Raises:
        CohortFileError: there are no made samples, or they were made from another cohort.
    """
    if made.run.get("command") != "augment":
        raise CohortFileError(f"{made.path} holds no made samples; give a file of `qctkit augment`")
    if not len(made):
        raise CohortFileError(
            f"{made.path} holds no samples: all of its {made.refused_count} candidates were "
            "refused; `qctkit info` shows why"
        )
    if made.run["cohort_fingerprint"] != real.fingerprint:
        raise CohortFileError(
            f"{made.path} was not made from {real.path}; give --against the cohort it came from"
        )
