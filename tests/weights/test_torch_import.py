"""Renaming of checkpoints: what is taken off, what is reshaped, and what an error says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.errors import WeightsError
from centernet.weights.torch_import import Layer, import_state, own_keys, plain, read_checkpoint

KERNEL = np.arange(54, dtype=np.float64).reshape(2, 3, 3, 3)
STATE = {"a.weight": KERNEL, "b.running_var": np.array([1.0, 2.0]), "c.num_batches_tracked": np.array(5)}
NAMES = {"x/conv/W": "a.weight", "y/bn/var": "b.running_var"}
SHAPES: dict[str, tuple[int, ...]] = {"x/conv/W": (2, 3, 3, 3), "y/bn/var": (1, 2, 1, 1)}
UNUSED = ("*num_batches_tracked",)


def take(state: dict[str, Any], **options: Any) -> Any:
    return import_state(state, NAMES, SHAPES, what="m.pth", **{"allow_unused": UNUSED, **options})


def test_values_come_in_our_order_names_and_shapes_as_float32() -> None:
    values, report = take(dict(reversed(STATE.items())))
    assert list(values) == list(NAMES)
    np.testing.assert_array_equal(values["x/conv/W"], KERNEL)
    np.testing.assert_array_equal(values["y/bn/var"], [[[[1.0]], [[2.0]]]])
    assert {array.dtype for array in values.values()} == {np.dtype(np.float32)}
    assert report.taken == (
        Layer(name="x/conv/W", key="a.weight", shape=(2, 3, 3, 3), is_reshaped=False),
        Layer(name="y/bn/var", key="b.running_var", shape=(1, 2, 1, 1), is_reshaped=True),
    )
    assert (report.unused, report.missing) == (("c.num_batches_tracked",), ())


def test_the_report_has_a_line_for_every_parameter_and_key() -> None:
    _, report = take({**STATE, "b.running_var": np.ones(3)}, allow_partial=True)
    assert str(report) == ("1 parameters taken, 0 of them reshaped; 1 unused: c.num_batches_tracked; 1 missing: y/bn/var")
    assert report.table().splitlines() == [
        "taken     x/conv/W <- a.weight 2x3x3x3",
        "missing   y/bn/var",
        "unused    c.num_batches_tracked",
    ]


@pytest.mark.parametrize("prefix", ["module.", "model.", "net.", "module.model.", "_orig_mod.", ""])
def test_what_wraps_the_model_is_taken_off_its_keys(prefix: str) -> None:
    values, _ = take({f"{prefix}{key}": array for key, array in STATE.items()})
    assert list(values) == list(NAMES)


def test_a_prefix_of_some_keys_stays_but_that_of_data_parallel_goes() -> None:
    assert list(plain({"model.a": KERNEL, "b": KERNEL})) == ["model.a", "b"]
    assert list(plain({"module.a": KERNEL, "b": KERNEL, "module_list.c": KERNEL})) == ["a", "b", "module_list.c"]


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize(
    ("rewritten", "original"),
    [
        ("kps.0.top.1.conv1.weight", "kps.0.up1.1.conv1.weight"),
        ("kps.1.low2.low2.top.0.bn1.bias", "kps.1.low2.low2.up1.0.bn1.bias"),
        ("cnvs_tl.0.p1_look_conv.weight", "tl_cnvs.0.P1_look_conv.weight"),
        ("cnvs_br.1.p2_look_conv.weight", "br_cnvs.1.P2_look_conv.weight"),
        ("cnvs_ct.0.p1_conv1.conv.weight", "ct_cnvs.0.p1_conv1.conv.weight"),
        ("hmap_ct.0.0.conv.bias", "ct_heats.0.0.conv.bias"),
        ("embd_br.0.1.bias", "br_tags.0.1.bias"),
        ("regs_tl.1.1.weight", "tl_regrs.1.1.weight"),
        ("cnvs_.0.0.weight", "cnvs_.0.0.weight"),
        ("low2.top.weight", "low2.top.weight"),
    ],
)
def test_modules_of_a_rewritten_system_are_called_as_in_the_original(prefix: str, rewritten: str, original: str) -> None:
    other = f"{prefix}pre.0.conv.weight"
    for wanted in ((), ("pre.0.conv.weight", original)):
        assert own_keys([f"{prefix}{rewritten}", other], wanted) == {original: f"{prefix}{rewritten}", "pre.0.conv.weight": other}


def test_a_prefix_that_the_network_itself_has_stays() -> None:
    assert list(plain({"backbone.a": KERNEL}, ["backbone.a"])) == ["backbone.a"]


def test_a_backbones_own_checkpoint_lacks_the_name_it_has_in_a_detector() -> None:
    assert list(plain({"level0.weight": KERNEL, "fc.bias": KERNEL}, ["base.level0.weight"])) == ["base.level0.weight", "base.fc.bias"]


def test_one_error_lists_every_shape_and_what_is_missing_or_left_over() -> None:
    state = {"a.weight": np.ones((4, 3, 3, 3)), "b.running_var": np.ones(9), "hm.2.weight": KERNEL}
    with pytest.raises(WeightsError) as error:
        take(state)
    text = str(error.value)
    assert text.startswith("m.pth: not the weights of this network: 2 of another shape: ")
    assert "a.weight (4, 3, 3, 3) instead of (2, 3, 3, 3), b.running_var (9,) instead of (2,)" in text
    assert "1 not in the network: hm.2.weight" in text
    with pytest.raises(WeightsError, match=r"1 not in the file: b\.running_var; --allow-partial takes what fits"):
        take({"a.weight": KERNEL})


def test_part_of_a_checkpoint_is_taken_where_that_is_asked_for() -> None:
    values, report = take({"a.weight": KERNEL, "b.running_var": np.ones(9), "z": KERNEL}, allow_partial=True)
    assert list(values) == ["x/conv/W"]
    assert report.missing == ("y/bn/var",)
    assert report.unused == ("z",)


def test_a_checkpoint_that_has_nothing_is_an_error_even_then_and_says_what_it_is() -> None:
    state = {"dla_up.ida_0.proj_1.conv.weight": KERNEL, "ida_up.proj_1.conv.weight": KERNEL}
    with pytest.raises(WeightsError, match="the file is a dla_34; 2 not in the file") as error:
        take(state, allow_partial=True)
    assert "--allow-partial" not in str(error.value)


def test_both_kinds_of_files_are_read(tmp_path: Path, write_torch: Any, tensor: Any) -> None:
    write_torch(tmp_path / "m.pth", {"a.weight": tensor(KERNEL)})
    np.testing.assert_array_equal(read_checkpoint(tmp_path / "m.pth")["a.weight"], KERNEL)
    header = b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'
    (tmp_path / "m.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + np.float32(3).tobytes())
    assert read_checkpoint(tmp_path / "m.safetensors")["a"] == 3


def test_every_layer_has_a_fate_with_the_files_own_key_and_both_shapes() -> None:
    state = {"module.a.weight": np.ones((4, 3, 3, 3)), "module.b.running_var": np.ones(2), "module.z": KERNEL}
    _, report = take(state, allow_partial=True)
    found = {(fate.became, fate.key, fate.name, fate.file_shape, fate.wanted_shape) for fate in report.fates}
    assert found == {
        ("mismatched", "module.a.weight", "x/conv/W", (4, 3, 3, 3), (2, 3, 3, 3)),
        ("reshaped", "module.b.running_var", "y/bn/var", (2,), (1, 2, 1, 1)),
        ("unused", "module.z", None, (2, 3, 3, 3), None),
    }
    assert [fate.key for fate in report.mismatched] == ["module.a.weight"]
    _, report = take({"a.weight": KERNEL}, allow_partial=True)
    assert [fate.name for fate in report.fates if fate.became == "missing"] == ["y/bn/var"]


def test_unused_keys_are_called_as_in_the_file() -> None:
    names = {"x/conv/W": "base.level0.weight"}
    _, report = import_state({"level0.weight": KERNEL, "fc.bias": KERNEL}, names, SHAPES, what="m", allow_unused=("base.fc.*",))
    assert (report.taken[0].key, report.unused, report.unused_plain) == ("level0.weight", ("fc.bias",), ("base.fc.bias",))


def test_an_error_lists_every_key() -> None:
    names = {f"n{number}/conv/W": f"n{number}.weight" for number in range(20)}
    state = {"n0.weight": KERNEL, **{f"z{number}.weight": KERNEL for number in range(20)}}
    with pytest.raises(WeightsError) as error:
        import_state(state, names, dict.fromkeys(names, (2, 3, 3, 3)), what="m.pth")
    assert all(f"n{number}.weight" in str(error.value) for number in range(1, 20))
    assert all(f"z{number}.weight" in str(error.value) for number in range(20))


@pytest.mark.parametrize(
    "prefix", ["model.module.", "module.model.net.", "_orig_mod.module.", "model._orig_mod.", "module.module.", "network.backbone.module."]
)
def test_prefixes_in_any_order_are_taken_off(prefix: str) -> None:
    state = {f"{prefix}{key}": array for key, array in STATE.items()}
    assert list(plain(state)) == list(STATE)
    assert list(take(state)[0]) == list(NAMES)


def test_two_keys_never_become_one() -> None:
    assert list(plain({"module.a": KERNEL, "a": KERNEL})) == ["module.a", "a"]


def test_numbers_that_are_none_are_warned_of_by_key(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING"):
        take(STATE)
        assert caplog.messages == []
        take({**STATE, "b.running_var": np.array([1.0, np.nan])})
    assert caplog.messages == ["m.pth: NaN or infinite numbers in 1 of its layers: b.running_var"]
