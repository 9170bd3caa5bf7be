import pickle
import re
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path

import pytest

from qctkit import bundled, hookspecs, plugin
from qctkit.contracts import FoundScan, Scan
from qctkit.discovery import BUNDLED, VARIABLE
from qctkit.errors import PluginError, PluginRunError, ScanError
from qctkit.hookspecs import Deprecation
from qctkit.plugin import API_VERSION, Attribute, PluginApiWarning, Recipe, hookimpl
from qctkit.readers.choose import find_one
from qctkit.recipes.voxel_baseline import voxel_baseline
from qctkit.registry import KINDS, load_registry
from qctkit.subject import ATTRIBUTES

Install = Callable[..., EntryPoint]
BUILT_IN_EDITS = tuple(sorted(one.name for one in bundled.register_edits()))


@pytest.fixture
def install() -> Iterator[Install]:
    """Make an importable module of hooks and give its entry point."""
    made: list[str] = []

    def make(name: str, **hooks: Callable[..., object]) -> EntryPoint:
        module = types.ModuleType(f"planted_{len(made)}")
        module.QCTKIT_API = API_VERSION
        for hook, function in hooks.items():
            function.__name__ = hook
            setattr(module, hook, hookimpl(function))
        sys.modules[module.__name__] = module
        made.append(module.__name__)
        return EntryPoint(name, module.__name__, "qctkit")

    yield make
    for one in made:
        del sys.modules[one]


def _installed(site: Path, distribution: str, plugin: str) -> EntryPoint:
    """Give the entry point of a distribution as it lies in site-packages."""
    info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[qctkit]\n{plugin} = nowhere\n")
    (point,) = PathDistribution(info).entry_points
    return point


def _recipe(name: str) -> Recipe:
    return replace(voxel_baseline(), name=name)


def test_the_built_in_components_come_through_the_hooks() -> None:
    registry = load_registry(())
    assert registry.names("edits") == BUILT_IN_EDITS
    assert {"size", "total-variation", "structure-similarity"} <= set(registry.names("losses"))
    assert "squared-error" in registry.names("attribute_terms")
    assert {"attributes", "density", "structure"} <= set(registry.names("validators"))
    assert {"bone-density", "sex-network", "reader-network"} <= set(registry.names("predictors"))
    assert "voxel-baseline" in registry.names("recipes")
    assert "nifti" in registry.names("exporters")
    assert registry.readers()
    owners = {impl.plugin_name for impl in registry.manager.hook.register_edits.get_hookimpls()}
    assert owners == {BUNDLED}


@pytest.mark.parametrize(
    "kind", ["edit", "loss", "attribute_term", "validator", "family", "recipe", "exporter"]
)
def test_every_component_is_found_by_the_name_it_carries(kind: str) -> None:
    registry = load_registry(())
    plural = {"loss": "losses", "family": "predictors"}.get(kind, f"{kind}s")
    for name in registry.names(plural):
        assert getattr(registry, kind)(name).name == name


def test_femur_density_is_found_by_its_entry_point() -> None:
    registry = load_registry()
    (state,) = [one for one in registry.plugins if one.name == "femur-density"]
    assert (state.distribution, state.problem) == ("qctkit-femur-density", "")
    assert registry.recipe("femur-density").name == "femur-density"


def test_a_name_registered_twice_is_an_error_naming_both_and_the_other_names_stay(
    install: Install,
) -> None:
    first = install("first", register_recipes=lambda: (_recipe("mine"), _recipe("firsts")))
    second = install("second", register_recipes=lambda: (_recipe("mine"),))
    registry = load_registry([first, second])
    with pytest.raises(PluginError, match=r"'mine' .* both first .* and second .*uninstall one"):
        registry.recipe("mine")
    assert {"firsts", "voxel-baseline"} <= set(registry.names("recipes"))
    assert all("both first" in one.problem for one in registry.plugins)


def test_a_third_plugin_of_a_name_does_not_get_it_either(install: Install) -> None:
    points = [install(f"p{n}", register_recipes=lambda: (_recipe("mine"),)) for n in range(3)]
    registry = load_registry(points)
    assert "mine" not in registry.names("recipes")
    assert all(one.problem for one in registry.plugins)


def test_a_plugin_that_takes_the_name_of_a_built_in_is_broken_and_the_built_in_stays(
    install: Install,
) -> None:
    theirs = replace(_recipe("voxel-baseline"), account="theirs")
    registry = load_registry([install("clash", register_recipes=lambda: (theirs,))])
    assert registry.recipe("voxel-baseline").account != "theirs"
    assert registry.owner("recipes", "voxel-baseline") is None
    assert re.search("both qctkit .built in. and clash", registry.plugins[0].problem)


