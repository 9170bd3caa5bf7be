"""The contract of transforms, as checks."""

import hashlib

import numpy as np

from qctkit.cohort import Sample
from qctkit.contracts import Transform, Transformed
from qctkit.testing.contract import Contract, expect
from qctkit.testing.cost import cost_in_words
from qctkit.testing.femurs import make_femur
from qctkit.testing.writes import writes_only_below

SEEDS = (0, 1, 2, 3)


class TransformContract(Contract):
    """A transform, applied to a simple femur, keeps its promises."""

    component: Transform

    def test_it_says_what_it_changes(self) -> None:
        """Its account is one line that says what it changes."""
        expect(len(self.component.account.split()) > 3, f"its account {self.component.account!r}")
        expect("\n" not in self.component.account, "its account is more than one line")
        self.found(self.component.account)

    def test_it_keeps_the_grid_and_some_femur(self) -> None:
        """Voxels and femur lie on the grid of the scan, finite, with some femur left."""
        source = make_femur()
        for seed in SEEDS:
            given = self._apply(source, seed)
            expect(given.voxels.shape == source.volume.voxels.shape, f"seed {seed}: another grid")
            expect(given.femur.shape == source.volume.voxels.shape, f"seed {seed}: another mask")
            expect(bool(np.isfinite(given.voxels).all()), f"seed {seed}: voxels are not finite")
            expect(bool(given.femur.any()), f"seed {seed}: no femur is left")

    def test_a_seed_gives_the_same_every_time(self) -> None:
        """The same scan and seed give the same result, to the last bit."""
        source = make_femur()
        for seed in SEEDS:
            same = _digest(self._apply(source, seed)) == _digest(self._apply(source, seed))
            expect(same, f"seed {seed} gives another result the second time")

    def test_seeds_differ(self) -> None:
        """Other seeds give other results."""
        source = make_femur()
        found = {_digest(self._apply(source, seed)) for seed in SEEDS}
        expect(len(found) == len(SEEDS), f"{len(SEEDS)} seeds give {len(found)} results")

    def test_it_changes_nothing_that_it_is_given(self) -> None:
        """Neither the volume nor the femur that it is given is changed."""
        source = make_femur()
        before = source.volume.voxels.tobytes(), source.femur.voxels.tobytes()
        self._apply(source, 0)
        now = source.volume.voxels.tobytes(), source.femur.voxels.tobytes()
        expect(before == now, "the scan that it was given is another now")

    def test_its_figures_are_finite_numbers(self) -> None:
        """Its figures are finite numbers by name."""
        figures = self._apply(make_femur(), 0).figures
        wrong = [name for name, value in figures.items() if not np.isfinite(value)]
        expect(not wrong, f"{', '.join(wrong)}: no finite number")
        self.found(", ".join(figures) or "none")

    def test_it_writes_no_file(self) -> None:
        """Applying it writes no file."""
        source = make_femur()
        self._apply(source, 0)
        with writes_only_below():
            self._apply(source, 0)

    def test_what_a_call_costs(self) -> None:
        """Applying it to 40 x 32 x 32 voxels takes the time and memory stated."""
        source = make_femur()
        self.found(cost_in_words(lambda: self._apply(source, 0)))

    def _apply(self, source: Sample, seed: int) -> Transformed:
        return self.component.apply(source.volume, source.femur, seed)


def _digest(given: Transformed) -> str:
    arrays = (np.ascontiguousarray(given.voxels), np.ascontiguousarray(given.femur))
    return hashlib.sha256(b"".join(one.tobytes() for one in arrays)).hexdigest()
