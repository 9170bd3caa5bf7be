"""The contract of attribute terms, as checks."""

import torch
from torch import Tensor

from qctkit.contracts import AttributeTerm, Gap
from qctkit.testing.contract import Contract, expect
from qctkit.testing.writes import writes_only_below

NEAR = 0.15
"""Typical errors within which a reading counts as reached."""

FAR = (-20.0, -3.0, -1.0, -0.5, 0.5, 1.0, 3.0, 20.0)
"""Errors, in typical errors, at which a term is asked."""


class AttributeTermContract(Contract):
    """An attribute term, asked about readings near and far from what is wanted."""

    component: AttributeTerm

    def test_a_reading_as_wanted_costs_nothing(self) -> None:
        """Readings as wanted cost 0, one value ``(N, C)`` for each."""
        for side in (-1.0, 0.0, 1.0):
            cost = self._cost([0.0] * len(FAR), side)
            expect(cost.shape == (len(FAR), 2), f"its values have shape {tuple(cost.shape)}")
            expect(bool((cost == 0).all()), f"a reading as wanted costs {cost.max():g}")

    def test_near_it_the_squared_error_is_the_cost(self) -> None:
        """Near what is wanted, an amount costs its squared error in typical errors."""
        cost = self._cost([-NEAR, NEAR], 0.0)
        worst = float((cost - NEAR**2).abs().max())
        expect(worst < 1e-5, f"an error of {NEAR} costs {cost.flatten().tolist()}")

    def test_a_larger_error_never_costs_less(self) -> None:
        """No cost is negative or infinite, and a larger error on one side never costs less."""
        for side in (-1.0, 0.0, 1.0):
            cost = self._cost(FAR, side)
            expect(bool(((cost >= 0) & cost.isfinite()).all()), f"it costs {cost.tolist()}")
            below, above = cost[: len(FAR) // 2], cost[len(FAR) // 2 :]
            falls = (below.diff(dim=0) <= 0).all() & (above.diff(dim=0) >= 0).all()
            expect(bool(falls), f"costs at errors {FAR} are {cost[:, 0].tolist()}")
        self.found(f"an error of 3 costs {float(self._cost([3.0], 0.0)[0, 0]):.3g}")

    def test_a_class_that_is_not_read_costs(self) -> None:
        """A logit short of what is wanted, towards the other class, costs."""
        short = torch.stack([self._cost([-3.0], 1.0), self._cost([3.0], -1.0)])
        expect(bool((short > 0).all()), f"three typical errors short cost {short.tolist()}")

    def test_each_cost_depends_on_its_own_reading(self) -> None:
        """Each cost depends on its own reading alone."""
        together = self._cost(FAR, 0.0)
        alone = torch.cat([self._cost([one], 0.0) for one in FAR])
        expect(torch.equal(together, alone), "a reading among others costs something else")

    def test_its_gradient_is_finite(self) -> None:
        """Its gradient is finite, where a reading is as wanted too."""
        for side in (-1.0, 0.0, 1.0):
            gap = _gap([*FAR, 0.0], side)
            read = gap.read.requires_grad_()
            (gradient,) = torch.autograd.grad(self.component(gap).sum(), [read])
            expect(bool(gradient.isfinite().all()), f"at side {side:g} it is {gradient.tolist()}")

    def test_it_writes_no_file(self) -> None:
        """Asking it writes no file."""
        with writes_only_below():
            self._cost(FAR, 0.0)

    def _cost(self, errors: list[float] | tuple[float, ...], side: float) -> Tensor:
        with torch.no_grad():
            return self.component(_gap(errors, side))


def _gap(errors: list[float] | tuple[float, ...], side: float) -> Gap:
    """Return readings ``(N, 2)`` that lie so many typical errors above what is wanted."""
    typical_error = torch.tensor([2.0, 8.0])
    wanted = torch.zeros(len(errors), 2)
    read = torch.tensor(errors)[:, None] * typical_error
    return Gap(read, wanted, typical_error, torch.full_like(wanted, side))
