"""The peers of ``speed.py``: an environment that holds them, and their loops on our networks.

The environment sees all that this one has, so that torch and the networks are the very same, and
holds the peers beside it. What a peer requires is held to ``constraints.txt``; a peer that cannot
be installed, or not be imported, is said and left out.
"""

import subprocess
import sysconfig
import venv
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from qctkit.window import Window

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"

REQUIREMENTS = {
    "torchattacks": "torchattacks==3.5.1",
    "foolbox": "foolbox==3.3.4",
    "captum": "captum==0.9.0",
    "art": "adversarial-robustness-toolbox==1.20.1",
}
"""What is installed, by the name that is imported."""

RADIUS, STEP = 0.1, 0.01
"""How far a voxel may go, and by how much in a step, as shares of the window: times do not depend
on them."""


def environment(folder: Path) -> Path:
    """Return the Python of the peers' environment, made in a folder unless it is there."""
    python = folder / "bin" / "python"
    if not python.is_file():
        print(f"making an environment for peers in {folder}", flush=True)
        venv.create(folder, with_pip=True)
        (own,) = folder.glob("lib/python*/site-packages")
        here = sysconfig.get_path("purelib")
        (own / "what_made_it.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    pip = [str(python), "-m", "pip", "install", "--quiet", "-c", str(CONSTRAINTS)]
    for requirement in REQUIREMENTS.values():
        print(f"installing {requirement}, held to {CONSTRAINTS.name}", flush=True)
        ran = subprocess.run([*pip, requirement], check=False, capture_output=True, text=True)
        if ran.returncode:
            print(f"  it cannot be installed: {_last_line(ran.stderr)}", flush=True)
    return python


class Readings(nn.Module):
    """Networks as a peer takes them: shares of the window ``(N, 1, D, H, W)`` to ``(N, A)``.

    The femur's share of voxels, which no loop changes, is kept beside.
    """

    def __init__(self, networks: Sequence[nn.Module], femur: Tensor, window: Window) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks).eval().requires_grad_(requires_grad=False)
        self._femur, self._window = femur, window

    def shares(self, hu: Tensor) -> Tensor:
        """Return HU ``(N, D, H, W)`` as shares of the window, cut to it."""
        low, high = self._window.low_hu, self._window.high_hu
        return ((hu - low) / (high - low)).clamp(0.0, 1.0)[:, None]

    def forward(self, shares: Tensor) -> Tensor:
        """Return the readings of all networks side by side."""
        low, high = self._window.low_hu, self._window.high_hu
        images = torch.cat([low + (high - low) * shares, self._femur[:, None]], dim=1)
        return torch.cat([network(images) for network in self.networks], dim=1)


Run: TypeAlias = Callable[[], object]


def loops(model: Readings, hu: Tensor, steps: int) -> dict[str, Run]:
    """Return the loop of each peer that can be imported: so many steps on all images at once."""
    found = {}
    shares = model.shares(hu)
    labels = torch.zeros(len(hu), dtype=torch.int64)
    for name, requirement in REQUIREMENTS.items():
        try:
            import_module(name)
            found[requirement] = _LOOPS[name](model, shares, labels, steps)
        except Exception as error:  # whatever a peer raises, the others go on
            print(f"{requirement} is left out: {type(error).__name__}: {error}")
    return found


def _torchattacks(model: Readings, shares: Tensor, labels: Tensor, steps: int) -> Run:
    import torchattacks

    attack = torchattacks.PGD(model, eps=RADIUS, alpha=STEP, steps=steps, random_start=False)
    return lambda: attack(shares, labels)


def _foolbox(model: Readings, shares: Tensor, labels: Tensor, steps: int) -> Run:
    import foolbox

    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfPGD(abs_stepsize=STEP, steps=steps, random_start=False)
    criterion = foolbox.criteria.Misclassification(labels)
    return lambda: attack.run(wrapped, shares, criterion, epsilon=RADIUS)


def _captum(model: Readings, shares: Tensor, labels: Tensor, steps: int) -> Run:
    from captum.robust import PGD

    attack = PGD(model, lower_bound=0.0, upper_bound=1.0)
    return lambda: attack.perturb(
        shares, radius=RADIUS, step_size=STEP, step_num=steps, target=labels
    )


def _art(model: Readings, shares: Tensor, labels: Tensor, steps: int) -> Run:
    from art.attacks.evasion import ProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier

    outputs = model(shares).shape[1]
    wrapped = PyTorchClassifier(
        model,
        nn.CrossEntropyLoss(),
        shares.shape[1:],
        outputs,
        clip_values=(0, 1),
        device_type="cpu",
    )
    attack = ProjectedGradientDescent(
        wrapped, eps=RADIUS, eps_step=STEP, max_iter=steps, batch_size=len(shares), verbose=False
    )
    images, wanted = shares.numpy(), np.eye(outputs, dtype=np.float32)[labels.numpy()]
    return lambda: attack.generate(images, wanted)


_LOOPS: Mapping[str, Callable[[Readings, Tensor, Tensor, int], Run]] = {
    "torchattacks": _torchattacks,
    "foolbox": _foolbox,
    "captum": _captum,
    "art": _art,
}


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["pip gave no reason"])[-1]
