"""What a checkpoint is told to be, and what is made of that where nothing was typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.errors import ConfigError, WeightsError
from centernet.experiment import published
from centernet.experiment.choice import Choice
from centernet.experiment.origin import Origin, UnknownNetwork, architecture_of, completed, name_of, network_of, origin_of, with_its_network
from centernet.models.torch_names import torch_names
from centernet.weights import torch_identify

YAML = Path(__file__).resolve().parents[2] / "cfg" / "resnet_18_coco_fp.yaml"
HEADS = {
    "ctdet": {"hm": 80, "wh": 2, "reg": 2},
    "multi_pose": {"hm": 1, "wh": 2, "hps": 34, "reg": 2, "hm_hp": 17, "hp_offset": 2},
    "ddd": {"hm": 3, "dep": 1, "rot": 8, "dim": 3, "wh": 2, "reg": 2},
    "exdet": {"hm_t": 80, "hm_c": 80, "reg_t": 2},
}


def shapes_of(name: str, heads: dict[str, int]) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of a detector as the official system saves them."""
    network = network_of(name)
    own = network.parameter_shapes()
    shapes = {key: own[ours][1:2] if "/bn/" in ours else own[ours] for ours, key in torch_names(network).items()}
    for head, channels in heads.items():
        for layer, shape in (("0", (64, 64, 3, 3)), ("2", (channels, 64, 1, 1))):
            shapes |= {f"{head}.{layer}.weight": shape, f"{head}.{layer}.bias": shape[:1]}
    return shapes


def origin(heads: dict[str, int], name: str = "dla_34") -> Origin:
    return Origin(name=name, architecture=name, heads=heads, hidden_channels=256)


@pytest.mark.parametrize("name", ["res_18", "resdcn_18", "dla_34", "dlav0_ida_34"])
def test_a_detector_is_known_by_its_keys(name: str) -> None:
    found = origin_of(shapes_of(name, HEADS["ctdet"]), source="x.pth")
    assert found.architecture == name
    assert dict(found.heads) == HEADS["ctdet"]
    assert (found.hidden_channels, found.num_classes) == (64, 80)
    assert not found.is_backbone
    assert not found.is_of_another_task


def test_the_official_systems_dlav0_is_another_graph_than_the_predecessors() -> None:
    found = origin_of(shapes_of("dlav0_ida_34", HEADS["ctdet"]), source="x.pth")
    assert (found.name, found.architecture) == ("dlav0_34", "dlav0_ida_34")
    assert str(found) == "a dlav0_34 (here dlav0_ida_34) with heads hm 80, wh 2, reg 2"


def test_an_imagenet_classifier_is_a_backbone_and_no_detector() -> None:
    trunk = {key: shape for key, shape in shapes_of("res_18", {}).items() if not key.startswith("deconv")}
    found = origin_of({**trunk, "fc.weight": (1000, 512), "fc.bias": (1000,)}, source="x.pth")
    assert (found.name, found.architecture, found.is_backbone) == ("resnet18", "res_18", True)
    with pytest.raises(WeightsError, match=r"x\.pth: is a resnet18 .* no detector; .* model\.pretrained_model_dir=x\.pth"):
        completed(Choice(), found, source="x.pth")


def test_what_is_unknown_or_not_built_comes_with_the_nearest_network(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNetwork, match=r"x\.pth: is of no known network; none of its 1 keys is one of res_18, .*dla_34"):
        origin_of({"encoder.weight": (1,)}, source="x.pth")
    monkeypatch.setattr(torch_identify, "architecture", lambda shapes: "hourglass_26")
    with pytest.raises(UnknownNetwork, match="is a hourglass_26, which this version does not build; the nearest is hourglass_52"):
        origin_of(shapes_of("hourglass_52", {}), source="x.pth")


@pytest.mark.slow
def test_of_networks_that_are_alike_the_nearest_is_named() -> None:
    odd = {key: shape for key, shape in shapes_of("res_18", HEADS["ctdet"]).items() if not key.startswith("layer1.0.conv1")}
    with pytest.raises(UnknownNetwork, match=r"x\.pth: is of no known network; the nearest is res_18: 114 of its 115 parameters are there"):
        origin_of(odd, source="x.pth")


@pytest.mark.parametrize(
    ("heads", "dataset", "names", "size"),
    [
        (HEADS["ctdet"], "coco", 80, (512, 512)),
        ({**HEADS["ctdet"], "hm": 20}, "voc", 20, (384, 384)),
        (HEADS["multi_pose"], "coco", 1, (512, 512)),
        (HEADS["ddd"], "coco", 3, (384, 1280)),
    ],
)
def test_classes_and_colours_are_those_its_system_trains_with(heads: dict[str, int], dataset: str, names: int, size: Any) -> None:
    found = published.describe(completed(Choice(), origin(heads, "res_18"), source="x.pth"))
    assert found.experiment["data"]["dataset"]["name"] == dataset
    assert (len(found.class_names), found.input_size) == (names, size)
    assert found.experiment["model"]["head"]["hidden_channels"] == 256
    if "dep" in heads:
        assert found.class_names == ("Pedestrian", "Car", "Cyclist")
        assert found.mean == (0.485, 0.456, 0.406)
    if "hps" in heads:
        assert found.class_names == ("person",)


