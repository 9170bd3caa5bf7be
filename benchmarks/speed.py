"""How fast is the loop of `voxel-baseline`: ours, the naive one's, and what the machine allows.

One step is values, readings and gradient of two networks, the preservation terms and Adam. Naive is
what following the source study gives: a sample at a time, weights with gradients, autograd through
every term, `torch.optim.Adam`, a fixed number of steps. `volumes` is the recipe's own pair of 3D
networks; `slices` a pair of slice-wise ones. Layers are also timed alone, and the measures that
`femur-morph` and `femur-density` follow. Weights are drawn unless FOLDER holds what
``transfer.py`` made, of which sources and predictors are taken: then quality is compared too.

All run in one process on one thread, in turns, and times are its CPU time, so that a busy
neighbour counts for little. A ratio is the median over rounds of one contestant's time over the
other's in the same round, with its middle half. The limit is the best 3 x 3 x 3 convolution of this
very run; a step's work is the multiplications and additions of its networks' forward and gradient.

With ``--peers`` our step is timed beside those of PGD as torchattacks, foolbox, captum and ART have
it, on the same frozen networks and images, in an environment that is made for them in the folder
given (it says what it installs). **Peers do less in a step**: the sign of a gradient of one loss,
and a projection. Ours also has what each change costs (size, total variation), Adam with a memory
for each voxel, the best step kept for each sample, and an edit in between.

With ``--batches`` our step is timed at several sizes of the batch that is worked on at once.

    python benchmarks/speed.py [FOLDER] [--rounds 7] [--peers ENVIRONMENT | --batches]
"""

import argparse
import copy
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from peers import Readings, environment, loops
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from qctkit.contracts import Pace, Scene
from qctkit.engine.edits.voxel import Voxel
from qctkit.engine.loop import Aim, Outcome, optimise
from qctkit.engine.losses.preservation import Size, TotalVariation
from qctkit.engine.scenes import view_scene
from qctkit.predictors.driving import driving, measuring
from qctkit.predictors.gradient_check import femur_images
from qctkit.predictors.network import NetworkPredictor
from qctkit.predictors.onnx_loading import trial_images
from qctkit.predictors.physical import PhysicalPredictor
from qctkit.recipes.voxel_baseline import voxel_baseline
from qctkit.subject import ATTRIBUTES
from qctkit.view import HIP_VIEW, View

SAMPLES, STEPS, PEER_STEPS = 8, 4, 10
BATCHES = (1, 2, 4, 8, 16)
NAIVE_STEPS = 300
FALLING_STEPS, FALLING = 60, Pace(first=6.0, last=0.0, memory=(0.8, 0.95))
"""A pace that is in no recipe: it ends sooner, and sizes can come out larger."""

RECIPE = voxel_baseline()
PRESERVATION = [
    (weight, {"size": Size(), "total-variation": TotalVariation()}[name])
    for name, weight in RECIPE.preservation.items()
]
FIRST_STEP_HU = Voxel().step_sizes["change_hu"]


@dataclass(frozen=True, eq=False)
class Case:
    """Two networks, what they see, and what each should come to read."""

    name: str
    networks: Sequence[nn.Module]
    scene: Scene
    wanted: Sequence[Tensor]
    errors: Sequence[Tensor]


def main() -> None:
    """Print the tables."""
    options = _options()
    if options.peers is not None:
        beside_peers = [environment(options.peers), __file__, "--beside-peers"]
        subprocess.run([*beside_peers, "--rounds", str(options.rounds)], check=True)
        return
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{platform.machine()}, torch {torch.__version__}, one thread, {options.rounds} rounds")
    if options.beside_peers:
        for case in (_drawn("residual"), _drawn("slices")):
            _print_peers(case, options.rounds)
        return
    if options.batches:
        for case in (_drawn("residual", max(BATCHES)), _drawn("slices", max(BATCHES))):
            _print_batches(case, options.rounds)
        return
    limit, bandwidth = _limits()
    print(f"limit: {limit:.0f} GFLOP/s in a convolution, {bandwidth:.1f} GB/s copied\n")
    for case in (_drawn("residual"), _drawn("slices")):
        _print_steps(case, options.rounds, limit)
        _print_layers(case, options.rounds, limit)
    _print_measures(options.rounds)
    if options.folder is not None:
        _print_campaign(_transferred(options.folder))


