"""Finding installed plugins: entry points to hooks, each one loaded, disabled or broken.

A plugin that cannot be used is kept by name with its reason; the others go on.
"""

import difflib
import inspect
import os
import warnings
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, metadata
from typing import Any, Literal

import pluggy

from qctkit import bundled, hookspecs
from qctkit.errors import PluginError
from qctkit.hookspecs import API_VERSION, PROJECT, PluginApiWarning
from qctkit.onnx_plugin import onnx_plugin

GROUP = "qctkit"
BUNDLED = "qctkit (built in)"

VARIABLE = "QCTKIT_PLUGINS"
"""Names of the plugins to load, with commas between; empty loads none, not set loads all."""

API_NAME = "QCTKIT_API"
"""What a plugin's module states: the API version that it was written for, such as "1.0"."""


@dataclass(frozen=True)
class PluginState:
    """A plugin as it was found.

    Attributes:
        name: of its entry point.
        distribution, version: what installed it.
        target: what the entry point names, a module as a rule.
        disabled: installed and not selected, and so not imported.
        problem: why it is broken, empty where it is not.
        warnings: what it uses that a later version of the plugin API takes away, a sentence each.
    """

    name: str
    distribution: str
    version: str
    target: str = ""
    disabled: bool = False
    problem: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def status(self) -> Literal["loaded", "disabled", "broken"]:
        """Whether its components can be used."""
        if self.disabled:
            return "disabled"
        return "broken" if self.problem else "loaded"

    @property
    def origin(self) -> str:
        """The distribution and its version, for messages."""
        return f"{self.distribution} {self.version}".strip()


def discover(
    points: Iterable[EntryPoint] | None = None, only: Collection[str] | None = None
) -> tuple[pluggy.PluginManager, tuple[PluginState, ...]]:
    """Return the hooks of the built-ins and of the plugins installed under group ``qctkit``.

    Plugins come in the order of their names.

    Args:
        points: entry points; None takes those that are installed.
        only: names of the plugins to load; None takes ``QCTKIT_PLUGINS``, or all.

    Raises:
        PluginError: a plugin is selected that is not installed.
    """
    given = entry_points(group=GROUP) if points is None else points
    found = sorted(((_state(one), one) for one in given), key=lambda pair: _order(pair[0]))
    wanted = _selected() if only is None else only
    _refuse_unknown(wanted, [state.name for state, _ in found])
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(bundled, BUNDLED)
    count = Counter(state.name for state, _ in found)
    states: list[PluginState] = []
    for state, point in found:
        if wanted is not None and state.name not in wanted:
            states.append(replace(state, disabled=True))
        elif count[state.name] > 1:
            twins = [one for one, _ in found if one.name == state.name]
            states.append(replace(state, problem=_clash(twins)))
        else:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always", PluginApiWarning)
                problem = _load(manager, point)
            states.append(replace(state, problem=problem, warnings=_outdated(said)))
    return manager, tuple(states)


def summary_of(state: PluginState) -> str:
    """Return the one line that a plugin's distribution says of itself, empty if it says none."""
    try:
        return str(metadata(state.distribution).json.get("summary", ""))
    except PackageNotFoundError:
        return ""


def in_words(error: BaseException) -> str:
    """Return an error's kind and the first line of what it says."""
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__


def _order(state: PluginState) -> tuple[str, str]:
    return state.name, state.distribution


def _state(point: EntryPoint) -> PluginState:
    if point.dist is None:
        return PluginState(point.name, "unknown distribution", "", point.value)
    about = point.dist.metadata  # parsed again by every access to the distribution's properties
    return PluginState(point.name, about["Name"], about["Version"], point.value)


def _selected() -> Collection[str] | None:
    text = os.environ.get(VARIABLE)
    return None if text is None else {name.strip() for name in text.split(",") if name.strip()}


