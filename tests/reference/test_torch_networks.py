"""Every network whose golden is there: weights by the rule in the original's names, imported, give the original's outputs.

And the originals' state dicts: all of one that this project can build is taken, and nothing else of the network is missing.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections import OrderedDict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import nnabla as nn
import numpy as np
import pytest

from centernet.experiment import origin
from centernet.models import torch_names
from centernet.models.network import Network
from centernet.models.ops import Ops
from centernet.models.specs import HeadSpec
from centernet.weights.torch_identify import architecture, head_channels, hidden_channels
from centernet.weights.torch_import import import_state, plain

pytestmark = pytest.mark.reference

TOLERANCE = 1e-3  # of the standard deviation of an output
QUICK_PARAMETERS = 26_000_000  # of the networks that are run every time, one of each architecture
SLOW_STATES = ("hourglass", "CenterNet", "152", "101")
KEYPOINTS = ("tl_", "br_", "ct_")  # whose heads the goldens call by one map, tl_heat, and files by all, tl_heats
GAINS = (
    (r"deconv_layers\.\d+\.weight|(proj|node)_\d\.conv\.weight", 4.0),
    (r"conv[23]\.weight", 0.25),
    (r"(skip|downsample|project)\.0\.weight", 1.0),
)


def made_by_rule(key: str, shape: tuple[int, ...], seed_key: str) -> Any:
    """One parameter of an original, all in float32."""
    values = np.random.RandomState(crc32(seed_key.encode()) & 0xFFFFFFFF).randn(*shape).astype(np.float32)
    if key.endswith("running_var") or (len(shape) == 1 and key.endswith("weight")):
        return np.abs(values) * np.float32(0.1) + np.float32(1)
    if len(shape) < 2:
        return values * np.float32(0.05)
    is_transposed = len(shape) == 4 and shape[2] % 2 == 0
    fan = (4 if shape[1] == 1 else 4 * shape[0]) if is_transposed else np.prod(shape[1:])
    values = values * np.float32(np.sqrt(gain_of(key, shape) / fan))
    return values * np.float32(0.2) if "conv_offset_mask" in key else values


def gain_of(key: str, shape: tuple[int, ...]) -> float:
    found = next((gain for pattern, gain in GAINS if re.search(f"(^|\\.)({pattern})$", key)), 2.0)
    if key.startswith(("inters_.", "cnvs_.")):
        found = 1.0
    if found == 4 and shape[2:] != (3, 3):
        found = 2.0
    if key.startswith("features.") and shape[2:] == (1, 1) and shape[0] < shape[1]:
        found = 0.5
    return found * (1.4 if ".block." in key else 1)


@cache
def state_dicts(reference: Path) -> dict[str, dict[str, tuple[int, ...]]]:
    models = json.loads(gzip.decompress((reference / "torch" / "torch_state_dicts.json.gz").read_bytes()))["models"]
    return {name: {key: tuple(shape) for key, shape in keys.items()} for name, keys in models.items()}


def index_of(reference: Path) -> dict[str, Any]:
    """Name -> entry of every golden's network."""
    index = json.loads((reference / "torch" / "nets_index.json").read_text())
    return {name: entry for name, entry in index.items() if not name.startswith("_")}


def state_of(name: str, reference: Path) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of a golden's network; of one whose original is not there, as its heads in the index ask for."""
    for path, shapes in state_dicts(reference).items():
        family, *parts = path.split("/")
        if name in ("_".join(parts), "_".join(parts).removesuffix("_coco")) and family in ("xy", "torchvision"):
            return shapes
    same = next((shapes for shapes in state_dicts(reference).values() if architecture(shapes) == name), None)
    if same is not None:
        return same
    outputs = index_of(reference)[name]["outputs"]
    heads = {row.split("__")[0]: outputs[row]["full_shape"][1] for row in outputs if not row.startswith("stack")}
    bare = origin.network_of("_".join(name.split("_")[:2]))
    network = with_heads(bare, heads)
    own = network.parameter_shapes()
    return {key: own[ours][1:2] if "/bn/" in ours else own[ours] for ours, key in torch_names.torch_names(network).items()}


def with_heads(network: Network, channels: dict[str, int]) -> Network:
    names = {head: head.removesuffix("s") if head.startswith(KEYPOINTS) else head for head in channels}
    heads = {names[head]: HeadSpec(scope=head, channels=count, kind="regression") for head, count in channels.items()}
    return Network(network.backbone, network.neck, network.head, heads, scope=OrderedDict())