def _print_steps(case: Case, rounds: int, limit: float) -> None:
    """Print a step of each contestant beside the naive one's."""
    few = replace(case, scene=case.scene.take(torch.arange(2)))
    steps = {
        "naive": (lambda: _naive(few, STEPS), 2 * STEPS),
        "naive, weights frozen": (lambda: _naive(few, STEPS, frozen=True), 2 * STEPS),
        "batched, frozen": (lambda: _batched(case, STEPS), SAMPLES * STEPS),
        "ours": (lambda: _ours(case, STEPS, Pace()), SAMPLES * STEPS),
    }
    seconds = _in_turns({name: one for name, (one, _) in steps.items()}, rounds)
    each = {name: seconds[name] / steps[name][1] for name in steps}
    work = _flops(case)
    print(f"{case.name}: {work / 1e6:.0f} MFLOP a sample and step")
    print(f"{'loop':<24}{'ms a sample and step':>22}{'naive over it':>26}{'of the limit':>14}")
    for name, took in each.items():
        spread = _spread(each["naive"] / took)
        share = work / float(np.median(took)) / 1e9 / limit
        print(f"{name:<24}{1e3 * np.median(took):>22.2f}{spread:>26}{share:>13.0%}", flush=True)
    print()


def _print_layers(case: Case, rounds: int, limit: float) -> None:
    """Print what each convolution of a network reaches alone, on a batch as the loop's."""
    network = driving(case.networks[0])
    hidden = network.channels(torch.stack([case.scene.hu, case.scene.femur], dim=1))
    if case.name == "slices":
        hidden = hidden.transpose(1, 2).flatten(0, 1)
    print(f"{case.name}: layers alone".ljust(30) + "MFLOP   forward: ms, of limit   gradient")
    with torch.no_grad():
        for number, block in enumerate(network.encoder.stages.in_order):
            for kind, layer in (("strided", block.strided), ("even", block.first)):
                found = layer(hidden)
                sizes = () if kind == "even" else (hidden.shape[2:],)
                seconds = _in_turns(
                    {
                        "forward": partial(layer, hidden),
                        "gradient": partial(layer.slope, found, *sizes),
                    },
                    rounds,
                )
                work = 2.0 * layer.weight[0].numel() * found.numel()
                row = f"stage {number + 1}, {kind}".ljust(23) + f"{work / 1e6:>12.0f}"
                for took in (float(np.median(one)) for one in seconds.values()):
                    row += f"{1e3 * took:>12.2f}{work / took / 1e9 / limit:>8.0%}"
                print(row, flush=True)
                hidden = found
    print()


def _print_measures(rounds: int) -> None:
    """Print what the gradient of all physical measures of a batch costs, to the HU alone."""
    images = torch.from_numpy(femur_images(HIP_VIEW, SAMPLES))
    reader = PhysicalPredictor(tuple(ATTRIBUTES), HIP_VIEW)
    quick = measuring(reader)

    def step(measure: Callable[[Tensor, Tensor], Tensor]) -> None:
        hu = images[:, 0].clone().requires_grad_()
        torch.autograd.grad(measure(hu, images[:, 1]).sum(), hu)

    ways = {
        "all of the image": lambda: step(
            lambda hu, femur: reader.measure(torch.stack([hu, femur], dim=1))
        ),
        "of a femur that stays": lambda: step(quick),
    }
    seconds = _in_turns(ways, rounds)
    plain = seconds["all of the image"]
    print(f"{'measures and their gradient':<30}{'ms a sample':>12}{'first over it':>26}")
    for name, took in seconds.items():
        low, middle, high = np.quantile(plain / took, [0.25, 0.5, 0.75])
        spread = f"{middle:.2f} ({low:.2f} to {high:.2f})"
        print(f"{name:<30}{1e3 * np.median(took) / SAMPLES:>12.2f}{spread:>26}", flush=True)
    print()


def _print_peers(case: Case, rounds: int) -> None:
    """Print a step of each peer beside ours, and how often each reads an image in a step."""
    model = Readings(case.networks, case.scene.femur, case.scene.view.window)
    contestants: dict[str, Callable[[], object]] = {
        "ours": lambda: _ours(case, PEER_STEPS, Pace()),
        **loops(model, case.scene.hu, PEER_STEPS),
    }
    read = {
        name: _images_read(case, run) / (SAMPLES * PEER_STEPS) for name, run in contestants.items()
    }
    seconds = _in_turns(contestants, rounds)
    print(f"{case.name}, {SAMPLES} samples, {PEER_STEPS} steps")
    print(f"{'loop':<40}{'ms a sample and step':>22}{'over ours':>26}{'read in a step':>16}")
    for name, took in seconds.items():
        spread = _spread(took / seconds["ours"])
        each = 1e3 * np.median(took) / (SAMPLES * PEER_STEPS)
        print(f"{name:<40}{each:>22.2f}{spread:>26}{read[name]:>16.2f}", flush=True)
    print()