def _refuse_unknown(wanted: Collection[str] | None, installed: Collection[str]) -> None:
    for name in sorted(wanted or ()):
        if name not in installed:
            near = difflib.get_close_matches(name, installed, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise PluginError(
                f"plugin {name!r} is selected ({VARIABLE}) but not installed (installed: "
                f"{', '.join(sorted(set(installed))) or 'none'}){hint}"
            )


def _clash(twins: Iterable[PluginState]) -> str:
    origins = " and ".join(one.origin for one in twins)
    return f"{origins} both install a plugin of this name; uninstall one"


def _load(manager: pluggy.PluginManager, point: EntryPoint) -> str:
    """Register a plugin and return what is wrong with it, empty if nothing."""
    if manager.has_plugin(point.name):
        return "this name is qctkit's own"
    try:
        plugin = point.load()
        plugin = onnx_plugin(plugin) or plugin
        problem = _wrong_api(plugin) or _wrong_hooks(manager, plugin)
        if not problem:
            manager.register(plugin, point.name)
    # A plugin's module may raise anything at all when imported; it must not take us down.
    except (Exception, SystemExit) as error:
        return in_words(error)
    return problem


def _outdated(said: Iterable[warnings.WarningMessage]) -> tuple[str, ...]:
    """Return the warnings of the plugin API, in words; others go on to whoever listens."""
    own = [one for one in said if issubclass(one.category, PluginApiWarning)]
    for one in said:
        if one not in own:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return tuple(dict.fromkeys(str(one.message) for one in own))


def _wrong_api(plugin: object) -> str:
    stated = getattr(plugin, API_NAME, None)
    if stated is None:
        return f'it does not state its API; add {API_NAME} = "{API_VERSION}" beside its hooks'
    try:
        major, minor = (int(part) for part in stated.split("."))
    except (AttributeError, ValueError):
        return f'{API_NAME} is {stated!r}; expected a text such as "{API_VERSION}"'
    our_major, our_minor = (int(part) for part in API_VERSION.split("."))
    if major == our_major and minor <= our_minor:
        return ""
    newer = (major, minor) > (our_major, our_minor)
    way_out = "upgrade qctkit" if newer else "upgrade the plugin"
    return f"written for plugin API {stated}, this qctkit has {API_VERSION}; {way_out}"


def _wrong_hooks(manager: pluggy.PluginManager, plugin: object) -> str:
    """Return the first hook that qctkit would not call, or would call wrongly."""
    known = {name: caller.spec for name, caller in vars(manager.hook).items() if caller.spec}
    marked = 0
    for name in sorted(dir(plugin)):
        options = manager.parse_hookimpl_opts(plugin, name)
        if options is None:
            if name in known and _is_own(plugin, name):
                return f"{name} has no @hookimpl, so it would never be called"
            continue
        marked += 1
        if name in hookspecs.DEPRECATED:
            warnings.warn(hookspecs.DEPRECATED[name].words(name), PluginApiWarning, stacklevel=2)
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            return f"qctkit has no hook {name}{hint} (all hooks: {', '.join(sorted(known))})"
        if options["wrapper"] or options["hookwrapper"]:
            return f"{name} is a hook wrapper; a plugin's hooks cannot change another's"
        wrong = [
            one for one in _arguments(getattr(plugin, name)) if one not in known[name].argnames
        ]
        if wrong:
            takes = ", ".join(known[name].argnames) or "no argument"
            return f"{name} asks for {', '.join(wrong)}; the hook gives {takes}"
    return "" if marked else "no function of it is marked @hookimpl"


def _is_own(plugin: object, name: str) -> bool:
    """Whether a name is a function written in the plugin, and not only imported there."""
    function = getattr(plugin, name)
    return inspect.isfunction(function) and function.__module__ == getattr(plugin, "__name__", None)


def _arguments(function: Any) -> list[str]:
    return [
        one.name
        for one in inspect.signature(function).parameters.values()
        if one.default is inspect.Parameter.empty
    ]
