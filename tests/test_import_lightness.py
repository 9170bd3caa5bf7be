import subprocess
import sys

import pytest

from qctkit.cli.main import COMMANDS

HEAVY = ("SimpleITK", "h5py", "matplotlib", "nibabel", "numpy", "onnx", "onnxruntime", "pydicom",
         "scipy", "sklearn", "torch")  # fmt: skip


def _loaded_by(statement: str) -> set[str]:
    script = f"import sys; {statement}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


@pytest.mark.parametrize(
    "module", ["qctkit", "qctkit.registry", "qctkit.hookspecs", "qctkit.bundled", "qctkit.schema"]
)
def test_importing_loads_nothing_heavy(module: str) -> None:
    assert _loaded_by(f"import {module}").isdisjoint(HEAVY)


@pytest.mark.parametrize("module", ["qctkit.plugin", "qctkit.contracts"])
def test_a_plugins_imports_do_not_load_torch(module: str) -> None:
    assert _loaded_by(f"import {module}").isdisjoint({"torch", "h5py", "onnxruntime"})


@pytest.mark.parametrize("command", COMMANDS)
def test_asking_a_command_for_help_loads_nothing_heavy(command: str) -> None:
    script = (
        "import io, contextlib, qctkit.cli.main as m\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    assert m.run([{command!r}, '--help']) == 0"
    )
    assert _loaded_by(f"exec({script!r})").isdisjoint(HEAVY)


def test_augmenting_loads_neither_what_only_fits_nor_what_only_draws() -> None:
    loaded = _loaded_by("import qctkit.pipeline.augment, qctkit.pipeline.defaults")
    assert loaded.isdisjoint({"matplotlib", "onnx", "onnxruntime", "sklearn"})


def test_a_report_loads_torch_only_where_it_trains() -> None:
    loaded = _loaded_by("import qctkit.pipeline.report")
    assert loaded.isdisjoint({"onnxruntime", "scipy.stats", "sklearn", "torch"})


def test_reading_by_onnx_loads_neither_torch_nor_what_only_fits() -> None:
    loaded = _loaded_by("import qctkit.pipeline.predict")
    assert loaded.isdisjoint({"matplotlib", "sklearn", "torch"})