def _images_read(case: Case, run: Callable[[], object]) -> int:
    """Return how many images a run gives the first network to read, or copies of it."""
    counts: list[int] = []
    hook = case.networks[0].register_forward_hook(lambda _, given, __: counts.append(len(given[0])))
    run()
    hook.remove()
    return sum(counts)


def _print_batches(case: Case, rounds: int) -> None:
    """Print our step at several sizes of the batch, beside that of 8."""
    seconds = _in_turns(
        {str(one): lambda one=one: _ours(case, STEPS, Pace(), one) for one in BATCHES}, rounds
    )
    print(f"{case.name}, {max(BATCHES)} samples, {STEPS} steps")
    print(f"{'batch':<10}{'ms a sample and step':>22}{'over a batch of 8':>26}")
    for name, took in seconds.items():
        each = 1e3 * np.median(took) / (max(BATCHES) * STEPS)
        print(f"{name:<10}{each:>22.2f}{_spread(took / seconds['8']):>26}", flush=True)
    print()


def _print_campaign(case: Case) -> None:
    """Print time and quality of whole optimisations of the same pairs."""
    slow = Pace()
    runs = {
        "150 equal steps": lambda: _ours(case, 150, slow),
        f"{FALLING_STEPS} falling steps": lambda: _ours(case, FALLING_STEPS, FALLING),
    }
    begun = time.process_time()
    _naive(replace(case, scene=case.scene.take(torch.arange(2))), STEPS)
    naive = (time.process_time() - begun) / (2 * STEPS) * NAIVE_STEPS
    print(f"whole optimisations of {len(case.scene.hu)} pairs; naive, from {STEPS} of its steps:")
    print(f"{'loop':<24}{'s a pair':>10}{'naive over it':>15}{'aims':>8}{'TV':>8}{'size':>8}")
    print(f"{f'naive, {NAIVE_STEPS} steps':<24}{naive:>10.2f}{1.0:>15.1f}")
    for name, run in runs.items():
        begun = time.process_time()
        outcomes = run()
        took = (time.process_time() - begun) / len(outcomes)
        aims, variation, size = _quality(outcomes)
        print(
            f"{name:<24}{took:>10.2f}{naive / took:>15.1f}{aims:>8.3f}{variation:>8.3f}{size:>8.2f}"
        )


def _quality(outcomes: Sequence[Outcome]) -> tuple[float, float, float]:
    """Return mean cost of the aims, total variation and size, at the best step."""
    size, variation = (np.array([one.kept[k].cost for one in outcomes]) for k in (0, 1))
    weights = list(RECIPE.preservation.values())
    least = np.array([min(one.losses) for one in outcomes])
    aims = least - weights[0] * size - weights[1] * variation
    return float(aims.mean()), float(variation.mean()), float(size.mean())


def _ours(case: Case, steps: int, pace: Pace, together: int = SAMPLES) -> list[Outcome]:
    modules = [driving(one) for one in case.networks]
    aims = [
        Aim(_read(one), wanted, error)
        for one, wanted, error in zip(modules, case.wanted, case.errors, strict=True)
    ]
    edit = Voxel()
    start = edit.start(len(case.scene.hu), case.scene.view)
    return optimise(
        case.scene, edit, start, aims, PRESERVATION,
        steps=steps, patience=steps, pace=pace, together=together,
    )  # fmt: skip


