"""Every hook of qctkit on one page, and the version of the plugin API.

``register_*`` hooks return components; values carry their own name. The built-in components come
through these same hooks. The other hooks observe a run: they are given copies, and what they
return is dropped. ``docs/hooks.md`` is made from this page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from qctkit.cohort import Record
    from qctkit.contracts import (
        AttributeTerm,
        Edit,
        Exporter,
        LossTerm,
        PredictorFamily,
        Reader,
        Recipe,
        Transform,
        Validator,
    )
    from qctkit.subject import Attribute

PROJECT = "qctkit"

API_VERSION = "1.0"
"""Major and minor version of the hooks, of ``qctkit.plugin`` and of ``qctkit.testing``.

A new minor version only adds; what a major version will take away is announced in the changelog
and warned of for one minor version before.
"""


@dataclass(frozen=True)
class Deprecation:
    """What a plugin still may use and a later version of the API takes away.

    Attributes:
        removed_in: that version, a major one.
        instead: what to write in its place, for authors: "return it from register_edits".
    """

    removed_in: str
    instead: str

    def words(self, name: str) -> str:
        """Return what is said to who uses it."""
        return f"{name} goes with plugin API {self.removed_in}; {self.instead}"


DEPRECATED: Mapping[str, Deprecation] = {}
"""Hooks, and names of ``qctkit.plugin``, that are on their way out. An entry stays for one minor
version at least; with the major version that it names, it goes together with what it names."""


class PluginApiWarning(FutureWarning):
    """Warned when a plugin uses what a later version of the API takes away."""


hookspec = pluggy.HookspecMarker(PROJECT)


@hookspec
def register_attributes() -> "Sequence[Attribute]":
    """Return attributes of subjects, which tables, cohorts, predictors and targets then know."""
    return ()


@hookspec
def register_readers() -> "Sequence[Reader]":
    """Return readers of scans, which `qctkit ingest` asks for every path."""
    return ()


@hookspec
def register_predictors() -> "Sequence[PredictorFamily]":
    """Return predictor families that `qctkit train` fits."""
    return ()


@hookspec
def register_edits() -> "Sequence[Edit]":
    """Return edits that recipes can use."""
    return ()


@hookspec
def register_transforms() -> "Sequence[Transform]":
    """Return transforms for recipes that optimise nothing: plain augmentation, for comparison."""
    return ()


@hookspec
def register_losses() -> "Sequence[LossTerm]":
    """Return preservation terms that recipes can weigh or bound."""
    return ()


@hookspec
def register_attribute_terms() -> "Sequence[AttributeTerm]":
    """Return terms that say what missing a target costs, of which a recipe names one."""
    return ()


@hookspec
def register_validators() -> "Sequence[Validator]":
    """Return validators that recipes can ask."""
    return ()


@hookspec
def register_recipes() -> "Sequence[Recipe]":
    """Return recipes that `qctkit augment --plugin` can select."""
    return ()


@hookspec
def register_exporters() -> "Sequence[Exporter]":
    """Return exporters that `qctkit convert --to` can use."""
    return ()


@hookspec
def register_commands() -> "Sequence[click.Command]":
    """Return commands of the command line; a built-in command of the same name stays."""
    return ()


@hookspec
def before_run(run: "Record") -> None:
    """See what is about to be made: recipe, seed, versions, plugins, as the file records it."""


@hookspec
def after_candidate(record: "Record") -> None:
    """See what is kept of a candidate: targets, labels, readings, verdicts, accepted or why not."""


@hookspec
def after_run(output: Path, accepted: int, refused: int) -> None:
    """See how a run ended: the cohort file, and how many candidates were accepted and refused."""
