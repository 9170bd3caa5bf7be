from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qctkit.cohort import Side
from qctkit.errors import InputError, ScanError
from qctkit.geometry import Geometry
from qctkit.readers.mask_grid import place
from qctkit.readers.masks import read_masks
from qctkit.readers.nrrd import read_nrrd

GRID = Geometry.from_spacing((6, 5, 4), (2.5, 0.7, 0.5), (-10.0, 20.0, 30.0))
LABELS = np.zeros(GRID.shape, np.uint8)
LABELS[1, 1:3, 1:3], LABELS[3, 2, 2], LABELS[4] = 75, 76, 77


def nifti(path: Path, voxels=LABELS, grid: Geometry = GRID, names: dict[int, str] | None = None):
    image = nibabel.Nifti1Image(voxels.T, grid.affine[:, [2, 1, 0, 3]])
    if names is not None:
        # Such as TotalSegmentator writes, nifti_ext_header.py.
        table = "".join(
            f'<Label Key="{value}" Red="1.0" Alpha="1"><![CDATA[{name}]]></Label>\n'
            for value, name in names.items()
        )
        text = (
            '<?xml version="1.0" encoding="UTF-8"?> <CaretExtension>  <VolumeInformation '
            f'Index="0">   <LabelTable>\n{table}\n  </LabelTable>   </VolumeInformation>'
            "</CaretExtension>\n              "
        )
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, text.encode()))
    nibabel.save(image, path)
    return path


