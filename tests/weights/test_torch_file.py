"""PyTorch's two file formats without PyTorch: what is read, what is refused, what is damaged."""

from __future__ import annotations

import contextlib
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.errors import WeightsError
from centernet.weights import torch_pickle
from centernet.weights.torch_file import EXPANDED_LIMIT, WRAPPERS, read_torch, read_torch_shapes

KERNEL = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
COUNT = np.array(7, np.int64)


def state(tensor: Any) -> OrderedDict[str, Any]:
    return OrderedDict([("conv.weight", tensor(KERNEL)), ("bn.num_batches_tracked", tensor(COUNT))])


def test_values_types_and_order_come_back(tmp_path: Path, write_torch: Any, tensor: Any) -> None:
    write_torch(tmp_path / "m.pth", state(tensor))
    found = read_torch(tmp_path / "m.pth")
    assert list(found) == ["conv.weight", "bn.num_batches_tracked"]
    np.testing.assert_array_equal(found["conv.weight"], KERNEL)
    assert found["bn.num_batches_tracked"] == 7
    assert found["bn.num_batches_tracked"].dtype == np.int64


def test_shapes_alone_are_read_without_the_values(tmp_path: Path, write_torch: Any, tensor: Any) -> None:
    write_torch(tmp_path / "m.pth", {"state_dict": state(tensor)})
    assert read_torch_shapes(tmp_path / "m.pth") == {"conv.weight": (2, 3, 2, 2), "bn.num_batches_tracked": ()}
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(WeightsError, match=r"text\.pth: not a PyTorch checkpoint"):
        read_torch_shapes(tmp_path / "text.pth")


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_every_wrapper_is_taken_off_and_what_is_beside_stays_in_the_file(
    wrapper: str, tmp_path: Path, write_torch: Any, tensor: Any
) -> None:
    optimizer = {"state": {0: {"momentum": tensor(KERNEL.astype(np.float64))}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    write_torch(tmp_path / "m.pth", {"optimizer": optimizer, "epoch": 3, "best": None, wrapper: state(tensor), "loss": tensor(COUNT)})
    assert list(read_torch(tmp_path / "m.pth")) == ["conv.weight", "bn.num_batches_tracked"]


def test_wrappers_may_lie_in_one_another(tmp_path: Path, write_torch: Any, tensor: Any) -> None:
    write_torch(tmp_path / "m.pth", {"model": {"state_dict": state(tensor)}})
    assert len(read_torch(tmp_path / "m.pth")) == 2


def test_bfloat16_becomes_float32(tmp_path: Path, write_torch: Any, tensor: Any) -> None:
    values = np.array([1.0, -2.5, 0.0], np.float32)
    stored = (values.view(np.uint32) >> 16).astype(np.uint16)
    write_torch(tmp_path / "m.pth", {"a": tensor(stored, "BFloat16Storage")})
    found = read_torch(tmp_path / "m.pth")["a"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values)


def test_a_size_and_a_device_are_no_code(tmp_path: Path, write_torch: Any, tensor: Any, torch_name: Any) -> None:
    content = {
        "size": torch_name("torch", "Size", ((1, 2),)),
        "device": torch_name("torch", "device", ("cuda", 0)),
        "state_dict": state(tensor),
    }
    write_torch(tmp_path / "m.pth", content)
    assert len(read_torch(tmp_path / "m.pth")) == 2


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("__builtin__", "getattr"),
        ("torch", "load"),
        ("collections", "defaultdict"),
        ("argparse", "Namespace"),
    ],
)
def test_a_pickle_that_asks_for_more_is_refused_by_name_and_nothing_runs(
    module: str, name: str, tmp_path: Path, write_torch: Any, tensor: Any, torch_name: Any
) -> None:
    trace = tmp_path / "trace"
    write_torch(tmp_path / "m.pth", {"state_dict": state(tensor), "x": torch_name(module, name, (f"touch {trace}",))})
    with pytest.raises(WeightsError, match=rf"m\.pth: refused: its pickle asks for '{module}\.{name}'.*save the state dict alone"):
        read_torch(tmp_path / "m.pth")
    assert not trace.exists()


