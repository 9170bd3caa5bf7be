"""``total-density``: is the mean of the whole femur one that a real femur has?"""

from dataclasses import dataclass

from qctkit.plugin import Candidate, DensityReference, Verdict


@dataclass(frozen=True)
class TotalDensity:
    """The femur's mean HU lies between the cohort's least trabecular and greatest cortical one."""

    name: str = "total-density"

    def judge(self, candidate: Candidate, reference: DensityReference) -> Verdict:
        """Return the verdict on the mean HU inside the femur's mask."""
        total = float(candidate.volume.voxels[candidate.femur.voxels].mean())
        least, most = reference.trabecular_hu.lowest, reference.cortical_hu.highest
        return Verdict(
            validator=self.name,
            passed=least <= total <= most,
            figures={"total_hu": total, "least_hu": least, "most_hu": most},
            words=f"the whole femur has {total:.0f} HU (real ones {least:.0f} to {most:.0f})",
        )