def _read(module: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda hu, femur: module(torch.stack([hu, femur], dim=1))


def _naive(case: Case, steps: int, *, frozen: bool = False) -> None:
    for row in range(len(case.scene.hu)):
        _batched(replace(case, scene=case.scene.take(torch.tensor([row]))), steps, frozen=frozen)


def _batched(case: Case, steps: int, *, frozen: bool = True) -> None:
    """Optimise all samples of a case at once, the plain way."""
    networks = [copy.deepcopy(one).requires_grad_(not frozen) for one in case.networks]
    hu, femur, count = case.scene.hu, case.scene.femur, len(case.scene.hu)
    added = torch.zeros_like(hu, requires_grad=True)
    optimiser = torch.optim.Adam([added], lr=FIRST_STEP_HU)
    for _ in range(steps):
        images = torch.stack([hu + added, femur], dim=1)
        loss = torch.zeros(())
        for network, wanted, error in zip(networks, case.wanted, case.errors, strict=True):
            missed = ((network(images) - wanted[:count]) / error).square()
            loss = loss + missed.mean(dim=1).sum() / len(networks)
        lengths = [(added.diff(dim=axis).square() + 1.0).sqrt() - 1.0 for axis in (1, 2, 3)]
        loss = loss + sum(one.mean(dim=(1, 2, 3)).sum() for one in lengths) / 100.0
        loss = loss + 0.01 * (added / 40.0).square().mean(dim=(1, 2, 3)).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()


def _drawn(encoder: str, samples: int = SAMPLES) -> Case:
    """Return a case of networks with drawn weights: their values cost no time."""
    view = View()
    images = torch.from_numpy(trial_images(view, samples))
    networks = [
        NetworkPredictor(encoder, outputs, view.window, bone_only=True).eval() for outputs in (1, 2)
    ]
    wanted = [torch.full((samples, outputs), 3.0) for outputs in (1, 2)]
    errors = [torch.ones(outputs) for outputs in (1, 2)]
    name = "slices" if encoder == "slices" else "volumes"
    return Case(name, networks, view_scene(images, view), wanted, errors)


def _transferred(folder: Path) -> Case:
    """Return the pairs that the recipe makes of the subjects in a folder of ``transfer.py``."""
    from qctkit.pipeline.augment import AugmentOptions
    from qctkit.pipeline.augment_aims import batch_aims
    from qctkit.pipeline.augment_plan import make_plan
    from qctkit.pipeline.augment_work import begin
    from qctkit.pipeline.carry import carrying
    from qctkit.predictors.trained import load_predictors
    from qctkit.progress import Silent
    from qctkit.registry import load_registry
    from qctkit.store.reader import CohortFile

    registry = load_registry(only=())
    trained = load_predictors(next(folder.glob("predictors-*")), registry.family)
    plan = make_plan(
        CohortFile(next(folder.glob("sources-*.h5"))),
        CohortFile(folder / "training.h5"),
        RECIPE,
        trained,
        registry,
        AugmentOptions(SAMPLES, 0, SAMPLES),
        carrying(RECIPE, trained),
        Silent(),
    )
    batch = [begin(plan, number) for number in range(SAMPLES)]
    images = torch.stack([one.image for one in batch])
    aims = batch_aims(plan, batch, images)
    return Case(
        "volumes, trained",
        [one.module for one in plan.drivers],
        view_scene(images, plan.view),
        [one.wanted for one in aims],
        [one.typical_error for one in aims],
    )


def _spread(ratios: np.ndarray) -> str:
    """Return the median of ratios, with its middle half."""
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _flops(case: Case) -> float:
    """Return the floating-point operations of one sample's forward passes and gradient."""
    networks = [copy.deepcopy(one).requires_grad_(requires_grad=False) for one in case.networks]
    images = torch.stack([case.scene.hu, case.scene.femur], dim=1)[:1].requires_grad_()
    with FlopCounterMode(display=False) as counter:
        torch.stack([one(images).sum() for one in networks]).sum().backward()
    return float(counter.get_total_flops())


def _limits() -> tuple[float, float]:
    """Return GFLOP/s of the best convolution, and GB/s read and written by a copy."""
    image = torch.randn(4, 64, 16, 24, 24).contiguous(memory_format=torch.channels_last_3d)
    weight = torch.randn(64, 64, 3, 3, 3).contiguous(memory_format=torch.channels_last_3d)
    work = 2.0 * 27 * 64 * 64 * image[:, 0].numel()
    source = torch.randn(64_000_000)
    target = torch.empty_like(source)
    with torch.no_grad():
        contestants = {
            "convolution": lambda: nn.functional.conv3d(image, weight, padding=1),
            "copy": lambda: target.copy_(source),
        }
        took = _in_turns(contestants, 9)
    moved = 2.0 * source.numel() * source.element_size()
    return work / took["convolution"].min() / 1e9, moved / took["copy"].min() / 1e9


def _in_turns(
    contestants: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, np.ndarray]:
    """Return the CPU seconds of each contestant, one a round; rounds take turns."""
    for one in contestants.values():
        one()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds):
        names = list(contestants)
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            begun = time.process_time()
            contestants[name]()
            seconds[name].append(time.process_time() - begun)
    return {name: np.array(found) for name, found in seconds.items()}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peers", type=Path, metavar="ENVIRONMENT", help="compare with peers")
    parser.add_argument("--batches", action="store_true", help="compare sizes of the batch")
    parser.add_argument("--beside-peers", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
