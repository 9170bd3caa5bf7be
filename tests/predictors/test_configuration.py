from pathlib import Path

import pytest

from qctkit.errors import InputError
from qctkit.predictors.configuration import (
    TrainingConfiguration,
    configuration_of,
    configured,
    read_configuration,
)
from qctkit.predictors.density import DensityFamily
from qctkit.predictors.network import NetworkFamily, network_families

REGISTERED = (DensityFamily(), *network_families())
NETWORKS = {one.name: one for one in network_families()}


def _file(folder: Path, text: str) -> Path:
    path = folder / "train.toml"
    path.write_text(text)
    return path


def test_a_file_chooses_families_and_changes_networks(tmp_path: Path) -> None:
    text = """
    folds = 3
    families = ["bone-density", "sex-network"]
    [network.sex-network]
    members = 2
    encoder = "slices"
    sees = "hip"
    attributes = ["sex", "age_years"]
    view_shape = [36, 512, 512]
    view_spacing_mm = [3, 0.4, 0.4]
    epochs = 7
    robust_hu = 5
    """
    asked = read_configuration(_file(tmp_path, text))
    assert asked.folds == 3
    density, network = asked.chosen(REGISTERED)
    assert density.name == "bone-density"
    assert isinstance(network, NetworkFamily)
    assert (network.members, network.encoder, network.bone_only) == (2, "slices", False)
    assert network.attributes == ("sex", "age_years")
    assert (network.view.shape, network.view.spacing_mm) == ((36, 512, 512), (3.0, 0.4, 0.4))
    assert (network.schedule.epochs, network.schedule.robust_hu) == (7, 5.0)


def test_without_a_file_what_is_on_request_is_not_trained() -> None:
    names = {one.name for one in TrainingConfiguration().chosen(REGISTERED)}
    assert "bone-density" in names
    assert "slice-network" not in names


def test_one_spacing_holds_along_all_axes(tmp_path: Path) -> None:
    text = 'families = ["sex-network"]\n[network.sex-network]\nview_spacing_mm = 2'
    (network,) = read_configuration(_file(tmp_path, text)).chosen(REGISTERED)
    assert network.view.spacing_mm == (2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("folds = 1", "folds is 1"),
        ("folds = true", "folds is True"),
        ('families = "sex-network"', "families is 'sex-network'"),
        ("flods = 3", "did you mean folds"),
        ("[network.sex-network]\nepochs = 'ten'", "network.sex-network.epochs is 'ten'"),
        ("[network.sex-network]\nencoder = 'resnet'", "network.sex-network.encoder is 'resnet'"),
        ("[network.sex-network]\nview_shape = [36, 28]", r"view_shape is \[36, 28\]"),
        ("[network.sex-network]\nview_shape = [36, 600, 600]", "view_shape"),
        ("[network.sex-network]\nview_spacing_mm = [3, 1]", r"view_spacing_mm is \[3, 1\]"),
        ("[network.sex-network]\nview_spacing_mm = 0.1", "mm from 0.2 to 20, or three of them"),
        ("[network.sex-network]\nattributes = ['height']", r"attributes is \['height'\]"),
        ("[network.sex-network]\nlearning_rate = 0", "learning_rate is 0"),
        ("[network.sex-network]\nlearning_rate = nan", "learning_rate is nan"),
        ("[network.sex-network]\nrobust_hu = -5", "robust_hu is -5"),
        ("network = 3", "needs tables"),
        ("folds = ", "cannot be read as TOML"),
    ],
)
def test_what_cannot_be_used_is_named_with_file_key_and_value(
    tmp_path: Path, text: str, words: str
) -> None:
    path = _file(tmp_path, text)
    with pytest.raises(InputError, match=words) as error:
        read_configuration(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('families = ["sex-netwrok"]', "did you mean sex-network"),
        ("[network.bone-density]\nepochs = 3", "bone-density is not a network"),
    ],
)
def test_a_name_that_is_not_registered_is_refused(tmp_path: Path, text: str, words: str) -> None:
    asked = read_configuration(_file(tmp_path, text))
    with pytest.raises(InputError, match=words):
        asked.chosen(REGISTERED)


def test_what_a_description_keeps_builds_the_same_modules() -> None:
    changed = configured(NETWORKS["sex-network"], {"members": 2, "encoder": "plain"})
    again = configured(NETWORKS["sex-network"], configuration_of(changed))
    first, second = (one.build(("sex",), one.view).state_dict() for one in (changed, again))
    assert {k: v.shape for k, v in first.items()} == {k: v.shape for k, v in second.items()}