def test_a_plugin_that_cannot_be_imported_is_reported_and_the_others_go_on(
    install: Install,
) -> None:
    broken = EntryPoint("broken", "no_such_module_at_all", "qctkit")
    good = install("good", register_recipes=lambda: (_recipe("mine"),))
    registry = load_registry([broken, good])
    assert "ModuleNotFoundError" in registry.plugins[0].problem
    assert registry.plugins[1].problem == ""
    assert registry.recipe("mine").name == "mine"


def test_a_misspelt_hook_is_reported_and_the_others_go_on(install: Install) -> None:
    misspelt = install("a-misspelt", register_recipies=lambda: ())
    good = install("good", register_recipes=lambda: (_recipe("mine"),))
    registry = load_registry([misspelt, good])
    assert "register_recipies" in registry.plugins[0].problem
    assert registry.recipe("mine").name == "mine"


def test_two_plugins_of_one_name_are_both_broken_and_both_distributions_named(
    tmp_path: Path,
) -> None:
    points = [_installed(tmp_path, f"{maker}-femur", "twin") for maker in ("their", "our")]
    registry = load_registry(points)
    assert [one.status for one in registry.plugins] == ["broken", "broken"]
    assert "our-femur 1.0 and their-femur 1.0 both install" in registry.plugins[0].problem


def test_a_plugin_that_takes_the_built_ins_name_does_not_take_them_down(install: Install) -> None:
    registry = load_registry([install(BUNDLED, register_recipes=lambda: (_recipe("mine"),))])
    assert registry.plugins[0].problem
    assert "voxel-baseline" in registry.names("recipes")


def test_a_hook_that_fails_is_told_of_once_and_the_others_go_on(install: Install) -> None:
    def register_edits() -> None:
        raise RuntimeError("no licence")

    told: list[str] = []
    registry = load_registry([install("late", register_edits=register_edits)], say=told.append)
    assert registry.names("edits") == BUILT_IN_EDITS
    assert registry.plugins[0].problem == "register_edits: RuntimeError: no licence"
    assert len(told) == 1
    with pytest.raises(PluginError, match=r"plugin late is broken: register_edits.*no licence"):
        registry.edit("theirs")


def test_a_plugin_with_a_component_without_a_name_is_broken(install: Install) -> None:
    registry = load_registry([install("nameless", register_edits=lambda: (object(),))])
    assert registry.names("edits") == BUILT_IN_EDITS
    assert "has no attribute 'name'" in registry.plugins[0].problem


def test_an_unknown_recipe_suggests_the_nearest() -> None:
    with pytest.raises(PluginError, match=r"did you mean 'femur-density'\?"):
        load_registry().recipe("femur-densty")


def test_an_unknown_name_tells_of_broken_plugins() -> None:
    broken = EntryPoint("broken", "no_such_module_at_all", "qctkit")
    with pytest.raises(PluginError, match="plugin broken is broken: ModuleNotFoundError"):
        load_registry([broken]).recipe("its-recipe")


def test_a_kind_is_asked_for_only_when_it_is_needed(install: Install) -> None:
    asked: list[str] = []
    registry = load_registry([install("late", register_edits=lambda: asked.append("edits") or ())])
    assert asked == []
    registry.names("recipes")
    assert asked == []
    registry.names("edits")
    registry.edit("voxel")
    assert asked == ["edits"]


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        (None, "does not state its API"),
        ("2.0", "written for plugin API 2.0.*upgrade qctkit"),
        ("1.99", "written for plugin API 1.99.*upgrade qctkit"),
        ("0.9", "written for plugin API 0.9.*upgrade the plugin"),
        ("newest", "QCTKIT_API is 'newest'"),
        (1.0, "QCTKIT_API is 1.0"),
    ],
)
def test_a_plugin_of_another_api_is_broken(install: Install, stated: object, words: str) -> None:
    point = install("old", register_recipes=lambda: (_recipe("mine"),))
    sys.modules[point.module].QCTKIT_API = stated  # type: ignore[attr-defined]
    registry = load_registry([point])
    assert re.search(words, registry.plugins[0].problem)
    assert "mine" not in registry.names("recipes")


