"""What other recipes made of the same real cohort, so that figures can be placed."""

from collections.abc import Mapping, Sequence

from qctkit.analysis.kinds import RESERVED
from qctkit.cohort import Record
from qctkit.errors import InputError
from qctkit.pipeline.made_from import refuse_not_made_from
from qctkit.store.reader import CohortFile


def beside_by_name(
    others: Sequence[CohortFile], made: CohortFile, real: CohortFile
) -> dict[str, CohortFile]:
    """Return files to put beside ``made`` by the names of their columns: those of their recipes.

    A recipe met before, as with another seed or target, gets a number: ``voxel-baseline 2``.

    Raises:
        CohortFileError: one holds no made samples, or was made from another cohort.
        InputError: one holds the samples of ``made``, or of another one given.
    """
    found: dict[str, CohortFile] = {}
    for other in others:
        refuse_not_made_from(other, real, option="--beside")
        same = [one for one in (made, *found.values()) if one.fingerprint == other.fingerprint]
        if same:
            raise InputError(
                f"--beside {other.path} holds the very samples of {same[0].path}; give another run"
            )
        found[_free(str(other.run["recipe"]), found)] = other
    return found


def beside_record(beside: Mapping[str, CohortFile]) -> list[Record]:
    """Return what stands beside as JSON values, a file each."""
    return [
        {
            "name": name,
            "recipe": one.run["recipe"],
            "account": one.run["account"],
            "seed": one.run["seed"],
            "samples": len(one),
            "candidates": len(one) + one.refused_count,
            "fingerprint": one.fingerprint,
        }
        for name, one in beside.items()
    ]


def _free(recipe: str, taken: Mapping[str, CohortFile]) -> str:
    """Return the name of a column that no other has."""
    name, number = recipe, 1
    while name in taken or name in RESERVED:
        number += 1
        name = f"{recipe} {number}"
    return name
