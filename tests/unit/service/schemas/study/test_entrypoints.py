import pytest

from service.schemas.study.entrypoints import is_allowed


@pytest.mark.parametrize(
    ("entrypoint", "prefixes", "allowed"),
    [
        ("mypkg:f", ["mypkg"], True),
        ("mypkg.train:f", ["mypkg"], True),
        ("mypkg.train.deep:f", ["other", "mypkg.train"], True),
        ("mypkg2:f", ["mypkg"], False),
        ("mypkg2.mypkg:f", ["mypkg"], False),
        ("mypkg:f", ["mypkg.train"], False),
        ("mypkg.training:f", ["mypkg.train"], False),
        ("os:system", ["mypkg"], False),
        ("mypkg:f", [], False),
        ("mypkg:mypkg", ["mypkg:mypkg"], False),
    ],
)
def test_a_prefix_allows_a_module_and_what_lies_below_it(entrypoint: str, prefixes: list[str], allowed: bool) -> None:
    assert is_allowed(entrypoint, prefixes) is allowed