def test_a_hook_that_asks_for_what_it_is_not_given_is_broken(install: Install) -> None:
    registry = load_registry([install("asks", after_run=lambda output, weather: (output, weather))])
    problem = registry.plugins[0].problem
    assert problem == "after_run asks for weather; the hook gives output, accepted, refused"


def test_a_hook_without_its_marker_is_broken(install: Install) -> None:
    point = install("unmarked", register_recipes=lambda: ())

    def register_edits() -> tuple[object, ...]:
        return ()

    register_edits.__module__ = point.module
    setattr(sys.modules[point.module], "register_edits", register_edits)  # noqa: B010
    (state,) = load_registry([point]).plugins
    assert state.problem == "register_edits has no @hookimpl, so it would never be called"


def test_a_wrapper_of_others_hooks_is_broken(install: Install) -> None:
    point = install("wraps", register_recipes=lambda: ())
    module = sys.modules[point.module]

    def register_recipes() -> Iterator[None]:
        yield

    module.register_recipes = hookimpl(wrapper=True)(register_recipes)  # type: ignore[attr-defined]
    assert "wrapper" in load_registry([point]).plugins[0].problem


def test_a_plugin_without_hooks_is_broken(install: Install) -> None:
    assert "no function" in load_registry([install("empty")]).plugins[0].problem


def test_a_plugin_that_exits_when_imported_is_broken(tmp_path: Path) -> None:
    (tmp_path / "leaves_at_once.py").write_text("raise SystemExit(3)\n")
    sys.path.insert(0, str(tmp_path))
    try:
        registry = load_registry([EntryPoint("leaves", "leaves_at_once", "qctkit")])
    finally:
        sys.path.remove(str(tmp_path))
    assert registry.plugins[0].problem == "SystemExit: 3"


def test_only_selected_plugins_are_imported(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, " good,")
    unselected = EntryPoint("other", "no_such_module_at_all", "qctkit")
    good = install("good", register_recipes=lambda: (_recipe("mine"),))
    registry = load_registry([unselected, good])
    assert [(one.name, one.status) for one in registry.plugins] == [
        ("good", "loaded"),
        ("other", "disabled"),
    ]
    with pytest.raises(PluginError, match="disabled plugins: other"):
        registry.recipe("theirs")


@pytest.mark.parametrize("way", ["variable", "argument"])
def test_no_plugin_is_loaded_where_none_is_selected(
    install: Install, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "variable":
        monkeypatch.setenv(VARIABLE, "")
    good = install("good", register_recipes=lambda: (_recipe("mine"),))
    registry = load_registry([good], only=() if way == "argument" else None)
    assert registry.plugins[0].status == "disabled"
    assert "mine" not in registry.names("recipes")


def test_a_selected_plugin_that_is_not_installed_is_an_error_with_the_nearest(
    install: Install,
) -> None:
    with pytest.raises(PluginError, match=r"'god' is selected .*did you mean 'good'\?"):
        load_registry([install("good", register_recipes=lambda: ())], only=("god",))


def test_what_a_plugins_component_raises_names_plugin_component_and_sample(
    install: Install,
) -> None:
    registry = load_registry([install("mine", register_recipes=lambda: (_recipe("theirs"),))])
    with (
        pytest.raises(PluginRunError, match=r"plugin mine .*recipe theirs, judge of S1: KeyError"),
        registry.guarding("recipes", "theirs", "judge of S1"),
    ):
        raise KeyError("absent")


def test_what_a_built_in_raises_stays_as_it_is() -> None:
    with (
        pytest.raises(KeyError),
        load_registry(()).guarding("recipes", "voxel-baseline", "judge of S1"),
    ):
        raise KeyError("absent")


def test_an_observer_sees_copies_and_one_that_raises_is_counted(install: Install) -> None:
    seen: list[object] = []

    def alters(record: dict[str, list[int]]) -> None:
        record["targets"].append(2)
        raise ValueError("not today")

    first = install("a-alters", after_candidate=alters)
    second = install("b-sees", after_candidate=lambda record: seen.append(record))
    told: list[str] = []
    registry = load_registry([first, second], say=told.append)
    registry.observe("after_candidate", record={"targets": [1]})
    assert seen == [{"targets": [1]}]
    assert registry.failures == told
    assert re.search("a-alters .*after_candidate: ValueError: not today", told[0])


def test_the_plugins_that_made_something_are_named_with_their_versions() -> None:
    registry = load_registry()
    made_by = registry.made_by([("recipes", "femur-density"), ("edits", "density-field")])
    assert [(one["name"], one["distribution"]) for one in made_by] == [
        ("femur-density", "qctkit-femur-density")
    ]
    assert made_by[0]["version"]


def test_every_kind_has_a_hook() -> None:
    assert {f"register_{kind}" for kind in KINDS} == {
        name for name in vars(bundled) if name.startswith("register_")
    } | {"register_commands", "register_transforms"}


def test_the_core_s_attributes_come_by_the_same_route_and_keep_their_names(
    install: Install,
) -> None:
    theirs = Attribute("age_years", "continuous", "years", 0.0, 999.0)
    registry = load_registry([install("old", register_attributes=lambda: (theirs,))])
    assert registry.names("attributes") == ("age_years", "sex", "weight_kg")
    assert registry.attributes()[1].high == ATTRIBUTES["age_years"].high == 120.0
    assert "registered by both qctkit (built in) and old" in registry.plugins[0].problem


def test_a_plugins_attribute_is_known_as_soon_as_plugins_are_loaded(install: Install) -> None:
    grip = Attribute("grip_kg", "continuous", "kg", 0.0, 120.0)
    load_registry([install("hand", register_attributes=lambda: (grip,))])
    assert ATTRIBUTES.pop("grip_kg") == grip


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: (Attribute("grip", "continuous", "kg", 0.0, 120.0),), "such as height_kg"),
        (lambda: (Attribute("spacing_mm", "continuous", "mm", 0.0, 1.0),), "has a column"),
    ],
)
def test_an_attribute_that_cannot_be_breaks_its_plugin_alone(
    install: Install, make: Callable[[], object], words: str
) -> None:
    registry = load_registry([install("hand", register_attributes=make)], say=lambda _: None)
    assert words in registry.plugins[0].problem
    assert registry.names("attributes") == ("age_years", "sex", "weight_kg")


