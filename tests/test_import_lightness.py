import subprocess
import sys

import pytest

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