def test_the_first_pickle_of_a_file_is_as_safe_as_the_others(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return eval, ("1 + 1",)

    (tmp_path / "m.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(WeightsError, match=r"refused: its pickle asks for 'builtins\.eval'"):
        read_torch(tmp_path / "m.pth")


def test_a_file_cannot_change_how_the_next_one_is_read(tmp_path: Path, write_torch: Any, tensor: Any) -> None:
    """BUILD sets attributes of whatever is on the pickle's stack: it must not be ours."""
    for name, attribute in ((b"torch\nFloatStorage", b"code"), (b"torch._utils\n_rebuild_tensor_v2", b"mark")):
        key = b"X" + len(attribute).to_bytes(4, "little") + attribute
        (tmp_path / "bad.pth").write_bytes(b"\x80\x02c" + name + b"\n}" + key + b"X\x02\x00\x00\x00f8sb.")
        with pytest.raises(WeightsError, match="magic number"):
            read_torch(tmp_path / "bad.pth")
    assert torch_pickle.STORAGES["FloatStorage"].code == "f4"
    assert not hasattr(torch_pickle.ALLOWED["torch._utils", "_rebuild_tensor_v2"], "mark")


def test_a_name_with_dots_does_not_reach_into_what_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "m.pth").write_bytes(b"\x80\x04\x8c\x0bcollections\x8c\x1dOrderedDict.fromkeys.__self__\x93.")
    with pytest.raises(WeightsError, match=r"refused: its pickle asks for 'collections\.OrderedDict\.fromkeys\.__self__'"):
        read_torch(tmp_path / "m.pth")


def test_a_file_cut_off_anywhere_is_an_error_that_names_it(tmp_path: Path, write_torch: Any, tensor: Any) -> None:
    write_torch(tmp_path / "m.pth", state(tensor))
    content = (tmp_path / "m.pth").read_bytes()
    for length in range(len(content)):
        (tmp_path / "cut.pth").write_bytes(content[:length])
        with pytest.raises(WeightsError, match=rf"cut\.pth: not a PyTorch checkpoint, or a damaged one \({length} bytes\)"):
            read_torch(tmp_path / "cut.pth")


def test_a_damaged_byte_gives_values_or_an_error_of_ours(tmp_path: Path, write_torch: Any, tensor: Any) -> None:
    write_torch(tmp_path / "m.pth", state(tensor))
    content = (tmp_path / "m.pth").read_bytes()
    for position in range(len(content)):
        for damage in (0xFF, 0x40, 0x01):
            damaged = bytearray(content)
            damaged[position] ^= damage
            (tmp_path / "m.pth").write_bytes(damaged)
            with contextlib.suppress(WeightsError):
                read_torch(tmp_path / "m.pth")


def test_a_tensor_beyond_its_storage_is_an_error(tmp_path: Path, write_torch: Any, tensor: Any) -> None:
    for shape, strides in (((25,), (1,)), ((2, 3), (30, 1)), ((EXPANDED_LIMIT, 2 * EXPANDED_LIMIT), (0, 0))):
        wrong = tensor(KERNEL.reshape(-1))
        wrong.shape, wrong.strides = shape, strides
        write_torch(tmp_path / "m.pth", {"a": wrong})
        with pytest.raises(WeightsError, match=r"'a': shape .* does not fit its storage of 24 numbers"):
            read_torch(tmp_path / "m.pth")


def test_an_expanded_and_an_empty_tensor_are_read(tmp_path: Path, write_torch: Any, tensor: Any) -> None:
    expanded, empty = tensor(np.ones(1, np.float32)), tensor(np.zeros((0, 4), np.float32))
    expanded.shape, expanded.strides = (3, 2), (0, 0)
    write_torch(tmp_path / "m.pth", {"a": expanded, "b": empty})
    found = read_torch(tmp_path / "m.pth")
    np.testing.assert_array_equal(found["a"], np.ones((3, 2)))
    assert found["b"].shape == (0, 4)


def test_memory_numbers_of_a_pickle_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "m.pth").write_bytes(b"\x80\x02]r\xff\xff\xff\x7f.")  # stores an empty list under number 2**31 - 1
    with pytest.raises(WeightsError, match="its pickle stores under number 2147483647"):
        read_torch(tmp_path / "m.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "no state dict in it, only a list"),
        ({"epoch": 3, "args": {}}, "no state dict in it, only the keys epoch, args"),
        ({}, "no state dict in it, only the keys nothing"),
    ],
)
def test_a_checkpoint_without_a_state_dict_says_what_it_has(content: object, message: str, tmp_path: Path, write_torch: Any) -> None:
    write_torch(tmp_path / "m.pth", content)
    with pytest.raises(WeightsError, match=message):
        read_torch(tmp_path / "m.pth")


