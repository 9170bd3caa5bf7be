"""What a gradient graph says of itself, in its file's metadata: a predictor's description and more.

``qctkit.gradient`` holds what it adds; the other keys are those of the predictor's own file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qctkit.cohort import Record
from qctkit.errors import PredictorError
from qctkit.predictors.gradient_check import Reference
from qctkit.predictors.onnx_description import PREFIX, Description

FORMAT = "qctkit-onnx-gradient 1"
KEY = PREFIX + "gradient"

WANTED, WEIGHT, SIDE = "wanted", "weight", "side"
LOSS, READINGS, GRADIENT = "loss", "readings", "gradient"

SUFFIX, MEASURES_SUFFIX = ".gradient.onnx", ".measures.gradient.onnx"
"""Behind a predictor's name, of the file that holds its gradient graph: of what it reads, and of
what it measures on the way there."""


@dataclass(frozen=True, eq=False)
class GradientDescription:
    """A gradient graph's contract.

    Attributes:
        predictor: the contract of the predictor that is in it; its ``output_name`` is that of the
            readings.
        attribute_term: name of the term that says what missing a reading costs.
        measures: how many measures stand in the place of its readings; 0 where they are its
            readings.
        reference: by which the graph can be checked wherever it runs.
    """

    predictor: Description
    attribute_term: str
    reference: Reference
    measures: int = 0

    @property
    def name(self) -> str:
        """The predictor's name."""
        return self.predictor.name

    @property
    def columns(self) -> tuple[str, ...]:
        """What the columns of the readings are: attributes, or measures by their number."""
        return measure_names(self.measures) or self.predictor.attributes

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the graph's inputs: the images, then what is asked of them."""
        return (self.predictor.input_name, WANTED, WEIGHT, SIDE)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""
        return (LOSS, self.predictor.output_name, GRADIENT)

    def record(self) -> Record:
        """Return what the predictor's description does not say, as JSON values."""
        return {
            "attribute_term": self.attribute_term,
            "measures": self.measures,
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "reference": self.reference.record(),
        }

    def metadata(self) -> dict[str, str]:
        """Return what an ONNX file's ``metadata_props`` hold."""
        return {
            **self.predictor.metadata(),
            PREFIX + "format": json.dumps(FORMAT),
            KEY: json.dumps(self.record(), sort_keys=True, allow_nan=False),
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "GradientDescription":
        """Return the description in an ONNX file's ``metadata_props``.

        Raises:
            PredictorError: there is none, or it is damaged or of another format.
        """
        found = metadata.get(PREFIX + "format")
        if found != json.dumps(FORMAT):
            raise PredictorError(
                f"it is no gradient graph (its format is {found or 'not stated'}, expected "
                f'"{FORMAT}"); make one with `qctkit export --gradient`'
            )
        try:
            record: dict[str, Any] = {
                name.removeprefix(PREFIX): json.loads(text)
                for name, text in metadata.items()
                if name.startswith(PREFIX)
            }
            gradient = record["gradient"]
            return cls(
                Description.from_record(record),
                str(gradient["attribute_term"]),
                Reference.from_record(gradient["reference"]),
                int(gradient.get("measures", 0)),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PredictorError(f"its description is damaged ({error})") from error


def measure_names(count: int) -> tuple[str, ...]:
    """Return names for so many measures, by their number."""
    return tuple(f"measure {number}" for number in range(count))
