from __future__ import annotations

import pytest

from centernet.engine.patterns import matching
from centernet.errors import ConfigError

NAMES = ["conv1/conv/W", "conv1/bn/gamma", "res1/layer1/conv/W", "res2/layer1/conv/W", "hm_final/conv/b"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("res1/*", ["res1/layer1/conv/W"]),
        ("res[12]/*", ["res1/layer1/conv/W", "res2/layer1/conv/W"]),
        ("*/bn/*", ["conv1/bn/gamma"]),
        ("hm_final/conv/b", ["hm_final/conv/b"]),
        ("*", NAMES),
    ],
)
def test_a_star_stands_for_anything(pattern: str, found: list[str]) -> None:
    assert matching(pattern, NAMES, key="train.freeze.0") == found


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("res1", r"near it: res1/\*"),
        ("res3/*", r"near it: res[12]/\*, res[12]/\*"),
        ("Conv1/conv/W", r"near it: conv1/conv/W"),
        ("backbone", r"names begin with conv1, res1, res2, hm_final$"),
    ],
)
def test_one_that_matches_nothing_is_refused_with_what_is_near(pattern: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"^train\.freeze\.1: '{pattern.replace('*', '.')}' matches no parameter of the network; {said}"):
        matching(pattern, NAMES, key="train.freeze.1")
