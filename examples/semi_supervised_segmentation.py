"""Segment the femur from a few annotated slices, with and without made samples.

    qctkit simulate -o cohort.h5 --subjects 29
    qctkit augment cohort.h5 --plugin femur-density -n 16 -o augmented.h5
    python examples/semi_supervised_segmentation.py --cohort cohort.h5 --augmented augmented.h5

After SSDL (Sultana 2024, doi:10.1007/s11517-023-03013-8): a 3D U-Net is trained on sparse slices,
labels the rest itself, and is trained again on both. What is assumed:

- Scans show one hip, as QCT of the hip does; they are downsampled whole, centred on the field of
  view and never on the mask. Left hips are mirrored to look like right ones; the side is known.
- A made sample has its source's mask, so it is annotated on the same slices as its source and
  counts as known nowhere else. It is in its source's part of the split: none of unseen subjects.
- Both arms take the same number of steps from the same weights: more data, not more training. In
  a short run made samples therefore cost steps on real ones; give more --epochs to see past it.
- Dice is of real scans of unseen subjects, whole, at the small grid's resolution.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from qctkit.store.reader import CohortFile
from qctkit.training import CohortDataset, TrainingGrid, split_by_subject

PSEUDO_WEIGHT = 0.3  # weight of a pseudo-label beside an annotation's 1
RESAMPLES = 2000  # of the bootstrap


class UNet(nn.Module):
    """A small 3D U-Net: images (N, 1, D, H, W) in [0, 1] to logits of the same shape."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.down1, self.down2 = block(1, width), block(width, 2 * width)
        self.down3, self.bottom = block(2 * width, 4 * width), block(4 * width, 4 * width)
        self.up3 = block(8 * width, 2 * width)
        self.up2 = block(4 * width, width)
        self.up1 = block(2 * width, width)
        self.logit = nn.Conv3d(width, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits of the femur; D, H and W must be multiples of 8."""
        one = self.down1(4 * image - 2)  # (N, w, D, H, W); soft tissue lies near -0.4
        two = self.down2(functional.avg_pool3d(one, 2))  # (N, 2w, D/2, H/2, W/2)
        three = self.down3(functional.avg_pool3d(two, 2))  # (N, 4w, D/4, H/4, W/4)
        deep = self.bottom(functional.avg_pool3d(three, 2))  # (N, 4w, D/8, H/8, W/8)
        up = self.up3(torch.cat([three, double(deep)], dim=1))  # (N, 8w -> 2w, D/4, H/4, W/4)
        up = self.up2(torch.cat([two, double(up)], dim=1))  # (N, 4w -> w, D/2, H/2, W/2)
        up = self.up1(torch.cat([one, double(up)], dim=1))  # (N, 2w -> w, D, H, W)
        logits: Tensor = self.logit(up)  # (N, 1, D, H, W)
        return logits


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Return convolution, normalisation, nonlinearity; (N, inputs, ...) to (N, outputs, ...)."""
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, padding=1), nn.GroupNorm(4, outputs), nn.SiLU()
    )


def double(x: Tensor) -> Tensor:
    """Return x at twice the resolution, (N, C, D, H, W) to (N, C, 2D, 2H, 2W)."""
    return functional.interpolate(x, scale_factor=2)


@dataclass
class Scans:
    """All that a network trains on: image and truth (N, 1, D, H, W), annotated (N, D)."""

    image: Tensor
    truth: Tensor
    annotated: Tensor
    subjects: list[str]

    def __add__(self, more: "Scans") -> "Scans":
        return Scans(
            torch.cat([self.image, more.image]),
            torch.cat([self.truth, more.truth]),
            torch.cat([self.annotated, more.annotated]),
            self.subjects + more.subjects,
        )


def read(path: Path, sample_ids: tuple[str, ...], grid: TrainingGrid, slices: int) -> Scans:
    """Read samples of a cohort file onto the grid, each with its annotated slices."""
    dataset = CohortDataset(path, sample_ids, grid=grid)
    items = [dataset[index] for index in range(len(dataset))]
    depth = grid.shape[0]
    subjects = [item["source_subject_id"] for item in items]
    return Scans(
        # The empty row first lets a file with none of these subjects give (0, 1, D, H, W).
        torch.cat([torch.empty(0, 1, *grid.shape), *(item["image"][None] for item in items)]),
        torch.cat(
            [torch.empty(0, 1, *grid.shape), *(item["mask"][None].float() for item in items)]
        ),
        torch.stack([torch.zeros(depth), *(annotate(s, depth, slices) for s in subjects)])[1:],
        subjects,
    )


def annotate(subject_id: str, depth: int, slices: int) -> Tensor:
    """Return (D,): 1 on slices an annotator drew: evenly spaced, the first one by the subject.

    The source's id decides, so a made sample is annotated where its source is.
    """
    step = depth / slices
    start = np.random.default_rng(list(subject_id.encode())).uniform(0, step)
    flags = torch.zeros(depth)
    flags[[int(start + step * i) for i in range(slices)]] = 1.0
    return flags


