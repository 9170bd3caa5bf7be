"""A validator's verdict, whoever wrote the validator."""

from qctkit.contracts import Candidate, Validator, Verdict
from qctkit.density import DensityReference
from qctkit.errors import PluginRunError
from qctkit.registry import Registry


def verdict_of(
    registry: Registry,
    validator: Validator,
    candidate: Candidate,
    reference: DensityReference,
    name: str,
) -> Verdict:
    """Return a validator's verdict; the candidate has not passed a plugin's that raises."""
    try:
        with registry.guarding("validators", validator.name, f"judge of {name}"):
            verdict = validator.judge(candidate, reference)
            verdict.record()  # what is no verdict is the plugin's failure too
            return verdict
    except PluginRunError as error:
        return Verdict(validator.name, False, {}, registry.failed(error))
