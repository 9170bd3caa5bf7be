import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.transform import Rotation

from qctkit.errors import InputError
from qctkit.geometry import Geometry

millimetres = st.floats(0.05, 10.0)
coordinates = st.floats(-500.0, 500.0)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Draw any rotation, flip, spacing and origin."""
    angles = draw(st.tuples(*[st.floats(-180.0, 180.0)] * 3))
    spacing = draw(st.tuples(millimetres, millimetres, millimetres))
    signs = draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
    affine = np.eye(4)
    rotation = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    affine[:3, :3] = rotation * np.array(spacing) * np.array(signs)
    affine[:3, 3] = draw(st.tuples(coordinates, coordinates, coordinates))
    return Geometry((4, 5, 6), affine)


points = arrays.arrays(np.float64, (7, 3), elements=coordinates)


@given(geometries(), points)
def test_to_index_inverts_to_world(geometry: Geometry, indices: np.ndarray) -> None:
    np.testing.assert_allclose(
        geometry.to_index(geometry.to_world(indices)), indices, rtol=0, atol=1e-6
    )


@given(geometries())
def test_world_distance_of_neighbours_is_the_spacing(geometry: Geometry) -> None:
    corner, *neighbours = geometry.to_world([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
    steps = [np.linalg.norm(one - corner) for one in neighbours]
    np.testing.assert_allclose(steps, geometry.spacing_mm, atol=1e-9)
    assert geometry.voxel_volume_mm3 == pytest.approx(np.prod(geometry.spacing_mm))


@given(geometries(), st.tuples(*[st.integers(0, 3)] * 3))
def test_a_crop_keeps_every_voxel_where_it_was(
    geometry: Geometry, start: tuple[int, int, int]
) -> None:
    cropped = geometry.crop([slice(a, a + 1) for a in start])
    assert cropped.shape == (1, 1, 1)
    np.testing.assert_allclose(cropped.to_world((0, 0, 0)), geometry.to_world(start), atol=1e-9)


def test_from_spacing_runs_superior_anterior_right() -> None:
    geometry = Geometry.from_spacing((2, 3, 4), (2.5, 0.7, 0.5), (10.0, -20.0, 30.0))
    assert geometry.spacing_mm == pytest.approx((2.5, 0.7, 0.5))
    np.testing.assert_allclose(geometry.to_world((1, 2, 3)), (11.5, -18.6, 32.5))


def test_shear_is_refused() -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.01
    with pytest.raises(InputError, match="right angles"):
        Geometry((2, 2, 2), affine)


@pytest.mark.parametrize(
    ("shape", "affine"),
    [
        ((2, 2), np.eye(4)),
        ((0, 2, 2), np.eye(4)),
        ((2, 2, 2), np.eye(3)),
        ((2, 2, 2), np.diag([1.0, 0.0, 1.0, 1.0])),
        ((2, 2, 2), np.diag([1.0, np.nan, 1.0, 1.0])),
    ],
)
def test_impossible_geometry_is_refused(shape: tuple[int, ...], affine: np.ndarray) -> None:
    with pytest.raises(InputError):
        Geometry(shape, affine)


def test_an_affine_cannot_be_written_to_and_is_a_copy() -> None:
    mine = np.eye(4)
    geometry = Geometry((2, 2, 2), mine)
    mine[0, 3] = 99.0
    assert geometry.affine[0, 3] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        geometry.affine[0, 3] = 1.0


def test_grids_match_only_with_equal_shape_and_centres() -> None:
    geometry = Geometry.from_spacing((2, 3, 4), (1.0, 1.0, 1.0))
    assert geometry.matches(Geometry.from_spacing((2, 3, 4), (1.0, 1.0, 1.0), (5e-4, 0.0, 0.0)))
    assert not geometry.matches(Geometry.from_spacing((2, 3, 4), (1.0, 1.0, 1.0), (0.1, 0.0, 0.0)))
    assert not geometry.matches(Geometry.from_spacing((2, 3, 5), (1.0, 1.0, 1.0)))