OUTDATED = {
    "register_losses": Deprecation("2.0", "return them from register_terms"),
    "Mask": Deprecation("2.0", "write NDArray[np.bool_]"),
}


def test_a_plugin_that_uses_what_goes_with_a_later_api_loads_and_is_told(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hookspecs, "DEPRECATED", OUTDATED)
    old = install("old", register_losses=lambda: ())
    new = install("new", register_edits=lambda: ())
    newer, older = load_registry([old, new]).plugins
    assert (older.status, newer.warnings) == ("loaded", ())
    assert older.warnings == (
        "register_losses goes with plugin API 2.0; return them from register_terms",
    )


def test_a_name_on_its_way_out_warns_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hookspecs, "DEPRECATED", OUTDATED)
    words = r"qctkit\.plugin\.Mask goes with plugin API 2\.0; write NDArray"
    with pytest.warns(PluginApiWarning, match=words):
        assert plugin.Mask is not None


def test_what_is_on_its_way_out_is_still_there_and_goes_with_a_later_major_version() -> None:
    ours = int(API_VERSION.split(".")[0])
    for name, one in hookspecs.DEPRECATED.items():
        assert hasattr(hookspecs, name) or name in plugin.__all__
        major, minor = (int(part) for part in one.removed_in.split("."))
        assert (major, minor) > (ours, 0)
        assert minor == 0


class _Careless:
    """A reader that forgets its contract."""

    name = "careless"

    def claims(self, path: Path) -> bool:
        if path.suffix == ".odd":
            return True
        raise IndexError("Jane Doe")

    def find(self, path: Path) -> list[FoundScan]:
        if path.name == "unfound.odd":
            raise KeyError("Jane Doe")
        return [FoundScan("odd", _fail_to_load)]


def _fail_to_load() -> Scan:
    raise ZeroDivisionError("Jane Doe")


@pytest.mark.parametrize(
    ("name", "words"), [("unfound.odd", "find: KeyError"), ("a.odd", "load: ZeroDivisionError")]
)
def test_what_a_plugins_reader_raises_refuses_the_scan_and_names_the_plugin(
    install: Install, tmp_path: Path, name: str, words: str
) -> None:
    point = install("odd", register_readers=lambda: (_Careless(),))
    told: list[str] = []
    readers = load_registry([point], say=told.append).readers()
    (tmp_path / name).write_bytes(b"odd")
    with pytest.raises(ScanError, match=f"plugin odd .*reader careless, {words}") as caught:
        pickle.loads(pickle.dumps(find_one(tmp_path / name, readers))).load()
    assert "Jane" not in str(caught.value)
    with pytest.raises(ScanError, match="no reader knows this format"):
        find_one(Path(__file__), readers)
    assert len(told) == 1
    assert "claims: IndexError" in told[0]
