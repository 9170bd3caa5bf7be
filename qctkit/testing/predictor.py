"""The contract of predictor families, as checks."""

import pickle
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import ClassVar
from unittest import SkipTest

import torch
from torch import Tensor, nn

from qctkit.contracts import PredictorFamily, Role, TrainingData
from qctkit.networks import one_thread
from qctkit.predictors.onnx_export import export_predictor
from qctkit.predictors.onnx_module import OnnxModule
from qctkit.predictors.trained import TrainedPredictor
from qctkit.predictors.training import see_cohort
from qctkit.subject import ATTRIBUTES
from qctkit.testing.contract import Contract, expect
from qctkit.testing.cost import cost_in_words
from qctkit.testing.femurs import make_people, with_attributes, with_unknowns
from qctkit.testing.found import installed_registry
from qctkit.testing.writes import writes_only_below
from qctkit.view import View

SINGLE_AGREES_WITHIN = 1e-4
"""Difference of a batch from its images one by one, relative to readings of at least 1."""

SUBJECTS = 12


class PredictorContract(Contract):
    """A predictor family, fitted to twelve simple femurs, does what its protocol promises.

    One subject's age and another's weight are unknown. An attribute that the core does not know
    must be registered by an installed plugin; nothing in the images follows it.
    """

    component: PredictorFamily
    _fits: ClassVar[dict[str, nn.Module]] = {}

    def test_it_says_what_it_is(self) -> None:
        """It says its name, its role, the attributes that it reads and the view that it sees."""
        family = self.component
        expect(bool(family.name), "it has no name")
        expect(isinstance(family.role, Role), f"role is {family.role!r}, expected a Role")
        expect(isinstance(family.view, View), f"view is {family.view!r}, expected a View")
        _refuse_unknown(family.attributes)
        expect(len(family.attributes) > 0, "it reads no attribute")
        expect(len(set(family.attributes)) == len(family.attributes), "an attribute is there twice")
        shape = " x ".join(str(one) for one in family.view.shape)
        spacing = " x ".join(f"{one:g}" for one in family.view.spacing_mm)
        self.found(
            f"{family.role}, reads {', '.join(family.attributes)}, sees {shape} points of "
            f"{spacing} mm"
        )

    def test_it_can_be_pickled_and_its_repr_is_its_configuration(self) -> None:
        """It can be pickled, and its repr names its configuration and nothing else."""
        again = pickle.loads(pickle.dumps(self.component))
        expect(" at 0x" not in repr(self.component), f"its repr {self.component!r} has an address")
        expect(repr(again) == repr(self.component), f"its repr becomes {again!r} when pickled")

    def test_it_gives_an_estimate_of_each_attribute(self) -> None:
        """Images (N, 2, D, H, W) give finite estimates (N, A), in eval mode after fit."""
        module, images = self._fitted(), self._images()
        expect(not module.training, "fit gives a module in training mode; end with .eval()")
        found = _read(module, images)
        wanted = (len(images), len(self.component.attributes))
        expect(found.shape == wanted, f"estimates have shape {tuple(found.shape)}, not {wanted}")
        expect(bool(found.isfinite().all()), "an estimate is not finite")
        self.found(f"{tuple(images.shape)} to {tuple(found.shape)}")

    def test_its_estimates_are_in_the_attributes_units(self) -> None:
        """Continuous attributes are read in their unit; binary ones as a logit."""
        data, module = self._data(), self._fitted()
        if isinstance(module, OnnxModule):
            raise SkipTest("trained elsewhere: what it reads off simple femurs means nothing")
        found = _read(module, self._images()).mean(dim=0)
        for name, mean in zip(self.component.attributes, found.tolist(), strict=True):
            attribute = ATTRIBUTES[name]
            if attribute.kind == "binary":
                self.found(f"{name} a logit of {mean:.2f} on average")
                continue
            expect(
                attribute.allows(mean),
                f"{name} is read {mean:.1f} on average; it is {attribute.allowed}",
            )
            true = float(data.values[name].nanmean())
            self.found(f"{name} {mean:.1f} {attribute.unit} on average, truly {true:.1f}")

    def test_the_same_seed_gives_the_same_weights(self) -> None:
        """A fit is decided by its data and seed alone."""
        first, again = self._fitted().state_dict(), self._fit().state_dict()
        other = [name for name in first if not torch.equal(first[name], again[name])]
        expect(not other, f"a second fit with the same seed has other weights: {other[:3]}")

    def test_a_built_module_takes_the_weights(self) -> None:
        """A module that build gives takes the weights of fit and then reads the same."""
        family, data = self.component, self._data()
        built = family.build(family.attributes, data.view).eval()
        built.load_state_dict(self._fitted().state_dict())
        images = self._images()
        same = torch.equal(_read(built, images), _read(self._fitted(), images))
        expect(same, "with the weights of fit loaded, build's module reads something else")

    def test_it_is_deterministic(self) -> None:
        """The same images give the same estimates, to the last bit."""
        module, images = self._fitted(), self._images()
        same = torch.equal(_read(module, images), _read(module, images))
        expect(same, "reading the same images twice gives other estimates")

    def test_a_batch_equals_its_images_one_by_one(self) -> None:
        """A batch gives what its images give one by one."""
        module, images = self._fitted(), self._images()
        together = _read(module, images)
        singly = torch.cat([_read(module, one) for one in images.split(1)])
        worst = float(((together - singly).abs() / together.abs().clamp(min=1.0)).max())
        words = f"largest relative difference {worst:.1e}"
        expect(worst <= SINGLE_AGREES_WITHIN, f"{words}, at most {SINGLE_AGREES_WITHIN:g} allowed")
        self.found(words)

    def test_its_gradient_reaches_the_image(self) -> None:
        """A predictor of the loop has a finite gradient for the HU, of every attribute."""
        if self.component.role is Role.READER:
            self.found("a reader; needs none")
            return
        images = self._images()[:2].requires_grad_()
        estimates = self._fitted()(images)
        for column, name in enumerate(self.component.attributes):
            (gradient,) = torch.autograd.grad(
                estimates[:, column].sum(), images, retain_graph=True, allow_unused=True
            )
            expect(gradient is not None, f"no gradient of {name} reaches the image")
            reached = gradient[:, 0]
            expect(bool(reached.isfinite().all()), f"the gradient of {name} is not finite")
            share = float((reached != 0).float().mean())
            expect(share > 0, f"the gradient of {name} is zero at every voxel")
            self.found(f"{name} at {share:.0%} of the voxels")

    def test_its_onnx_twin_reads_the_same(self) -> None:
        """It can be exported to ONNX, and ONNX Runtime reads what PyTorch does."""
        module = self._fitted()
        if isinstance(module, OnnxModule):
            self.found("it is an ONNX file")
            return
        family, data = self.component, self._data()
        trained = TrainedPredictor(
            family.name, family.name, family.role, family.attributes, data.view, module, {}, {}
        )
        with tempfile.TemporaryDirectory() as folder, one_thread():
            _, check = export_predictor(trained, {}, Path(folder))
        worst = max(one.relative_difference for one in check.parities)
        self.found(f"largest relative difference {worst:.1e}")

    def test_it_writes_no_file(self) -> None:
        """Fit and reading write no file."""
        image = self._images()[:1]
        with writes_only_below():
            _read(self._fit(), image)

    def test_what_a_call_costs(self) -> None:
        """Reading one image takes the time and memory stated."""
        module, image = self._fitted(), self._images()[:1]
        self.found(cost_in_words(lambda: _read(module, image)))

    def _data(self) -> TrainingData:
        return _seen(self.component.view, self.component.attributes)

    def _images(self) -> Tensor:
        return self._data().images[:]

    def _fitted(self) -> nn.Module:
        """Return the module of one fit, made once for all checks."""
        key = f"{type(self.component)} {self.component!r}"
        if key not in self._fits:
            self._fits[key] = self._fit()
        return self._fits[key]

    def _fit(self) -> nn.Module:
        with one_thread():
            return self.component.fit(self._data(), self.component.attributes, 0)


@lru_cache(maxsize=8)
def _seen(view: View, attributes: tuple[str, ...]) -> TrainingData:
    """Return the twelve as `qctkit train` gives them: views in files, read where asked for."""
    folder = Path(tempfile.mkdtemp(dir=_files().name))
    people = with_attributes(make_people(SUBJECTS), _refuse_unknown(attributes))
    return see_cohort(with_unknowns(people), folder, view).data


def _refuse_unknown(attributes: tuple[str, ...]) -> tuple[str, ...]:
    """Return attributes all of which are known, of the core or of an installed plugin."""
    installed_registry()  # which makes those of plugins known
    unknown = [one for one in attributes if one not in ATTRIBUTES]
    expect(not unknown, f"attributes {unknown} are not known; known: {', '.join(ATTRIBUTES)}")
    return attributes


@lru_cache(maxsize=1)
def _files() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that is gone when the process ends."""
    return tempfile.TemporaryDirectory(prefix="qctkit-testing-")


def _read(module: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad(), one_thread():
        found: Tensor = module(images)
    return found
