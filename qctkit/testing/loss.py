"""The contract of preservation terms, as checks."""

import torch
from torch import Tensor

from qctkit.contracts import Change, Edit, LossTerm
from qctkit.testing.contract import Contract, expect
from qctkit.testing.cost import cost_in_words
from qctkit.testing.found import installed
from qctkit.testing.scenes import BATCH, VIEW, make_scene, random_parameters
from qctkit.testing.writes import writes_only_below


class LossContract(Contract):
    """A preservation term, asked about changes of three simple femurs, keeps its promises.

    The changes are made by the built-in edit ``density-field``; override ``edit`` with the name
    of another that the term is made for.
    """

    component: LossTerm
    edit = "density-field"

    def test_it_costs_nothing_to_change_nothing(self) -> None:
        """At the identity it costs 0, one value ``(N,)`` for each sample."""
        cost = self.component(self._change(self._edit().start(BATCH, VIEW)))
        expect(cost.shape == (BATCH,), f"its values have shape {tuple(cost.shape)}")
        expect(bool((cost == 0).all()), f"at the identity it costs {cost.tolist()}")

    def test_a_change_costs(self) -> None:
        """A change costs more than nothing, and a larger one more."""
        small, large = (self._cost(random_parameters(self._edit()), by) for by in (1.0, 2.0))
        expect(bool((small > 0).all()), f"a change costs {small.tolist()}")
        expect(bool((large > small).all()), "twice the change does not cost more")
        self.found(f"{float(small.mean()):.3g} for five first steps, {float(large.mean()):.3g} "
                   "for ten")  # fmt: skip

    def test_each_value_depends_on_its_own_sample(self) -> None:
        """Each value depends on its own sample alone."""
        parameters = random_parameters(self._edit())
        before = self._cost(parameters)
        for values in parameters.values():
            values[1] = 0.0
        after = self._cost(parameters)
        expect(float(after[1]) == 0.0, "an unchanged sample among others costs something")
        others = torch.equal(before[[0, 2]], after[[0, 2]])
        expect(others, "what one sample costs depends on another")

    def test_its_gradient_is_finite(self) -> None:
        """Its gradient is finite everywhere, the identity included."""
        for where, parameters in (
            ("at the identity", self._edit().start(BATCH, VIEW)),
            ("beyond", random_parameters(self._edit())),
        ):
            wanted = {name: one.requires_grad_() for name, one in parameters.items()}
            cost = self.component(self._change(wanted)).sum()
            gradients = torch.autograd.grad(cost, list(wanted.values()), allow_unused=True)
            for name, gradient in zip(wanted, gradients, strict=True):
                finite = gradient is None or bool(gradient.isfinite().all())
                expect(finite, f"{where}, the gradient of {name} is not finite")
            reached = [one for one in gradients if one is not None and bool((one != 0).any())]
            expect(where != "beyond" or len(reached) > 0, "no gradient reaches any parameter")

    def test_it_says_the_same_every_time(self) -> None:
        """The same change costs the same every time."""
        parameters = random_parameters(self._edit())
        expect(torch.equal(self._cost(parameters), self._cost(parameters)), "it varies")

    def test_it_writes_no_file(self) -> None:
        """Asking it writes no file."""
        parameters = random_parameters(self._edit())
        make_scene()
        with writes_only_below():
            self._cost(parameters)

    def test_what_a_call_costs(self) -> None:
        """Asking it about three views of 20 x 16 x 16 takes the time and memory stated."""
        change = self._change(random_parameters(self._edit()))
        self.found(cost_in_words(lambda: self.component(change)))

    def _edit(self) -> Edit:
        edit: Edit = installed("edits", self.edit)
        return edit

    def _change(self, parameters: dict[str, Tensor]) -> Change:
        scene = make_scene()
        return Change(self._edit(), scene, self._edit().apply(scene, parameters), parameters)

    def _cost(self, parameters: dict[str, Tensor], by: float = 1.0) -> Tensor:
        scaled = {name: by * values for name, values in parameters.items()}
        with torch.no_grad():
            return self.component(self._change(scaled))
