import subprocess
import sys

from qctkit import simulate


def test_names_are_sorted_and_documented():
    assert simulate.__all__ == sorted(simulate.__all__)
    assert all(getattr(simulate, name).__doc__ for name in simulate.__all__)


def test_the_simulator_does_not_load_torch():
    code = "import qctkit.simulate, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
