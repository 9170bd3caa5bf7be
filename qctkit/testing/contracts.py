"""Which contract is that of which kind of component."""

from collections.abc import Mapping

from qctkit.testing.attribute_term import AttributeTermContract
from qctkit.testing.contract import Contract
from qctkit.testing.edit import EditContract
from qctkit.testing.exporter import ExporterContract
from qctkit.testing.loss import LossContract
from qctkit.testing.predictor import PredictorContract
from qctkit.testing.reader import ReaderContract
from qctkit.testing.recipe import RecipeContract
from qctkit.testing.transform import TransformContract
from qctkit.testing.validator import ValidatorContract

CONTRACTS: Mapping[str, type[Contract]] = {
    "readers": ReaderContract,
    "predictors": PredictorContract,
    "edits": EditContract,
    "transforms": TransformContract,
    "losses": LossContract,
    "attribute_terms": AttributeTermContract,
    "validators": ValidatorContract,
    "recipes": RecipeContract,
    "exporters": ExporterContract,
}
"""By kind, as the hooks name it."""
