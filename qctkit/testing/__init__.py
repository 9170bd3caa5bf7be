"""Contract tests for plugin authors: a class for each kind of component, to inherit.

::

    from qctkit.testing import ValidatorContract

    class TestMine(ValidatorContract):
        component = Mine()

`qctkit plugins check` runs the same checks, and so do the tests of the built-ins. pytest runs the
classes and is not needed to import them.
"""

from qctkit.testing.attribute_term import AttributeTermContract
from qctkit.testing.contract import Contract, Finding, expect, run_contract
from qctkit.testing.edit import EditContract
from qctkit.testing.exporter import ExporterContract
from qctkit.testing.femurs import make_femur, make_people, make_reference
from qctkit.testing.found import installed
from qctkit.testing.loss import LossContract
from qctkit.testing.predictor import PredictorContract
from qctkit.testing.reader import ReaderContract
from qctkit.testing.recipe import RecipeContract
from qctkit.testing.scenes import make_scene, random_parameters
from qctkit.testing.transform import TransformContract
from qctkit.testing.validator import ValidatorContract
from qctkit.testing.writes import writes_only_below

__all__ = [
    "AttributeTermContract",
    "Contract",
    "EditContract",
    "ExporterContract",
    "Finding",
    "LossContract",
    "PredictorContract",
    "ReaderContract",
    "RecipeContract",
    "TransformContract",
    "ValidatorContract",
    "expect",
    "installed",
    "make_femur",
    "make_people",
    "make_reference",
    "make_scene",
    "random_parameters",
    "run_contract",
    "writes_only_below",
]
