from collections.abc import Callable
from pathlib import Path

import pytest

from qctkit.errors import ScanError
from qctkit.readers.choose import find_scans
from qctkit.readers.dicom import DicomReader

Write = Callable[..., Path]


def read_dicom(path: Path):
    return [found.load() for found in find_scans(path, [DicomReader()])]


def refusal(folder: Path) -> str:
    with pytest.raises(ScanError) as caught:
        read_dicom(folder)
    message = str(caught.value)
    assert message.startswith(f"{folder}: ")
    return message


def at(height_mm: float) -> dict[str, list[float]]:
    return {"ImagePositionPatient": [-10.0, -20.0, height_mm]}


def test_missing_slice_is_located(write_series: Write, write_slice: Write):
    folder = write_series()
    write_slice(4).unlink()
    message = refusal(folder)
    assert "1 slice is missing (others are 2.50 mm apart)" in message
    assert "between 3 (at 107.50 mm) and 5 (at 112.50 mm), 5.00 mm apart" in message
    assert "export the whole series again" in message


def test_several_missing_slices_are_counted(write_series: Write, write_slice: Write):
    folder = write_series()
    write_slice(3).unlink()
    write_slice(4).unlink()
    assert "2 slices are missing" in refusal(folder)


def test_uneven_spacing_names_the_slices(write_series: Write, write_slice: Write):
    folder = write_series()
    write_slice(6, **at(116.1))
    message = refusal(folder)
    assert "unevenly spaced (most are 2.50 mm apart)" in message
    assert "between 5 (at 112.50 mm) and 6 (at 116.10 mm), 3.60 mm apart" in message


def test_positions_rounded_to_hundredths_are_even(write_series: Write, write_slice: Write):
    folder = write_series()
    write_slice(3, **at(107.51))
    assert read_dicom(folder)[0].volume.spacing_mm[0] == pytest.approx(2.5)


def test_duplicated_position_names_both_slices(write_series: Write, write_slice: Write):
    folder = write_series()
    write_slice(7, name="again", **at(107.5))
    message = refusal(folder)
    assert "3 (at 107.50 mm)" in message
    assert "7 (at 107.50 mm)" in message
    assert "keep one image per position" in message


def test_mixed_series_are_sorted_and_listed_without_their_uids(
    write_series: Write, write_slice: Write
):
    folder = write_series(SeriesInstanceUID="1.2.333", SeriesNumber=7)
    write_slice(8, name="a", SeriesInstanceUID="1.2.444", SeriesNumber=3)
    write_slice(9, name="z", SeriesInstanceUID="1.2.444", SeriesNumber=3)
    small, large = find_scans(folder, [DicomReader()])
    assert small.description == (
        "series 1: 2 slices of 4 x 5, number 8 (at 120.00 mm) to 9 (at 122.50 mm)"
    )
    assert [scan.volume.geometry.shape[0] for scan in (small.load(), large.load())] == [2, 6]
    assert "1.2." not in repr((small, large))


def test_a_bad_series_does_not_take_the_others_down(write_series: Write, write_slice: Write):
    folder = write_series(SeriesInstanceUID="1.2.333")
    write_slice(8, name="other", SeriesInstanceUID="1.2.444", PixelSpacing=None)
    good, bad = find_scans(folder, [DicomReader()])
    assert good.load().volume.geometry.shape[0] == 6
    with pytest.raises(ScanError, match="series 2 of 2: slice 8: PixelSpacing is missing"):
        bad.load()


def test_mixed_orientation_names_the_odd_slice(write_series: Write, write_slice: Write):
    folder = write_series()
    write_slice(2, ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    message = refusal(folder)
    assert "slices differ in orientation: 2 (at " in message
    assert "(1, 0, 0, 0, 1, 0)" in message


def test_mixed_matrix_names_the_odd_slice(write_series: Write, write_slice: Write):
    folder = write_series()
    write_slice(2, Rows=6)
    assert (
        "differ in matrix (rows, columns): 2 (at 105.00 mm) have (6, 5), the others (4, 5)"
        in refusal(folder)
    )


def test_mixed_pixel_spacing_names_the_odd_slice(write_series: Write, write_slice: Write):
    folder = write_series()
    write_slice(2, PixelSpacing=[0.7, 0.6])
    assert "differ in pixel spacing in mm: 2 (at 105.00 mm) have (0.7, 0.6)" in refusal(folder)


def test_single_slice_is_refused(write_slice: Write):
    assert "only one CT slice, number 1 (at 102.50 mm)" in refusal(write_slice(1).parent)


def test_single_file_is_claimed_and_refused(write_slice: Write):
    file = write_slice(1)
    assert DicomReader().claims(file)
    assert "give the folder that holds the whole series" in refusal(file)


def test_tilted_gantry_is_refused_with_its_angle(write_slice: Write):
    for number in range(1, 7):
        position = [-10.0, 0.9 * number, 2.0 * number]
        file = write_slice(number, ImagePositionPatient=position)
    message = refusal(file.parent)
    assert "24.2 degrees off their normal (tilted gantry), from 1 (at 2.00 mm)" in message
    assert "resample" in message


def test_slice_shifted_sideways_is_named(write_series: Write, write_slice: Write):
    folder = write_series()
    write_slice(3, ImagePositionPatient=[-9.0, -20.0, 107.5])
    assert "shifted sideways against the others: 3 (at 107.50 mm)" in refusal(folder)


def test_skewed_orientation_is_refused(write_series: Write):
    folder = write_series(ImageOrientationPatient=[1, 0, 0, 0.3, 1, 0])
    assert "not two unit vectors at a right angle" in refusal(folder)


def test_long_lists_are_cut_short(write_series: Write, write_slice: Write):
    folder = write_series()
    for number in range(1, 7):
        write_slice(number, name=f"copy {number}")
    assert "and 1 more" in refusal(folder)


def test_rounding_of_orientation_and_pixel_spacing_is_no_difference(
    write_series: Write, write_slice: Write
):
    folder = write_series(PixelSpacing=[0.70005, 0.5])
    write_slice(2, PixelSpacing=[0.70004999, 0.5], ImageOrientationPatient=[1, 5e-7, 0, 0, 1, 0])
    assert read_dicom(folder)[0].volume.voxels.shape == (6, 4, 5)
