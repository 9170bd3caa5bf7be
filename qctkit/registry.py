"""Finding plugins, and turning names into components."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pluggy

from qctkit import bundled, hookspecs
from qctkit.errors import PluginError

if TYPE_CHECKING:
    from qctkit.contracts import (
        Edit,
        Exporter,
        LossTerm,
        PredictorFamily,
        Reader,
        Recipe,
        Validator,
    )

GROUP = "qctkit"
BUNDLED = "qctkit (built in)"


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Component = TypeVar("_Component", bound=_Named)


@dataclass(frozen=True)
class PluginState:
    """A plugin as it was found: its name, distribution and, when it is broken, the reason."""

    name: str
    distribution: str
    version: str
    problem: str = ""


@dataclass(frozen=True, eq=False)
class Registry:
    """The components that built-ins and plugins registered, by kind and name.

    Each kind is asked for when it is first needed, so that a command loads only what it uses.
    """

    manager: pluggy.PluginManager
    plugins: tuple[PluginState, ...]
    _kinds: dict[str, dict[str, Any]] = field(default_factory=dict)

    def readers(self) -> "tuple[Reader, ...]":
        """Return all readers."""
        return tuple(self._of("readers").values())

    def families(self) -> "tuple[PredictorFamily, ...]":
        """Return all predictor families."""
        return tuple(self._of("predictors").values())

    def family(self, name: str) -> "PredictorFamily":
        """Return a predictor family by name."""
        family: PredictorFamily = self._named("predictors", name)
        return family

    def edit(self, name: str) -> "Edit":
        """Return an edit by name."""
        edit: Edit = self._named("edits", name)
        return edit

    def loss(self, name: str) -> "LossTerm":
        """Return a preservation term by name."""
        term: LossTerm = self._named("losses", name)
        return term

    def validator(self, name: str) -> "Validator":
        """Return a validator by name."""
        validator: Validator = self._named("validators", name)
        return validator

    def recipe(self, name: str) -> "Recipe":
        """Return a recipe by name."""
        recipe: Recipe = self._named("recipes", name)
        return recipe

    def exporter(self, name: str) -> "Exporter":
        """Return an exporter by name."""
        exporter: Exporter = self._named("exporters", name)
        return exporter

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the registered names of a kind ("readers", "recipes", ...), sorted."""
        return tuple(sorted(self._of(kind)))

    def _named(self, kind: str, name: str) -> Any:
        found = self._of(kind)
        if name in found:
            return found[name]
        near = difflib.get_close_matches(name, found, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        broken = "".join(
            f"; plugin {p.name} failed: {p.problem}" for p in self.plugins if p.problem
        )
        raise PluginError(
            f"no {kind.removesuffix('s')} is called {name!r} (known: "
            f"{', '.join(sorted(found)) or 'none'}){hint}{broken}"
        )

    def _of(self, kind: str) -> dict[str, Any]:
        if kind not in self._kinds:
            self._kinds[kind] = self._collect(kind)
        return self._kinds[kind]

    def _collect(self, kind: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        owner: dict[str, str] = {}
        hook = getattr(self.manager.hook, f"register_{kind}")
        # pluggy answers newest first; built-ins were registered first and come first.
        for implementation in hook.get_hookimpls():
            for component in _call(implementation):
                if component.name in found:
                    raise PluginError(
                        f"{kind.removesuffix('s')} {component.name!r} is registered by both "
                        f"{owner[component.name]} and {implementation.plugin_name}; uninstall one"
                    )
                found[component.name] = component
                owner[component.name] = implementation.plugin_name
        return found


def load_registry(points: Iterable[EntryPoint] | None = None) -> Registry:
    """Return a registry of the built-ins and of every plugin installed under group ``qctkit``.

    A plugin that cannot be loaded is kept by name with its reason; the others go on.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(bundled, BUNDLED)
    states = [
        _load(manager, point)
        for point in sorted(
            entry_points(group=GROUP) if points is None else points, key=lambda one: one.name
        )
    ]
    return Registry(manager, tuple(states))


def _load(manager: pluggy.PluginManager, point: EntryPoint) -> PluginState:
    distribution = point.dist.name if point.dist else "unknown distribution"
    version = point.dist.version if point.dist else ""
    if manager.has_plugin(point.name):
        reason = "another plugin has this name already; uninstall one"
        return PluginState(point.name, distribution, version, reason)
    try:
        manager.register(point.load(), point.name)
        manager.check_pending()
    # A plugin's module may raise anything at all when imported; it must not take us down.
    except Exception as error:
        if manager.has_plugin(point.name):
            manager.unregister(name=point.name)
        reason = f"{type(error).__name__}: {error}"
        return PluginState(point.name, distribution, version, reason)
    return PluginState(point.name, distribution, version)


def _call(implementation: pluggy.HookImpl) -> list[Any]:
    try:
        components: Iterable[Any] = implementation.function()  # type: ignore[assignment] # pluggy says object
        found = list(components)
        for component in found:
            if not isinstance(component.name, str):
                raise TypeError(f"a component's name must be a string, got {component.name!r}")
        return found
    except Exception as error:
        raise PluginError(
            f"plugin {implementation.plugin_name} failed in {implementation.function.__name__}: "
            f"{type(error).__name__}: {error}"
        ) from error
