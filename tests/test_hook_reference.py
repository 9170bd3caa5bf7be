import runpy
from pathlib import Path

from qctkit import hookspecs, plugin

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "hooks.md").read_text(encoding="utf-8")


def test_the_reference_is_what_the_code_gives() -> None:
    written = runpy.run_path(str(DOCS / "hooks.py"))["page"]()
    assert written == PAGE, "run: python docs/hooks.py"


def test_every_hook_has_a_heading_and_says_what_it_is_for() -> None:
    hooks = [name for name, one in vars(hookspecs).items() if hasattr(one, "qctkit_spec")]
    assert len(hooks) == 14
    for name in hooks:
        assert f"## `{name}(" in PAGE
        assert getattr(hookspecs, name).__doc__


def test_every_public_name_of_the_plugin_face_is_sorted_importable_and_listed() -> None:
    assert list(plugin.__all__) == sorted(plugin.__all__)
    for name in plugin.__all__:
        assert getattr(plugin, name) is not None
        assert f"| `{name}` |" in PAGE
