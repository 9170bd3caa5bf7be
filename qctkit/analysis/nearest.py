"""How near each made sample lies to its source and to the nearest real scan."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import distance

from qctkit.geometry import FloatArray


@dataclass(frozen=True, eq=False)
class Nearest:
    """Distances in spreads of real samples, root mean square over features.

    Attributes:
        to_source: ``(M,)`` of made samples to their source, NaN where it is not among the real.
        to_other: ``(M,)`` to the nearest real scan of another subject than the source.
        other: ``(M,)`` which real scan that is.
        real_to_other: ``(N,)`` of real scans to the nearest one of another subject.
    """

    to_source: FloatArray
    to_other: FloatArray
    other: NDArray[np.intp]
    real_to_other: FloatArray

    @property
    def source_share(self) -> FloatArray:
        """Distance to the source over that between neighbouring real people, ``(M,)``.

        0 is a copy of the scan; 1 lies as far off as another person.
        """
        return np.asarray(self.to_source / max(float(np.median(self.real_to_other)), 1e-9))


def nearest(
    real: FloatArray,
    made: FloatArray,
    groups: NDArray[np.str_],
    made_groups: NDArray[np.str_],
    source_rows: Sequence[int | None],
) -> Nearest:
    """Return how near made samples ``(M, F)`` are to real ones ``(N, F)``, in real spreads.

    ``source_rows`` is the real row of each made sample's source, None where there is none.
    """
    size = np.sqrt(real.shape[1])
    apart = distance.cdist(made, real) / size
    source = np.array(
        [np.nan if row is None else apart[one, row] for one, row in enumerate(source_rows)]
    )
    others = np.where(made_groups[:, None] == groups[None, :], np.inf, apart)
    among = distance.squareform(distance.pdist(real)) / size
    among = np.where(groups[:, None] == groups[None, :], np.inf, among)
    return Nearest(source, others.min(axis=1), others.argmin(axis=1), among.min(axis=1))
