"""Read a cohort file with plain h5py: nothing of qctkit is imported, and nothing is needed.

    python examples/read_with_h5py.py cohort.h5

The layout is one page, docs/cohort-format.md. This prints the table of samples, checks every
checksum by that page's rule, and gives the mean HU in each femur.
"""

import argparse
import hashlib
import json
from pathlib import Path

import h5py
import numpy as np

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("cohort", type=Path)
path = parser.parse_args().cohort


def checksum(group: h5py.Group) -> str:
    """Return the SHA-256 of a sample: each dataset and attribute, by name."""
    items = {f"@{name}": value for name, value in group.attrs.items() if name != "sha256"}

    def collect(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            items[name] = item.asstr()[()] if h5py.check_string_dtype(item.dtype) else item[()]

    group.visititems(collect)
    digest = hashlib.sha256()
    for name in sorted(items):
        value = items[name]
        if isinstance(value, str):
            content, kind, shape = value.encode(), "text", len(value.encode())
        else:
            content = value.astype(value.dtype.newbyteorder("<")).tobytes()  # C order
            kind, shape = value.dtype.name, "x".join(map(str, value.shape)) or "scalar"
        digest.update(f"{name} {kind} {shape}\n".encode() + content)
    return digest.hexdigest()


with h5py.File(path, "r") as file:
    if file.attrs.get("format") != "qctkit-cohort":
        raise SystemExit(f"{path} is not a qctkit cohort")
    print(f"{path}: format {file.attrs['format_version']}, made by {file.attrs['qctkit_version']}")
    print(f"command: {json.loads(file['run'].asstr()[()]).get('command', 'not recorded')}")

    # One value a sample in every column: metadata can be filtered without touching a voxel.
    table = file["table"]
    text = {n: table[n].asstr()[()] for n in ("sample_id", "source_subject_id", "sex", "side")}
    age, weight = table["age_years"][()], table["weight_kg"][()]  # NaN when missing

    print(f"{'sample':24}{'source':20}sex   age  weight  side   femur   (D, H, W)        intact")
    for row, sample_id in enumerate(text["sample_id"]):
        group = file["samples"][sample_id]
        volume = group["volume"][()]  # (D, H, W) in the unit
        mask = group["mask"][()] == 1  # (D, H, W) bool
        mean = np.mean(volume[mask])  # (femur voxels,) -> one number
        print(
            f"{sample_id:24}{text['source_subject_id'][row]:20}{text['sex'][row] or '?':3}"
            f"{age[row]:6.1f}{weight[row]:8.1f}  {text['side'][row]:6}{mean:6.0f}   "
            f"{volume.shape!s:17}{'yes' if checksum(group) == group.attrs['sha256'] else 'NO'}"
        )
    print(f"femur: mean of its voxels, {group.attrs['unit']}")

    # The affine maps the voxel index (d, h, w, 1) to RAS mm: here, where the last femur lies.
    index = np.argwhere(mask).mean(axis=0)  # (femur voxels, 3) -> (3,)
    x, y, z = (group.attrs["affine"] @ np.append(index, 1.0))[:3]  # (4, 4) @ (4,) -> (3,)
    print(f"centre of the femur of {sample_id}: {x:.1f} right, {y:.1f} anterior, {z:.1f} superior")