def slicer(path: Path, layers: np.ndarray, segments, grid: Geometry = GRID, **keys: str) -> Path:
    """Write layers ``(L, D, H, W)`` as Slicer does: a list axis only where there are several."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine
    vectors = [f"({','.join(str(float(n)) for n in column[:3])})" for column in lps.T]
    several = len(layers) > 1
    sizes = [*([len(layers)] if several else []), *grid.shape[::-1]]
    lines = [
        "NRRD0004",
        "type: unsigned char",
        f"dimension: {len(sizes)}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, sizes))}",
        f"space directions: {'none ' if several else ''}{' '.join(vectors[2::-1])}",
        f"kinds: {'list ' if several else ''}domain domain domain",
        "encoding: raw",
        f"space origin: {vectors[3]}",
    ]
    for number, segment in enumerate(segments):
        lines += [f"Segment{number}_{key}:={value}" for key, value in segment.items()]
    lines += [f"{key}:={value}" for key, value in keys.items()]
    voxels = np.moveaxis(layers, 0, -1).astype(np.uint8)
    path.write_bytes("\n".join([*lines, "", ""]).encode() + voxels.tobytes())
    return path


def segment(name: str, value: int = 1, layer: int = 0) -> dict[str, str]:
    return {"ID": "Segment_1", "Name": name, "LabelValue": str(value), "Layer": str(layer)}


# Files of one label


def test_one_label_of_any_value_is_the_mask(tmp_path: Path):
    (given,) = read_masks(nifti(tmp_path / "mask.nii.gz", (LABELS == 75) * np.int16(3)), GRID)
    assert given.voxels.dtype == np.bool_
    assert np.array_equal(given.voxels, LABELS == 75)
    assert (given.side, given.notes) == (None, ())


@pytest.mark.parametrize(
    ("name", "side"),
    [("femur_left.nii.gz", Side.LEFT), ("Right-Femur.nii", Side.RIGHT), ("left.nii", None)],
)
def test_the_name_of_a_femurs_file_says_the_side(tmp_path: Path, name: str, side: Side | None):
    (given,) = read_masks(nifti(tmp_path / name, (LABELS == 75).astype(np.uint8)), GRID)
    assert given.side is side


@pytest.mark.parametrize(
    ("voxels", "words"),
    [
        (LABELS * 0, "the mask is empty"),
        (LABELS * np.float32(0.01), "a mask holds whole numbers, this one 0.75"),
        (LABELS * np.float32(np.nan), "a mask holds whole numbers, this one nan"),
        (np.arange(120, dtype=np.uint8).reshape(GRID.shape), r"119 labels: 1, 2, 3, .*20, \.\.\.;"),
    ],
)
def test_what_is_no_mask_of_one_label_is_refused(tmp_path: Path, voxels, words: str):
    with pytest.raises(InputError, match=words):
        read_masks(nifti(tmp_path / "mask.nii", voxels), GRID)


def test_a_missing_or_unknown_file_is_refused(tmp_path: Path):
    with pytest.raises(ScanError, match="there is no such mask file"):
        read_masks(tmp_path / "mask.nii", GRID)
    (tmp_path / "mask.stl").touch()
    with pytest.raises(ScanError, match=r"must be a NIfTI, NRRD, MetaImage or \.npz file"):
        read_masks(tmp_path / "mask.stl", GRID)


# TotalSegmentator


def test_a_folder_of_totalsegmentator_gives_both_femora_with_their_sides(tmp_path: Path):
    for name, value in [("femur_left", 75), ("femur_right", 76), ("hip_left", 77)]:
        nifti(tmp_path / f"{name}.nii.gz", (value == LABELS).astype(np.uint8))
    left, right = read_masks(tmp_path, GRID)
    assert (left.side, right.side) == (Side.LEFT, Side.RIGHT)
    assert np.array_equal(left.voxels, LABELS == 75)
    assert np.array_equal(right.voxels, LABELS == 76)
    (chosen,) = read_masks(tmp_path, GRID, "femur_right")
    assert np.array_equal(chosen.voxels, right.voxels)


def test_an_empty_femur_of_a_folder_is_left_out(tmp_path: Path):
    nifti(tmp_path / "femur_left.nii.gz", LABELS * 0)
    nifti(tmp_path / "femur_right.nii.gz", (LABELS == 76).astype(np.uint8))
    (given,) = read_masks(tmp_path, GRID)
    assert given.side is Side.RIGHT
    with pytest.raises(ScanError, match="the mask is empty"):
        read_masks(tmp_path, GRID, "femur_left")


def test_a_folder_without_femora_is_refused(tmp_path: Path):
    with pytest.raises(ScanError, match=r"holds no femur_left.nii.gz or femur_right.nii.gz; give"):
        read_masks(tmp_path, GRID)
    with pytest.raises(ScanError, match="labels femur_left and femur_right only"):
        read_masks(tmp_path, GRID, "../secret")


NAMES = {75: "femur_left", 76: "femur_right", 77: "hip_left", 78: "hip_right"}


@pytest.mark.parametrize("label", ["femur_left", "Femur Left", "75"])
@pytest.mark.parametrize("names", [NAMES, None])
def test_a_label_is_chosen_by_name_or_value(tmp_path: Path, label: str, names):
    (given,) = read_masks(nifti(tmp_path / "all.nii.gz", names=names), GRID, label)
    assert np.array_equal(given.voxels, LABELS == 75)
    assert given.side is (Side.LEFT if names or label != "75" else None)


def test_names_that_the_file_lost_are_taken_from_totalsegmentator_2_with_a_note(tmp_path: Path):
    (given,) = read_masks(nifti(tmp_path / "all.nii.gz"), GRID, "femur_left")
    assert given.notes == ("the mask names no labels: 75 was taken, as in TotalSegmentator 2",)


def test_names_in_the_file_go_before_those_of_totalsegmentator(tmp_path: Path):
    path = nifti(tmp_path / "all.nii.gz", names={76: "femur_left", 77: "femur_right"})
    (given,) = read_masks(path, GRID, "femur_left")
    assert np.array_equal(given.voxels, LABELS == 76)
    assert given.notes == ()


def test_several_labels_are_chosen_with_a_plus_and_empty_ones_left_out(tmp_path: Path):
    path = nifti(tmp_path / "all.nii.gz", names=NAMES)
    both = read_masks(path, GRID, "femur_left + femur_right")
    assert [(one.side, int(one.voxels.sum())) for one in both] == [(Side.LEFT, 4), (Side.RIGHT, 1)]
    assert len(read_masks(path, GRID, "hip_left+hip_right")) == 1
    with pytest.raises(ScanError, match="no voxels of this label; it holds 75"):
        read_masks(path, GRID, "hip_right")


def test_several_labels_and_no_choice_are_refused_with_the_values(tmp_path: Path):
    names = {75: "femur_left", 76: "Doe^Jane", 77: "hip"}
    path = nifti(tmp_path / "all.nii.gz", names=names)
    words = r"holds 3 labels: 75 \(femur left\), 76, 77; choose one by its value or name in the"
    with pytest.raises(ScanError, match=words):
        read_masks(path, GRID)


def test_the_background_is_no_label(tmp_path: Path):
    path = nifti(tmp_path / "all.nii.gz", names={0: "background"} | NAMES)
    with pytest.raises(ScanError, match="no label background"):
        read_masks(path, GRID, "background")


@pytest.mark.parametrize("label", ["tibia", "9"])
def test_a_label_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path, label: str):
    with pytest.raises(ScanError, match=f"no label {label}; it holds 75, 76, 77"):
        read_masks(nifti(tmp_path / "all.nii.gz"), GRID, label)


# Slicer


def test_overlapping_segments_in_layers_are_told_apart_by_name(tmp_path: Path):
    layers = np.stack([LABELS == 75, LABELS > 0, LABELS == 77])
    named = [segment("Left femur"), segment("Bone", 1, 1), segment("Hip", 1, 2)]
    path = slicer(tmp_path / "Segmentation.seg.nrrd", layers, named)
    (femur,) = read_masks(path, GRID, "left femur")
    assert np.array_equal(femur.voxels, LABELS == 75)
    assert femur.side is Side.LEFT
    (bone,) = read_masks(path, GRID, "BONE")
    assert np.array_equal(bone.voxels, LABELS > 0)
    with pytest.raises(ScanError, match="several labels 1; it holds 1"):
        read_masks(path, GRID, "1")


def test_segments_of_one_layer_are_told_apart_by_value(tmp_path: Path):
    named = [segment("femur", 75), segment("other", 76), segment("Doe^Jane", 77)]
    path = slicer(tmp_path / "a.seg.nrrd", LABELS[None], named)
    (given,) = read_masks(path, GRID, "femur")
    assert np.array_equal(given.voxels, LABELS == 75)
    with pytest.raises(ScanError, match=r"3 labels: 75 \(femur\), 76, 77; choose"):
        read_masks(path, GRID)


def test_segments_of_a_slicer_before_4_11_have_a_layer_each(tmp_path: Path):
    layers = np.stack([LABELS == 75, LABELS == 76])
    named = [{"Name": "femur_left"}, {"Name": "femur_right"}]
    path = slicer(tmp_path / "a.seg.nrrd", layers, named)
    (given,) = read_masks(path, GRID, "femur_right")
    assert np.array_equal(given.voxels, LABELS == 76)


def test_a_segmentation_of_a_part_of_the_scan_is_placed_exactly(tmp_path: Path):
    box = (slice(1, 5), slice(1, 4), slice(0, 3))
    path = slicer(
        tmp_path / "a.seg.nrrd",
        (LABELS[box] == 75)[None],
        [segment("femur")],
        GRID.crop(box),
        Segmentation_ReferenceImageExtentOffset="0 1 1",
    )
    (given,) = read_masks(path, GRID)
    assert np.array_equal(given.voxels, LABELS == 75)


def test_a_segmentation_is_refused_as_a_scan(tmp_path: Path):
    path = slicer(tmp_path / "a.seg.nrrd", LABELS[None], [segment("femur", 75)])
    with pytest.raises(InputError, match="a segmentation, not a scan; give it in the column"):
        read_nrrd(path)


def test_an_empty_segmentation_of_slicer_is_refused(tmp_path: Path):
    one_voxel = Geometry.from_spacing((1, 1, 1), (1, 1, 1))
    path = slicer(tmp_path / "a.seg.nrrd", np.zeros((1, 1, 1, 1)), [], one_voxel)
    with pytest.raises(ScanError, match="the mask is empty"):
        read_masks(path, GRID)


def test_a_fractional_segmentation_is_refused(tmp_path: Path):
    keys = {"Segmentation_MasterRepresentation": "Fractional labelmap"}
    path = slicer(tmp_path / "a.seg.nrrd", LABELS[None], [segment("femur")], **keys)
    with pytest.raises(InputError, match="a fractional segmentation; export it as binary labelmap"):
        read_masks(path, GRID)


def test_a_segment_in_a_layer_that_is_not_there_is_refused(tmp_path: Path):
    path = slicer(tmp_path / "a.seg.nrrd", LABELS[None], [segment("femur", 75, 3)])
    with pytest.raises(InputError, match="the segments do not fit the voxels"):
        read_masks(path, GRID)


# The grid of the scan


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product([1, -1], repeat=3)))
def test_any_order_and_direction_of_the_same_axes_is_put_right(order, signs):
    mask = LABELS == 75
    turned = mask.transpose(order)[tuple(slice(None, None, sign) for sign in signs)]
    start = [0 if sign > 0 else n - 1 for sign, n in zip(signs, turned.shape, strict=True)]
    affine = np.eye(4)
    affine[:3, :3] = GRID.affine[:3, :3][:, order] * signs
    own = np.zeros(3)
    own[list(order)] = start
    affine[:3, 3] = GRID.to_world(own)
    assert np.array_equal(place(turned, Geometry(turned.shape, affine), GRID), mask)


offsets = st.integers(-3, 3)


@settings(max_examples=60, deadline=None)
@given(low=st.tuples(offsets, offsets, offsets), high=st.tuples(offsets, offsets, offsets))
def test_a_larger_or_smaller_box_is_placed_or_refused_but_never_moved(low, high):
    mask = LABELS == 75
    ends = [n + more for n, more in zip(GRID.shape, high, strict=True)]
    shape = tuple(max(1, end - start) for start, end in zip(low, ends, strict=True))
    affine = GRID.affine.copy()
    affine[:3, 3] = GRID.to_world(low)
    points = np.argwhere(mask) - low
    inside = ((points >= 0) & (points < shape)).all(axis=1)
    part = np.zeros(shape, dtype=bool)
    part[tuple(points[inside].T)] = True
    placed = place(part, Geometry(shape, affine), GRID)
    assert {tuple(p) for p in np.argwhere(placed)} == {tuple(p + low) for p in points[inside]}


def test_voxels_marked_beyond_the_scan_are_refused():
    larger = Geometry((6, 5, 9), GRID.affine)
    with pytest.raises(
        ScanError, match=r"marks 150 voxels beyond its scan; the mask has 6 x 5 x 9"
    ):
        place(np.ones(larger.shape, dtype=bool), larger, GRID)


def test_a_mask_far_from_its_scan_is_refused():
    affine = GRID.affine.copy()
    affine[:3, 3] += [50, 70, 250]
    with pytest.raises(ScanError, match="voxels beyond its scan"):
        place(LABELS == 75, Geometry(GRID.shape, affine), GRID)


@pytest.mark.parametrize(
    "change",
    [np.diag([1.01, 1, 1, 1]), np.diag([2.0, 2, 2, 1]), np.eye(4) + np.eye(4, k=3) * 0.05],
)
def test_another_grid_is_refused_with_both_in_words(change):
    grid = Geometry(GRID.shape, GRID.affine @ change)
    words = (
        r"must lie on the grid .* has 6 x 5 x 4 voxels .*the scan 6 x 5 x 4 .*"
        r"2\.5 x 0\.7 x 0\.5 mm.*S, A, R"
    )
    with pytest.raises(ScanError, match=words):
        place(LABELS == 75, grid, GRID)


def test_rounding_in_float32_is_the_same_grid():
    far = GRID.affine.copy()
    far[:3, 3] = [-1234.56789, 987.654321, 1500.1]
    scan = Geometry((400, 512, 512), far)
    grid = Geometry(scan.shape, far.astype(np.float32).astype(np.float64))
    mask = np.zeros(scan.shape, dtype=bool)
    mask[399, 511, 511] = True
    assert place(mask, grid, scan)[399, 511, 511]