def train(scans: Scans, labels: Tensor, weights: Tensor, steps: int, seed: int) -> UNet:
    """Train a new network on labels (N, 1, D, H, W) where weights (N, 1, D, H, W) are not 0."""
    torch.manual_seed(seed)
    network = UNet()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=1e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(len(labels), (2,))  # a batch of two scans
        logits = network(scans.image[chosen])  # (2, 1, D, H, W)
        label, weight = labels[chosen], weights[chosen]
        probability = torch.sigmoid(logits)
        entropy = functional.binary_cross_entropy_with_logits(logits, label, reduction="none")
        # Both terms see only weighted voxels: nothing is learnt of slices that nobody annotated.
        overlap = 2 * (weight * probability * label).sum() + 1
        dice = overlap / ((weight * (probability + label)).sum() + 1)
        loss = (weight * entropy).sum() / weight.sum() + 1 - dice
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rate.step()
    return network.eval()


@torch.no_grad()
def predict(network: UNet, scans: Scans) -> Tensor:
    """Return the probability of femur, (N, 1, D, H, W)."""
    return torch.cat([torch.sigmoid(network(one[None])) for one in scans.image])


def semi_supervised(scans: Scans, steps: int, seed: int) -> tuple[UNet, UNet]:
    """Return the network trained on annotated slices, and the one retrained on pseudo-labels."""
    known = scans.annotated[:, None, :, None, None].expand_as(scans.truth)  # (N,D) -> (N,1,D,H,W)
    first = train(scans, scans.truth, known, steps, seed)
    guess = predict(first, scans)
    # Every other voxel gets a label, sure or not: leaving out the unsure ones leaves out the
    # bone's surface, and the second network then swells beyond it.
    labels = torch.where(known > 0, scans.truth, (guess > 0.5).float())
    weights = torch.where(known > 0, 1.0, PSEUDO_WEIGHT)
    return first, train(scans, labels, weights, steps, seed)


def dice_per_subject(network: UNet, scans: Scans) -> np.ndarray:
    """Return (subjects,): the Dice of each subject, the mean over both hips where both are."""
    found = (predict(network, scans) > 0.5).float()
    both = (found * scans.truth).sum(dim=(1, 2, 3, 4))  # (N, 1, D, H, W) -> (N,)
    either = (found + scans.truth).sum(dim=(1, 2, 3, 4))
    dice = (2 * both / either).numpy()
    owner = np.array(scans.subjects)
    return np.array([dice[owner == subject].mean() for subject in sorted(set(scans.subjects))])


def in_words(values: np.ndarray, seed: int, sign: str = "") -> str:
    """Return the mean with its 95 % bootstrap interval over subjects."""
    random = np.random.default_rng(seed)
    draws = random.choice(values, (RESAMPLES, len(values))).mean(axis=1)  # (R, n) -> (R,)
    low, high = np.percentile(draws, [2.5, 97.5])
    return f"{values.mean():{sign}.3f}  [{low:{sign}.3f}, {high:{sign}.3f}]"


def main() -> None:
    """Split, train both arms, print Dice on unseen subjects."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cohort", type=Path, required=True, help="real or simulated scans")
    parser.add_argument("--augmented", type=Path, required=True, help="samples made from them")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the real scans")
    parser.add_argument("--slices", type=int, default=4, help="annotated slices a scan")
    parser.add_argument("--grid", type=int, nargs=3, default=(40, 32, 40), help="multiples of 8")
    parser.add_argument("--spacing-mm", type=float, default=4.0, help="of the grid")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    cohort, augmented = CohortFile(options.cohort), CohortFile(options.augmented)
    split = split_by_subject([cohort, augmented], {"train": 0.6, "unseen": 0.4}, options.seed)
    grid = TrainingGrid(tuple(options.grid), options.spacing_mm)
    real, made, unseen = (
        read(file.path, split.sample_ids(file, part), grid, options.slices)
        for file, part in ((cohort, "train"), (augmented, "train"), (cohort, "unseen"))
    )
    n = len(set(unseen.subjects))
    print(
        f"train: {len(set(real.subjects))} subjects, {len(real.image)} real scans, "
        f"{len(made.image)} made ones ({len(augmented) - len(made.image)} made from unseen "
        f"subjects are left out); {options.slices} of {grid.shape[0]} slices annotated"
    )
    print(f"unseen: n = {n} subjects, {len(unseen.image)} real scans; grid {grid.spacing_mm:g} mm")

    steps = max(options.epochs * len(real.image) // 2, 2)
    scores = {}
    print(f"\nDice on unseen subjects, mean [95 % bootstrap interval over n = {n} subjects]")
    for arm, scans in (("real only", real), ("real + made", real + made)):
        for stage, network in zip(
            ("annotated slices", "with pseudo-labels"),
            semi_supervised(scans, steps, options.seed),
            strict=True,
        ):
            scores[arm, stage] = dice_per_subject(network, unseen)
            print(f"{arm:14}{stage:20}{in_words(scores[arm, stage], options.seed)}", flush=True)
    last = "with pseudo-labels"
    gain = scores["real + made", last] - scores["real only", last]  # (subjects,), paired
    print(f"{'difference':14}{last:20}{in_words(gain, options.seed, '+')}")
    print(
        f"\nOne training seed and {n} subjects: the intervals cover the subjects, not the luck of "
        "training. Repeat with other --seed before believing a difference."
    )


if __name__ == "__main__":
    main()