def network_of(shapes: dict[str, tuple[int, ...]]) -> Network:
    """The network that a checkpoint's keys ask for, with its heads."""
    shapes = plain(shapes)
    name = origin.architecture_of(shapes)
    assert name is not None, architecture(shapes)
    return with_heads(origin.network_of(name, hidden_channels(shapes)), head_channels(shapes))


class Recording(Ops):
    """Keeps what goes into the first convolution of each module `features.N`: the output of the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs: dict[int, nn.Variable] = {}

    def convolution(self, x: nn.Variable, *arguments: Any, **settings: Any) -> nn.Variable:
        module = re.match(r"features/(\d+)", "/".join(self._path))
        if module:
            self.inputs.setdefault(int(module[1]), x)
        return super().convolution(x, *arguments, **settings)


def outputs_of(network: Network, image: nn.Variable, state: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Golden's name of an output without its channels -> our values."""
    if not network.heads:
        ops = Recording()
        with network.parameter_scope():
            levels = network._backbone.build(image, ops, network.backbone)
        modules = {number - 1: x for number, x in ops.inputs.items() if number}
        taps = {f"f{number}": x for number, x in {**modules, len(modules): levels[-1]}.items()} if modules else {}
        taps |= {} if modules else {f"c{number}": level for number, level in enumerate(levels, start=2)}
        nn.forward_all(list(taps.values()))
        yield from ((tap, x.d) for tap, x in taps.items())
        yield "logits", classified(levels[-1].d.mean(axis=(2, 3)), state)
        return
    stacks = network(image)
    nn.forward_all([output for outputs in stacks for output in outputs.values()], clear_no_need_grad=True)
    for number, outputs in enumerate(stacks):
        prefix = "" if number == len(stacks) - 1 else f"stack{number}_"
        yield from ((f"{prefix}{head}", output.d) for head, output in outputs.items())


def classified(x: Any, state: dict[str, Any]) -> Any:
    """ImageNet's classifier: one layer, or two with a hard swish between them (MobileNetV3)."""
    layers = sorted(key.removesuffix(".weight") for key in state if re.fullmatch(r"(fc|classifier\.\d)\.weight", key))
    for position, layer in enumerate(layers):
        x = x * np.clip(x + 3, 0, 6) / 6 if position else x
        x = x @ state[f"{layer}.weight"].T + state[f"{layer}.bias"]
    return x


def ours(name: str, reference: Path) -> dict[str, Any]:
    """Every output of a network whose weights are made by the rule in the original's names, and imported."""
    rule = json.loads((reference / "torch" / "rule.json").read_text())
    shapes = state_of(name, reference)
    state = {key: made_by_rule(key, shape, rule["key_prefix"] + key + rule["key_suffix"]) for key, shape in shapes.items() if shape}
    network = network_of(shapes)
    parameters = network.parameters()
    names = torch_names.torch_names(network) if network.heads else torch_names.backbone_torch_names(network)
    own_shapes = {own: tuple(parameters[own].shape) for own in names}
    values, report = import_state(state, names, own_shapes, what=name, allow_unused=torch_names.NEVER_USED)
    assert report.missing == ()
    for own, array in values.items():
        parameters[own].d = array
    size = index_of(reference)[name]["input"]
    image = nn.Variable.from_numpy_array(np.random.RandomState(rule["image_seed"]).randn(*size).astype(np.float32))
    return dict(outputs_of(network, image, state))


def check_golden(name: str, reference: Path) -> None:
    """Every output that the index names is compared."""
    outputs, found = index_of(reference)[name]["outputs"], ours(name, reference)
    compared = set()
    with np.load(reference / "torch" / f"net_{name}.npz") as golden:
        for key, row in outputs.items():
            assert key.split("__")[0] in found, f"{name}: '{key}' is none of {', '.join(found)}"
            values, expected = found[key.split("__")[0]], golden[key]
            assert list(values.shape) == row["full_shape"], (name, key)
            error = np.abs(values[:, :: row["channel_stride"]] - expected).max() / expected.std()
            assert error <= TOLERANCE, (name, key, error)
            compared.add(key)
    assert compared == set(outputs)
    assert compared


