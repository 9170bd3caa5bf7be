import qctkit
from qctkit import errors
from qctkit.errors import QctkitError


def _errors() -> list[type]:
    return [one for one in vars(errors).values() if isinstance(one, type)]


def test_every_error_is_a_qctkit_error_and_is_drawn_in_the_tree() -> None:
    for error in _errors():
        assert issubclass(error, QctkitError)
        assert error.__name__ in (errors.__doc__ or "")


def test_the_public_names_are_sorted_and_hold_every_error() -> None:
    assert list(qctkit.__all__) == sorted(qctkit.__all__)
    assert {one.__name__ for one in _errors()} | {"__version__"} == set(qctkit.__all__)
    assert all(hasattr(qctkit, name) for name in qctkit.__all__)
