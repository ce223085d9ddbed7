from __future__ import annotations

import nnabla as nn
import nnabla.functions as F
import numpy as np
import pytest

from centernet.errors import ExportError
from centernet.export.onnx import to_onnx

# All with an open batch: their outputs start with it.
FUNCTIONS = {
    "reshape": lambda x: F.reshape(x, (x.shape[0], 3, -1)),
    "transpose": lambda x: F.transpose(x, (0, 2, 3, 1)),
    "slice": lambda x: x[:, 1:3, ::2, 1:11:3],
    "slice of everything": lambda x: F.slice(x, start=(0, 0, 0, 0), stop=x.shape, step=(1, 1, 1, 1)),
    "slice of the last axes": lambda x: F.slice(x, (1, 0, 0), (3, 8, 12), (1, 1, 1)),
    "concatenate": lambda x: F.concatenate(x, F.exp(x), axis=1),
    "stack": lambda x: F.stack(x, F.exp(x), axis=2),
    "pad": lambda x: F.pad(x, (0, 1, 0, 0, 2, 3), constant_value=0.5),
    "maximum": lambda x: F.max(x, axis=(1, 3)),
    "maximum with its axis": lambda x: F.max(x, axis=2, keepdims=True),
    "mean": lambda x: F.mean(x, axis=(2, 3)),
    "mean with its axes": lambda x: F.mean(x, axis=(1, 2), keepdims=True),
    "broadcast": lambda x: F.broadcast(x[:, :1], (x.shape[0], 5, *x.shape[2:])),
    "gather along an axis": lambda x: F.gather(x, nn.Variable.from_numpy_array(np.array([1, 0, 2, 1])), axis=2),
    "constant": lambda x: x + F.constant(0.5, (1, 3, 1, 1)),
    "arange": lambda x: x + F.reshape(F.arange(2, 26, 2), (1, 1, 1, 12)),
    "merged batch": lambda x: F.reshape(F.reshape(x, (x.shape[0] * 3, 8, 12)) * 2.0, x.shape),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dynamic_batch", [True, False])
def test_an_indexing_function_gives_the_same_numbers(name, dynamic_batch, agree, image) -> None:
    agree(lambda x: {"y": FUNCTIONS[name](x)}, image, dynamic_batch=dynamic_batch)


@pytest.mark.parametrize("base_axis", [1, 2])
def test_top_k_gives_the_same_values_and_places(base_axis, agree, image) -> None:
    def build(x: nn.Variable) -> dict[str, nn.Variable]:
        values, places = F.top_k_data(x, 7, base_axis=base_axis, with_index=True)
        return {"values": values, "places": places}

    found = agree(build, image, dynamic_batch=True)
    flat = image.reshape(*image.shape[:base_axis], -1)
    np.testing.assert_array_equal(found["values"], np.sort(flat, axis=-1)[..., ::-1][..., :7])
    np.testing.assert_array_equal(np.take_along_axis(flat, found["places"].astype(int), -1), found["values"])


def test_top_k_without_places_gives_the_same_values(agree, image) -> None:
    agree(lambda x: {"y": F.top_k_data(x, 4, base_axis=1)}, image)


@pytest.mark.parametrize("options", [{"abs": True}, {"reduce": False}, {"largest": False}])
def test_another_kind_of_top_k_is_refused(options, image) -> None:
    x = nn.Variable(image.shape)
    with pytest.raises(ExportError, match="top_k_data"):
        to_onnx({"y": F.top_k_data(x, 4, base_axis=1, **options)}, {"x": x})


def test_a_maximum_with_its_place_is_refused(image) -> None:
    x = nn.Variable(image.shape)
    with pytest.raises(ExportError, match="without places"):
        to_onnx({"y": F.max(x, axis=2, with_index=True)[0]}, {"x": x})


def test_another_kind_of_padding_is_refused(image) -> None:
    x = nn.Variable(image.shape)
    with pytest.raises(ExportError, match="'reflect' is not exported"):
        to_onnx({"y": F.pad(x, (1, 1), "reflect")}, {"x": x})


def test_top_k_over_more_cells_than_float32_can_count_is_refused() -> None:
    x = nn.Variable((1, 80, 512, 512))
    with pytest.raises(ExportError, match="not exact in float32"):
        to_onnx({"y": F.top_k_data(x, 4, base_axis=1)}, {"x": x})


@pytest.mark.parametrize(("axis", "shape"), [(1, (2, 5)), (2, (2, 5)), (3, (2, 5)), (2, (2, 5, 2)), (1, (2,))])
def test_gather_with_a_batch_axis_gives_the_same_numbers(axis, shape, agree, image) -> None:
    indices = np.random.default_rng(0).integers(0, image.shape[axis], shape)
    agree(lambda x: {"y": F.gather(x, nn.Variable.from_numpy_array(indices), axis=axis, batch_dims=1)}, image)


def test_gather_nd_takes_its_coordinates_from_the_first_axis(agree, image) -> None:
    coordinates = np.array([[0, 1, 1], [2, 0, 1], [7, 3, 3]])
    found = agree(lambda x: {"y": F.gather_nd(x, nn.Variable.from_numpy_array(coordinates))}, image)
    np.testing.assert_array_equal(found["y"], image[tuple(coordinates)])


def test_repeating_along_an_open_batch_is_refused() -> None:
    x, one = nn.Variable((2, 3)), nn.Variable.from_numpy_array(np.ones((1, 3)))
    y = {"y": x + F.broadcast(one, (2, 3))}
    to_onnx(y, {"x": x})
    with pytest.raises(ExportError, match="fixed batch"):
        to_onnx(y, {"x": x}, dynamic_batch=True)
