"""What a training configuration file may say, and how it changes the registered families.

::

    folds = 5
    seed = 0
    families = ["physical-features", "sex-network"]

    [network.sex-network]
    members = 3                # networks of different seeds, averaged
    encoder = "residual"       # residual, plain, spread (volumetric) or slices (slice by slice)
    sees = "bone"              # bone, or hip
    attributes = ["sex"]
    view_shape = [36, 28, 36]  # points along superior, anterior, medial
    view_spacing_mm = 3.0      # along all axes, or three numbers: [3.0, 0.4, 0.4]
    epochs = 40
    batch = 8
    learning_rate = 3e-3
    weight_decay = 2e-2
    patience = 0               # epochs without progress before stopping early; 0 is never
    robust_hu = 0.0            # HU by which voxels are moved against the network in training
"""

import difflib
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from qctkit.cohort import Record
from qctkit.contracts import PredictorFamily
from qctkit.errors import InputError, PredictorError
from qctkit.networks import ENCODER_NAMES
from qctkit.predictors.network import NetworkFamily
from qctkit.predictors.onnx_description import SIZES, SPACINGS_MM
from qctkit.subject import ATTRIBUTES
from qctkit.view import spacing_of


@dataclass(frozen=True)
class TrainingConfiguration:
    """A configuration file as read: every entry checked, nothing applied yet.

    Attributes:
        families: names to train; empty trains those that are trained by default.
        networks: changed fields of networks, by name of the network.
    """

    folds: int = 5
    seed: int = 0
    families: tuple[str, ...] = ()
    networks: Mapping[str, Record] = field(default_factory=dict)

    def chosen(self, registered: Sequence[PredictorFamily]) -> tuple[PredictorFamily, ...]:
        """Return the families to train, changed as the configuration says.

        Raises:
            InputError: a name is not registered, or is not a network's.
        """
        known = {family.name: family for family in registered}
        for name in (*self.families, *self.networks):
            _refuse_unknown(name, known, "a family of predictors")
        for name in self.networks:
            if not isinstance(known[name], NetworkFamily):
                raise InputError(f"[network.{name}]: {name} is not a network; it has no settings")
        names = self.families or tuple(
            name for name, one in known.items() if not getattr(one, "on_request", False)
        )
        return tuple(configured(known[name], self.networks.get(name, {})) for name in names)


def read_configuration(path: Path) -> TrainingConfiguration:
    """Return a checked configuration file.

    Raises:
        InputError: the file cannot be read, or names file, key and value that cannot be used.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read as TOML: {error}") from error
    networks = entries.pop("network", {})
    if not isinstance(networks, dict) or not all(isinstance(v, dict) for v in networks.values()):
        raise InputError(f"{path}: network needs tables, such as [network.sex-network]")
    top = _checked(path, "", entries, _TOP)
    return TrainingConfiguration(
        networks={
            name: _checked(path, f"network.{name}.", table, _NETWORK)
            for name, table in networks.items()
        },
        **top,
    )


def configured(family: PredictorFamily, changes: Record) -> PredictorFamily:
    """Return a family with the changes that a configuration or a description holds.

    Raises:
        PredictorError: the family knows no such settings.
    """
    if not changes:
        return family
    if not isinstance(family, NetworkFamily):
        raise PredictorError(f"{family.name} has no settings, but the predictors hold some")
    changed = dict(changes)
    schedule = replace(family.schedule, **{k: changed.pop(k) for k in _SCHEDULE if k in changed})
    shape = tuple(changed.pop("view_shape", family.view.shape))
    spacing_mm = spacing_of(changed.pop("view_spacing_mm", family.view.spacing_mm))
    view = replace(family.view, shape=shape, spacing_mm=spacing_mm)
    if "sees" in changed:
        changed["bone_only"] = changed.pop("sees") == "bone"
    if "attributes" in changed:
        changed["attributes"] = tuple(changed["attributes"])
    return replace(family, schedule=schedule, view=view, **changed)


def configuration_of(family: PredictorFamily) -> Record:
    """Return what ``build`` needs to know of a family, for the description beside its weights."""
    if not isinstance(family, NetworkFamily):
        return {}
    return {
        "encoder": family.encoder,
        "members": family.members,
        "sees": "bone" if family.bone_only else "hip",
    }


@dataclass(frozen=True)
class _Entry:
    wanted: str
    accepts: Callable[[Any], bool]
    take: Callable[[Any], Any] = lambda value: value


def _whole(least: int) -> _Entry:
    return _Entry(
        f"a whole number of at least {least}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least,
    )


def _positive(words: str, least: float = 0.0) -> _Entry:
    return _Entry(
        words,
        lambda value: (
            isinstance(value, int | float) and not isinstance(value, bool) and least < value < 1e6
        ),
        float,
    )


def _one_of(names: Sequence[str]) -> _Entry:
    return _Entry(" or ".join(names), lambda value: value in names)


def _names(words: str, known: Collection[str] | None = None) -> _Entry:
    return _Entry(
        words,
        lambda value: (
            isinstance(value, list)
            and len(value) > 0
            and all(isinstance(one, str) and (known is None or one in known) for one in value)
            and len(set(value)) == len(value)
        ),
        tuple,
    )


def _is_shape(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(type(n) is int and SIZES[0] <= n <= SIZES[1] for n in value)
    )


def _is_spacing(value: object) -> bool:
    numbers: list[Any] = value if isinstance(value, list) else 3 * [value]
    return len(numbers) == 3 and all(
        type(one) in (int, float) and SPACINGS_MM[0] <= one <= SPACINGS_MM[1] for one in numbers
    )


_TOP = {
    "folds": _whole(2),
    "seed": _whole(0),
    "families": _names("a list of different names of predictors"),
}
_SCHEDULE = {
    "epochs": _whole(1),
    "batch": _whole(1),
    "learning_rate": _positive("a number above 0"),
    "weight_decay": _positive("a number of at least 0", -1e-12),
    "patience": _whole(0),
    "robust_hu": _positive("a number of HU of at least 0", -1e-12),
}
_NETWORK = {
    **_SCHEDULE,
    "members": _whole(1),
    "encoder": _one_of(ENCODER_NAMES),
    "sees": _one_of(("bone", "hip")),
    "attributes": _names(f"a list of {', '.join(ATTRIBUTES)}", ATTRIBUTES),
    "view_shape": _Entry(f"three whole numbers from {SIZES[0]} to {SIZES[1]}", _is_shape, tuple),
    "view_spacing_mm": _Entry(
        f"a number of mm from {SPACINGS_MM[0]:g} to {SPACINGS_MM[1]:g}, or three of them",
        _is_spacing,
        spacing_of,
    ),
}


def _checked(
    path: Path, prefix: str, entries: Record, allowed: Mapping[str, _Entry]
) -> dict[str, Any]:
    found = {}
    for key, value in entries.items():
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(allowed)}"
            raise InputError(f"{path}: {prefix}{key} = {value!r} is not a setting; {hint}")
        entry = allowed[key]
        if not entry.accepts(value):
            raise InputError(f"{path}: {prefix}{key} is {value!r}; needed: {entry.wanted}")
        found[key] = entry.take(value)
    return found


def _refuse_unknown(name: str, known: Collection[str], kind: str) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"{name!r} is not {kind} (known: {', '.join(sorted(known))}){hint}")
