from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from centernet.errors import WeightsError
from centernet.weights.layout import convert
from centernet.weights.match import ANY, LoadReport, assign, match
from centernet.weights.store import Array

DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


def resnet(depth: int = 18, *, classes: int = 3, stem: int = 8) -> dict[str, Array]:
    """The names that matter, with small arrays, NCHW."""
    shapes: dict[str, tuple[int, ...]] = {"conv1/conv/W": (stem, 3, 7, 7), "conv1/bn/mean": (1, stem, 1, 1)}
    for stage, count in enumerate(DEPTHS[depth]):
        for layer in range(count):
            shapes[f"res{stage + 1}/layer{layer + 1}/basicblock1/conv/W"] = (8, 8, 3, 3)
    shapes["hm_final/conv/W"] = (classes, 8, 1, 1)
    shapes["hm_final/conv/b"] = (classes,)
    return {name: np.full(shape, index, np.float32) for index, (name, shape) in enumerate(shapes.items())}


def dla() -> dict[str, Array]:
    return {"conv1/conv/W": np.ones((8, 3, 7, 7)), "level5/conv/W": np.ones((8, 8, 3, 3)), "conv1/bn/mean": np.ones((1, 8, 1, 1))}


def shapes(parameters: dict[str, Array]) -> dict[str, tuple[int, ...]]:
    return {name: values.shape for name, values in parameters.items()}


def refusal(found: dict[str, Array], expected: dict[str, Array]) -> str:
    with pytest.raises(WeightsError) as error:
        match(found, shapes(expected), what="weights/x.h5")
    text = str(error.value)
    assert text.startswith("weights/x.h5: not the weights of this network")
    assert "\n" not in text
    return text


def test_the_same_network_matches() -> None:
    report = match(resnet(), shapes(resnet()), what="x.h5")
    assert report == LoadReport(loaded=tuple(resnet()))
    assert str(report) == f"{len(resnet())} parameters loaded"


def test_the_classifier_of_published_files_is_left_in_the_file() -> None:
    found = {**resnet(), "fc/fc/conv/b": np.zeros(1000)}
    report = match(found, shapes(resnet()), what="x.h5")
    assert report.unused == ("fc/fc/conv/b",)
    assert "1 left in the file (fc/fc/conv/b)" in str(report)


def test_names_that_may_be_missing_are_reported() -> None:
    found = {name: values for name, values in resnet().items() if not name.startswith("hm_final")}
    report = match(found, shapes(resnet()), what="x.h5", allow_missing=("hm_",))
    assert report.missing == ("hm_final/conv/W", "hm_final/conv/b")
    assert "2 not in the file" in str(report)


def test_another_depth_is_named_even_where_all_names_are_there() -> None:
    text = refusal(resnet(34), resnet(18))
    assert "the file is a resnet34, the network a resnet18" in text
    assert "8 not in the network: res1/layer3/basicblock1/conv/W" in text


def test_another_family_is_named() -> None:
    text = refusal(dla(), resnet())
    assert "the file is a dlav034, the network a resnet18 (--arch, --num_layers)" in text
    assert "not in the file: " in text


def test_another_class_count_is_named() -> None:
    text = refusal(resnet(classes=80), resnet(classes=20))
    assert "the file has 80 classes, the network 20 (--dataset)" in text
    assert "2 of another shape: hm_final/conv/W (80, 8, 1, 1) instead of (20, 8, 1, 1)" in text


def test_another_layout_comes_with_the_command_that_converts() -> None:
    text = refusal(convert(resnet(), layout="nhwc"), resnet())
    assert "the file is nhwc with 3 input channels, the network nchw with 3" in text
    assert "python src/convert_parameter_format.py weights/x.h5 OUT.h5 -m nchw -3" in text


def test_other_input_channels_come_with_the_command_that_converts() -> None:
    text = refusal(resnet(), convert(resnet(), channels=4))
    assert "python src/convert_parameter_format.py weights/x.h5 OUT.h5 -m nchw -4" in text


def test_another_width_is_named() -> None:
    assert "the file's first convolution has 64 channels, the network's 8 (width)" in refusal(resnet(stem=64), resnet())


def test_all_that_is_wrong_is_in_one_error() -> None:
    found = {**convert(resnet(34, classes=80), layout="nhwc"), "extra": np.ones(1)}
    del found["conv1/bn/mean"]
    text = refusal(found, resnet())
    for part in ("resnet34", "nhwc", "80 classes", "of another shape", "1 not in the file: conv1/bn/mean", "9 not in the network"):
        assert part in text, part


def test_values_arrive_as_float32_and_only_if_everything_fits() -> None:
    targets = {name: SimpleNamespace(shape=values.shape, d=np.zeros(0)) for name, values in resnet().items()}
    half = {name: values.astype(np.float16) for name, values in resnet().items()}
    with pytest.raises(WeightsError):
        assign({**half, "extra": np.ones(1)}, targets, what="x.h5")
    assert all(target.d.size == 0 for target in targets.values())
    assign({**half, "extra": np.ones(1)}, targets, what="x.h5", allow_unused=ANY)
    for name, values in resnet().items():
        assert targets[name].d.dtype == np.float32
        np.testing.assert_array_equal(targets[name].d, values)