def test_what_was_typed_counts() -> None:
    typed = Choice(words={"arch": "res_34", "dataset": "pascal", "head_conv": 32}, input_size=(64, 96))
    assert completed(typed, origin(HEADS["ctdet"]), source="x.pth") == typed
    assert completed(Choice(yaml=YAML), origin(HEADS["ctdet"]), source="x.pth") == Choice(yaml=YAML)
    sized = completed(Choice(input_size=(64, 64)), origin(HEADS["ddd"], "res_18"), source="x.pth")
    assert published.describe(sized).input_size == (64, 64)


def test_a_training_that_names_no_network_has_the_checkpoints(tmp_path: Path, write_torch: Any, tensor: Any) -> None:
    keys = shapes_of("res_18", HEADS["ctdet"])
    state = {key: tensor(np.zeros(shape if key.startswith("hm.") else len(shape) * (1,), np.float32)) for key, shape in keys.items()}
    write_torch(tmp_path / "m.pth", state)
    found = with_its_network(Choice(words={"dataset": "pascal"}), tmp_path / "m.pth")
    assert found.words == {"arch": "res_18", "head_conv": 64, "dataset": "pascal"}
    for typed in (Choice(words={"arch": "dla_34"}), Choice(yaml=YAML)):
        assert with_its_network(typed, tmp_path / "m.pth") == typed


def test_classes_without_names_have_to_be_named() -> None:
    heads = {**HEADS["ctdet"], "hm": 2}
    with pytest.raises(ConfigError, match=r"x\.pth: a PyTorch checkpoint does not say what its 2 classes are; name them: --dataset"):
        completed(Choice(), origin(heads), source="x.pth")
    named = completed(Choice(assignments=["data.dataset.classes=[a, b]"]), origin(heads, "res_18"), source="x.pth")
    assert published.describe(named).class_names == ("a", "b")


def test_heads_of_another_task_are_no_detector() -> None:
    found = origin(HEADS["exdet"], "hourglass_104")
    assert found.is_of_another_task
    with pytest.raises(WeightsError, match="no detector by centre points, which has heads hm, wh and reg"):
        completed(Choice(), found, source="x.pth")


def test_networks_and_keys_have_the_same_names() -> None:
    for name in ("res_18", "dla_34"):
        assert name_of(network_of(name)) == name
        assert architecture_of(shapes_of(name, {})) == name
    assert architecture_of({}) is None


def test_a_checkpoint_with_a_size_for_each_class_says_so() -> None:
    shared, each = (completed(Choice(), origin({**HEADS["ctdet"], "wh": channels}), source="x.pth") for channels in (2, 160))
    assert "task.boxes.per_class" not in shared.keys
    assert each.keys["task.boxes.per_class"] is True
    one_class = completed(Choice(words={"dataset": "coco"}), origin({"hm": 1, "wh": 2, "reg": 2}), source="x.pth")
    assert "task.boxes.per_class" not in one_class.keys
    task = published.describe(completed(Choice(), origin({**HEADS["ctdet"], "wh": 160}, "res_18"), source="x.pth")).experiment["task"]
    assert task["boxes"]["per_class"] is True


@pytest.mark.slow
def test_the_nearest_has_at_least_one_key_of_the_file() -> None:
    with pytest.raises(UnknownNetwork, match=r"the nearest is res_18: 1 of its 115 parameters are there"):
        origin_of({"conv1.weight": (64, 3, 7, 7)}, source="x.pth")
    with pytest.raises(UnknownNetwork, match=r"none of its 2 keys is one of res_18, .* in their authors' files$"):
        origin_of({"features.0.weight": (64, 3, 3, 3), "features.0.bias": (64,)}, source="vgg.pth")


def test_of_two_graphs_of_one_name_it_is_the_checkpoints(
    tmp_path: Path, write_torch: Any, tensor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    typed = Choice(words={"arch": "dlav0_34", "dataset": "coco"})
    write_torch(tmp_path / "m.pth", {key: tensor(np.zeros(len(shape) * (1,))) for key, shape in shapes_of("dlav0_ida_34", {}).items()})
    with caplog.at_level("INFO"):
        assert with_its_network(typed, tmp_path / "m.pth").words == {"arch": "dlav0_ida_34", "dataset": "coco"}
    said = (
        f"{tmp_path / 'm.pth'}: --arch dlav0_34: the checkpoint is of the official system's graph of that name, which is dlav0_ida_34 here"
    )
    assert caplog.messages == [said]
    official = origin_of(shapes_of("dlav0_ida_34", HEADS["ctdet"]), source="x.pth")
    assert completed(typed, official, source="x.pth").words["arch"] == "dlav0_ida_34"
    assert completed(typed, origin(HEADS["ctdet"]), source="x.pth").words["arch"] == "dlav0_34"


def test_where_classes_have_no_names_the_option_of_convert_is_named() -> None:
    with pytest.raises(ConfigError, match=r"what its 5 classes are; .* in `convert` also --classes A,B"):
        completed(Choice(), origin({**HEADS["ctdet"], "hm": 5}), source="x.pth")
