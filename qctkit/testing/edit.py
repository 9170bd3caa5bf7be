"""The contract of edits, as checks."""

import numpy as np
import torch
from torch import Tensor

from qctkit.contracts import Edit, Scene
from qctkit.engine.render import Rendering, render
from qctkit.frame import locate
from qctkit.networks import one_thread
from qctkit.testing.contract import Contract, expect
from qctkit.testing.cost import cost_in_words
from qctkit.testing.femurs import make_femur
from qctkit.testing.scenes import BATCH, VIEW, make_scene, random_parameters, row
from qctkit.testing.writes import writes_only_below

AGREES_WITHIN = 1e-3
"""HU by which a batch may differ from its samples one by one."""


class EditContract(Contract):
    """An edit, applied to three simple femurs, does what its protocol promises."""

    component: Edit

    def test_it_says_what_it_changes_and_in_which_units(self) -> None:
        """It says what it may change, and the unit, first step and spread of each parameter."""
        edit = self.component
        names = set(edit.start(BATCH, VIEW))
        for what, told in (
            ("units", edit.units),
            ("step_sizes", edit.step_sizes),
            ("spreads", edit.spreads),
        ):
            expect(set(told) == names, f"{what} are of {sorted(told)}, start of {sorted(names)}")
        # A first step of 0 keeps a parameter where it starts.
        expect(all(step >= 0 for step in edit.step_sizes.values()), "a first step is below 0")
        expect(all(one > 0 for one in edit.spreads.values()), "a spread is not above 0")
        expect(edit.reach_mm >= 0, f"reach_mm is {edit.reach_mm}")
        expect(len(edit.account.split()) > 2, f"its account is {edit.account!r}")
        shown = ", ".join(f"{name} ({edit.units[name] or 'no unit'})" for name in sorted(names))
        self.found(f"{edit.account}; parameters {shown}; moves {edit.reach_mm:g} mm at most")

    def test_parameters_at_zero_are_the_identity(self) -> None:
        """Parameters at zero change nothing, exactly, on the view and in the scan."""
        edit, scene = self.component, make_scene()
        zero = edit.start(BATCH, VIEW)
        expect(all(bool((one == 0).all()) for one in zero.values()), "start is not at zero")
        after = edit.apply(scene, zero)
        for name in ("hu", "femur", "depth_mm"):
            same = torch.equal(getattr(after, name), getattr(scene, name))
            expect(same, f"at zero, {name} of the view changes")
        source = make_femur()
        made = self._rendered(edit.start(1, VIEW))
        expect(np.array_equal(made.volume.voxels, source.volume.voxels), "at zero, voxels change")
        expect(np.array_equal(made.femur.voxels, source.femur.voxels), "at zero, the mask changes")

    def test_its_gradient_reaches_every_parameter(self) -> None:
        """The gradient of what the image shows reaches every parameter, and is finite.

        Where the loop moves some and an atlas gives the others, it must reach those at zero.
        """
        zero, random = self.component.start(BATCH, VIEW), random_parameters(self.component)
        moved = [name for name, step in self.component.step_sizes.items() if step > 0] or [*zero]
        sets_out = {name: zero[name] if name in moved else random[name].clone() for name in zero}
        for where, parameters, names in (
            ("at zero", sets_out, moved),
            ("beyond", random, [*zero]),
        ):
            wanted = {name: parameters[name].requires_grad_() for name in names}
            hu = self.component.apply(make_scene(), parameters).hu
            loss = (hu * torch.linspace(0.0, 1.0, hu.shape[-1])).square().mean()
            gradients = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
            for name, gradient in zip(wanted, gradients, strict=True):
                expect(gradient is not None, f"{where}, no gradient reaches {name}")
                expect(bool(gradient.isfinite().all()), f"{where}, {name}'s is not finite")
                expect(bool((gradient != 0).any()), f"{where}, {name}'s is zero")

    def test_it_changes_the_image(self) -> None:
        """Parameters a few steps from zero change what the image shows."""
        change = self._applied(random_parameters(self.component)).hu - make_scene().hu
        expect(bool((change != 0).any()), "five first steps change nothing")
        self.found(f"{float(change.abs().max()):.0f} HU at most after five first steps")

    def test_it_is_deterministic(self) -> None:
        """The same parameters give the same scene, to the last bit."""
        parameters = random_parameters(self.component)
        first, again = (self._applied(parameters) for _ in range(2))
        expect(torch.equal(first.hu, again.hu), "applying it twice gives other HU")

    def test_a_batch_equals_its_samples_one_by_one(self) -> None:
        """Each sample's result depends on its own scene and parameters alone."""
        parameters = random_parameters(self.component)
        together = self._applied(parameters)
        worst = 0.0
        for number in range(BATCH):
            scene = make_scene().take(torch.tensor([number]))
            with torch.no_grad():
                alone = self.component.apply(scene, row(parameters, number))
            worst = max(worst, float((alone.hu[0] - together.hu[number]).abs().max()))
        words = f"largest difference {worst:.1e} HU"
        expect(worst <= AGREES_WITHIN, f"{words}, at most {AGREES_WITHIN:g} allowed")
        self.found(words)

    def test_an_edit_that_moves_nothing_leaves_the_femur_in_its_place(self) -> None:
        """An edit that moves nothing gives back the scene's own femur and depths."""
        scene, after = make_scene(), self._applied(random_parameters(self.component))
        if self.component.reach_mm:
            self.found(f"it moves, by {self.component.reach_mm:g} mm at most")
            return
        expect(after.femur is scene.femur, "reach_mm is 0, and the femur is another")
        expect(after.depth_mm is scene.depth_mm, "reach_mm is 0, and the depths are others")

    def test_rendered_it_changes_its_region_alone(self) -> None:
        """Rendered in a scan, it changes voxels of its region alone, and no geometry."""
        source = make_femur()
        frame = locate(source.femur, source.volume.geometry)
        region = self.component.region(source, frame, VIEW)
        expect(region.shape == source.volume.voxels.shape, f"its region is {region.shape}")
        expect(region.dtype == np.bool_, f"its region is of {region.dtype}, expected bool")
        made = self._rendered(row(random_parameters(self.component), 0))
        changed = made.volume.voxels != source.volume.voxels
        expect(not (changed & ~region).any(), "voxels outside the region changed")
        expect(made.volume.geometry.matches(source.volume.geometry), "the geometry changed")
        self.found(f"{changed.mean():.0%} of the voxels, its region is {region.mean():.0%}")

    def test_it_knows_its_limits(self) -> None:
        """Its own constraint holds at zero, for each sample, and gives bools ``(N,)``."""
        within = self.component.within_limits(make_scene(), self.component.start(BATCH, VIEW))
        expect(within.shape == (BATCH,), f"within_limits has shape {tuple(within.shape)}")
        expect(within.dtype == torch.bool, f"within_limits is of {within.dtype}")
        expect(bool(within.all()), "parameters at zero are out of limits")
        figures = self.component.figures(make_scene(), random_parameters(self.component))
        expect(len(figures) == BATCH, f"figures are of {len(figures)} samples, not {BATCH}")
        self.found(", ".join(sorted(figures[0])))

    def test_it_writes_no_file(self) -> None:
        """Applying it writes no file."""
        make_scene()
        with writes_only_below():
            self._applied(random_parameters(self.component))

    def test_what_a_call_costs(self) -> None:
        """Applying it to three views of 20 x 16 x 16 takes the time and memory stated."""
        parameters = random_parameters(self.component)
        self.found(cost_in_words(lambda: self._applied(parameters)))

    def _applied(self, parameters: dict[str, Tensor]) -> Scene:
        with torch.no_grad(), one_thread():
            return self.component.apply(make_scene(), parameters)

    def _rendered(self, parameters: dict[str, Tensor]) -> Rendering:
        source = make_femur()
        frame = locate(source.femur, source.volume.geometry)
        region = self.component.region(source, frame, VIEW)
        single = {name: values[0] for name, values in parameters.items()}
        return render(source, self.component, single, region, frame, VIEW)
