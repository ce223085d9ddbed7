from __future__ import annotations

import pytest
from pydantic import ValidationError
from pydantic.dataclasses import dataclass

from centernet import config as configuration
from centernet import plugins
from centernet.errors import ConfigError
from centernet.tasks.ctdet import Config


@dataclass(frozen=True)
class Sections:
    task: plugins.plugin_config("centernet.tasks")  # type: ignore[valid-type]


def test_defaults_are_the_published_models() -> None:
    config = Config()
    assert (config.max_objects, config.min_overlap, config.radius) == (128, 0.7, "cornernet")
    assert (config.heatmap_weight, config.size_weight, config.offset_weight) == (1, 0.1, 1)


@pytest.mark.parametrize(
    "wrong", [{"max_objects": 0}, {"size_weight": -1}, {"min_overlap": 1}, {"min_overlap": 0}, {"radius": "none"}, {"wh_weight": 1}]
)
def test_impossible_values_and_unknown_keys_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Config(**wrong)  # type: ignore[arg-type]


def test_the_configuration_belongs_to_its_folder() -> None:
    assert plugins.name_of(Config()) == "ctdet"


def test_the_new_root_was_once_called_otherwise() -> None:
    assert Config(radius="corrected").radius == Config(radius="cornernet_fixed").radius == "cornernet_fixed"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "key", "said"),
    [
        ({"boxes": {"form": "ltrb"}, "loss": {"relative_size": True}}, "task.loss.relative_size", "divides by sizes"),
        ({"boxes": {"form": "ltrb"}, "offset_weight": 0.5}, "task.offset_weight", "a head that boxes.form ltrb does not have"),
        ({"boxes": {"form": "ltrb"}, "loss": {"offset": "smooth_l1"}}, "task.loss.offset", "a head that boxes.form ltrb does not have"),
        ({"boxes": {"form": "ltrb", "per_class": True}}, "task.boxes.per_class", "is for sizes"),
        ({"boxes": {"weight": "equal"}}, "task.boxes.weight", "equal is for regions, expected at: gaussian, found center"),
        ({"boxes": {"at": "3x3", "per_class": True}}, "task.boxes.per_class", "expected at: center, found 3x3"),
        ({"boxes": {"at": "heatmap"}, "loss": {"boxes": "giou"}}, "task.boxes.at", "loss.boxes is giou, expected l1 or smooth_l1"),
        ({"loss": {"boxes": "giou", "relative_size": True}}, "task.loss.relative_size", "found giou, which depends on no scale"),
        ({"heatmap_weight": 0, "size_weight": 0, "offset_weight": 0}, "task", "there is nothing to learn"),
        ({"boxes": {"form": "ltrb"}, "heatmap_weight": 0, "size_weight": 0}, "task", "there is nothing to learn"),
        ({"boxes": {"at": "centre"}}, "task.boxes.at", "'center', '3x3', 'gaussian' or 'heatmap'"),
        ({"boxes": {"frm": "ltrb"}}, "task.boxes.frm", "unknown key; did you mean 'form'"),
        ({"loss": {"boxes": "eiou"}}, "task.loss.boxes", "found 'eiou'"),
        ({"alpha": 0}, "task.alpha", "greater than 0"),
    ],
)
def test_what_cannot_work_is_refused_with_its_key(wrong: dict[str, object], key: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        configuration.validate(Sections, {"task": {"name": "ctdet", **wrong}}, source="x.yaml")
    assert str(refused.value).startswith(f"x.yaml: {key}: ")
    assert said in str(refused.value)