def quick_names(reference: Path) -> list[str]:
    """One network of each architecture that is small enough."""
    first: dict[str, str] = {}
    for name in index_of(reference):
        shapes = state_of(name, reference)
        if sum(int(np.prod(shape)) for shape in shapes.values()) <= QUICK_PARAMETERS:
            first.setdefault(str(architecture(shapes)), name)
    return list(first.values())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The networks are those that are in the index; `large` are all that are not `quick`."""
    if not {"quick", "large"} & set(metafunc.fixturenames):
        return
    folder = Path(os.environ.get("CENTERNET_REFERENCE", Path(__file__).resolve().parents[3] / "shared" / "reference"))
    quick = quick_names(folder) if (folder / "torch" / "nets_index.json").is_file() else []
    if "quick" in metafunc.fixturenames:
        metafunc.parametrize("quick", quick)
    else:
        metafunc.parametrize("large", [name for name in index_of(folder) if name not in quick] if quick else [])


def test_an_imported_checkpoint_gives_the_originals_outputs(quick: str, reference: Path) -> None:
    check_golden(quick, reference)


@pytest.mark.slow
def test_an_imported_large_checkpoint_gives_the_originals_outputs(large: str, reference: Path) -> None:
    check_golden(large, reference)


@pytest.mark.slow
def test_a_network_that_the_index_did_not_have_is_compared_too(tmp_path: Path, reference: Path) -> None:
    """Of an architecture, heads and a size that no golden has; and nothing of its entry is passed over."""
    folder, name = tmp_path / "torch", "res_34_ctdet"
    folder.mkdir()
    for file in ("rule.json", "torch_state_dicts.json.gz"):
        (folder / file).write_bytes((reference / "torch" / file).read_bytes())
    rows = {row: {"full_shape": [1, count, 16, 24], "channel_stride": 1 + count // 3} for row, count in (("hm__c2", 3), ("wh", 2))}
    (folder / "nets_index.json").write_text(json.dumps({name: {"input": [1, 3, 64, 96], "outputs": rows}}))
    found = ours(name, tmp_path)
    arrays = {"hm__c2": found["hm"][:, ::2], "wh": found["wh"]}
    np.savez(folder / f"net_{name}.npz", **arrays)
    assert quick_names(tmp_path) == [name]
    check_golden(name, tmp_path)
    np.savez(folder / f"net_{name}.npz", **{**arrays, "wh": arrays["wh"] + 1})
    with pytest.raises(AssertionError, match="wh"):
        check_golden(name, tmp_path)
    np.savez(folder / f"net_{name}.npz", **arrays)
    (folder / "nets_index.json").write_text(json.dumps({name: {"input": [1, 3, 64, 96], "outputs": {**rows, "stack0_hm": rows["wh"]}}}))
    with pytest.raises(AssertionError, match="'stack0_hm' is none of hm, wh"):
        check_golden(name, tmp_path)


def check_state(name: str, shapes: dict[str, tuple[int, ...]]) -> None:
    network = network_of(shapes)
    own = network.parameter_shapes() if network.heads else network.backbone_shapes()
    names = torch_names.torch_names(network) if network.heads else torch_names.backbone_torch_names(network)
    state = {f"module.{key}": np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()}
    _, report = import_state(state, names, own, what=name, allow_unused=torch_names.NEVER_USED)
    assert report.missing == (), name
    assert len(report.taken) == len(own), name


def test_every_small_state_dict_is_taken_whole(reference: Path) -> None:
    found = state_dicts(reference)
    small = [name for name in found if not any(word in name for word in SLOW_STATES)]
    assert small
    for name in small:
        check_state(name, found[name])


@pytest.mark.slow
def test_every_large_state_dict_is_taken_whole(reference: Path) -> None:
    found = state_dicts(reference)
    large = [name for name in found if any(word in name for word in SLOW_STATES)]
    assert large
    for name in large:
        check_state(name, found[name])


def test_every_state_dict_is_known_by_name(reference: Path) -> None:
    for name, shapes in state_dicts(reference).items():
        family, model = name.split("/")[:2]
        found = architecture(shapes)
        if family == "torchvision":
            assert found == model
        elif family == "xy":
            assert found == {"hourglass": "hourglass_104"}.get(model, model)
        else:
            sizes = {"104": "104", "large": "104", "52": "52", "small": "52", "tiny": "tiny"}
            assert found == f"keypoint_triplets_{next(size for word, size in sizes.items() if word in model)}", name