def test_other_files_are_no_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    with pytest.raises(WeightsError, match="no such checkpoint"):
        read_torch(path)
    with pytest.raises(WeightsError, match="cannot be read: Is a directory"):
        read_torch(tmp_path)
    for content in (b"", b"\x89HDF\r\n\x1a\n" + bytes(100), b"<html>not found</html>", pickle.dumps({"a": 1})):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="not a PyTorch checkpoint"):
            read_torch(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("nnp_version.txt", "0.1")
    with pytest.raises(WeightsError, match=r"a zip file without data\.pkl, with nnp_version\.txt"):
        read_torch(path)


def test_of_several_state_dicts_the_plain_one_is_taken_and_that_is_said(
    tmp_path: Path, write_torch: Any, tensor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for average, own in (("state_dict_ema", "state_dict"), ("params_ema", "params")):
        caplog.clear()
        write_torch(tmp_path / "m.pth", {average: {"a": tensor(COUNT)}, own: state(tensor)})
        with caplog.at_level("INFO"):
            assert len(read_torch(tmp_path / "m.pth")) == 2
            read_torch_shapes(tmp_path / "m.pth")
        assert caplog.messages == [f"{tmp_path / 'm.pth'}: has parameters as '{own}', '{average}': '{own}' is taken"]


@pytest.mark.parametrize("write_torch", ["zip"], indirect=True)
def test_a_zip_without_its_end_is_said_to_be_cut_off(tmp_path: Path, tensor: Any, write_torch: Any) -> None:
    write_torch(tmp_path / "m.pth", state(tensor))
    content = (tmp_path / "m.pth").read_bytes()
    (tmp_path / "m.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(
        WeightsError, match=r"m\.pth: not a PyTorch checkpoint, or a damaged one \(\d+ bytes\): cut off: the table of contents"
    ):
        read_torch(tmp_path / "m.pth")


def test_numpys_scalars_and_types_of_numbers_beside_the_state_dict_are_passed_over(
    tmp_path: Path, write_torch: Any, tensor: Any, torch_name: Any
) -> None:
    content = {
        "best": np.float64(0.5),
        "count": np.int64(3),
        "bytes": b"\x00\xff",
        "dtype": torch_name("torch", "float32", None),
        "state_dict": state(tensor),
    }
    write_torch(tmp_path / "m.pth", content)
    assert len(read_torch(tmp_path / "m.pth")) == 2


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("_codecs", "decode"),
        ("codecs", "encode"),
        ("numpy", "load"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("torch", "float32.__class__"),
    ],
)
def test_what_is_like_an_inert_value_is_refused(
    module: str, name: str, tmp_path: Path, write_torch: Any, tensor: Any, torch_name: Any
) -> None:
    write_torch(tmp_path / "m.pth", {"state_dict": state(tensor), "x": torch_name(module, name, ("x",))})
    with pytest.raises(WeightsError, match=rf"refused: its pickle asks for '{module}\.{name}'"):
        read_torch(tmp_path / "m.pth")


def test_dictionaries_within_each_other_end(tmp_path: Path, write_torch: Any) -> None:
    content: dict[str, Any] = {}
    for _ in range(40):
        content = dict.fromkeys(WRAPPERS, content)
    write_torch(tmp_path / "m.pth", content)
    with pytest.raises(WeightsError, match="no state dict in it, only the keys state_dict, model_state_dict"):
        read_torch(tmp_path / "m.pth")


def test_what_is_called_like_a_state_dict_and_is_none_is_passed_over(
    tmp_path: Path, write_torch: Any, tensor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    write_torch(tmp_path / "m.pth", {"model": {"name": "dla"}, "params": {"lr": 0.1}, "ema": {"state_dict": state(tensor)}})
    with caplog.at_level("INFO"):
        assert len(read_torch(tmp_path / "m.pth")) == 2
    assert caplog.messages == []
