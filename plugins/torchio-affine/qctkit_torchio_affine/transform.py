"""A random affine map of the whole scan, drawn and applied by TorchIO."""

from dataclasses import dataclass

import numpy as np
import torch

from qctkit.plugin import FemurMask, Transformed, Volume


@dataclass(frozen=True)
class TorchioAffine:
    """TorchIO's ``RandomAffine`` with the range of its own defaults, about the scan's middle."""

    name: str = "torchio-affine"
    account: str = (
        "the whole scan, femur and all, is stretched or shrunk by up to a tenth along each axis "
        "and turned by up to 10 degrees about each"
    )
    scales: float = 0.1
    degrees: float = 10.0

    def apply(self, volume: Volume, femur: FemurMask, seed: int) -> Transformed:
        """Return the scan under the map that the seed draws; what was outside is air."""
        import torchio

        affine = volume.geometry.affine
        scan = torch.from_numpy(volume.voxels.astype(np.float32))[None]
        mask = torch.from_numpy(femur.voxels.astype(np.uint8))[None]
        subject = torchio.Subject(
            scan=torchio.ScalarImage(tensor=scan, affine=affine),
            femur=torchio.LabelMap(tensor=mask, affine=affine),
        )
        # TorchIO draws from PyTorch's own state, which is left as it was found.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            moved = torchio.RandomAffine(scales=self.scales, degrees=self.degrees)(subject)
        (drawn,) = moved.get_applied_transforms()
        return Transformed(
            moved.scan.data[0].numpy(),
            moved.femur.data[0].numpy().astype(bool),
            {
                "least_determinant": float(np.prod(drawn.scales)),
                "largest_rotation_degrees": float(np.abs(drawn.degrees).max()),
            },
        )
