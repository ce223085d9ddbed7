"""What a parameter file without a description holds, as the words name it."""

from __future__ import annotations

from pathlib import Path

import pytest

from centernet.errors import ConfigError
from centernet.experiment.choice import Choice
from centernet.experiment.published import describe

CFG = Path(__file__).resolve().parents[2] / "cfg"


@pytest.mark.parametrize(("dataset", "num_classes", "side"), [("coco", 80, 512), ("pascal", 20, 384)])
def test_the_words_of_a_published_model_are_enough(dataset: str, num_classes: int, side: int) -> None:
    found = describe(Choice(words={"dataset": dataset, "arch": "resnet", "num_layers": 18}))
    assert len(found.class_names) == num_classes
    assert found.input_size == (side, side)
    assert (found.stride, found.layout, found.input_channels) == (4, "nchw", 3)


def test_layout_channels_and_size_are_those_typed() -> None:
    words = {"arch": "dlav0", "mixed_precision": True, "channel_last": True}
    found = describe(Choice(words=words, input_size=(64, 96), keys={"train.seed": 1}))
    assert (found.layout, found.input_channels, found.input_size) == ("nhwc", 4, (64, 96))


def test_classes_named_in_the_configuration_count() -> None:
    found = describe(Choice(yaml=CFG / "resnet_18_coco_fp.yaml", assignments=["data.dataset.classes=[a, b]"]))
    assert found.class_names == ("a", "b")


def test_classes_that_only_the_data_knows_need_its_folder() -> None:
    with pytest.raises(ConfigError, match="classes of data set 'shapes' are not known without its files; give --data_dir"):
        describe(Choice(yaml=CFG / "quickstart.yaml"))
