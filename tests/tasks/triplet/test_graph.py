from __future__ import annotations

import nnabla as nn
import numpy as np
import onnxruntime
import openvino
import pytest

from centernet.export.onnx import to_onnx
from centernet.export.onnx.model import CONVERTERS
from centernet.structures import Array, Detections, Grid
from centernet.tasks.triplet.decode import decode_triplets, read_decoded
from centernet.tasks.triplet.graph import decode_graph
from centernet.tasks.triplet.targets import CORNERS, POINTS

GRID = Grid(63, 96)  # 16 x 24 cells


def maps_of(batch: int, classes: int = 3, cells: tuple[int, int] = GRID.cells) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    maps = {f"{point}_heat": rng.normal(-1, 1, (batch, classes, *cells)) for point in POINTS}
    maps |= {f"{point}_tag": rng.normal(size=(batch, 1, *cells)) for point in CORNERS}
    maps |= {f"{point}_regr": rng.random((batch, 2, *cells)) for point in POINTS}
    return {name: array.astype(np.float32) for name, array in maps.items()}


def graph_of(
    fed: dict[str, nn.Variable], *, k: int = 20, grid: Grid = GRID, corners: int = 30, flipped: bool = False
) -> dict[str, nn.Variable]:
    return decode_graph(fed, k=k, grid=grid, layout="nchw", corners=corners, ae_threshold=0.5, flipped=flipped)


def assert_same(found: list[Detections], expected: list[Detections]) -> None:
    assert any(len(one) for one in expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
        np.testing.assert_array_equal(one.class_ids, other.class_ids)
        np.testing.assert_allclose(one.corner_scores, other.corner_scores, atol=1e-6)


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("grid", [GRID, Grid(255, 128)])
def test_the_graph_equals_the_arrays(grid: Grid, flipped: bool) -> None:
    maps = maps_of(2, cells=grid.cells)
    graph = graph_of({name: nn.Variable.from_numpy_array(array) for name, array in maps.items()}, grid=grid, flipped=flipped)
    n, images = (2 * 900, 1) if flipped else (900, 2)
    shapes = {"boxes": (images, n, 4), "scores": (images, n), "class_ids": (images, n), "corner_scores": (images, n, 2)}
    assert {name: variable.shape for name, variable in graph.items()} == shapes
    nn.forward_all(list(graph.values()))
    assert (np.diff(graph["scores"].d, axis=1) <= 0).all()
    found = read_decoded({name: variable.d for name, variable in graph.items()})
    assert_same(found, decode_triplets(maps, k=20, grid=grid, corners=30, ae_threshold=0.5, flipped=flipped))


def test_maps_with_fewer_peaks_than_are_looked_at_hold_no_more_objects() -> None:
    maps = {name: np.full_like(array, -9) if name.endswith("heat") else array * 0 for name, array in maps_of(1, 1).items()}
    for name, y, x in (("tl_heat", 3, 2), ("br_heat", 9, 12), ("ct_heat", 6, 7)):
        rows, columns = np.indices(GRID.cells)
        maps[name][0, 0] -= np.hypot(rows - y, columns - x)  # one hill, one peak
        maps[name][0, 0, y, x] = 2
    graph = graph_of({name: nn.Variable.from_numpy_array(array) for name, array in maps.items()})
    nn.forward_all(list(graph.values()))
    (found,) = read_decoded({name: variable.d for name, variable in graph.items()})
    np.testing.assert_allclose(found.boxes, [[8, 3 * 63 / 16, 48, 9 * 63 / 16]], atol=1e-4)
    assert_same([found], decode_triplets(maps, k=20, grid=GRID, corners=30, ae_threshold=0.5))


def test_more_detections_than_usual_are_decoded_where_they_are_asked_for() -> None:
    fed = {name: nn.Variable(array.shape) for name, array in maps_of(1).items()}
    assert [graph_of(fed, k=k, corners=40)["scores"].shape[1] for k in (1, 1000, 1200, 5000)] == [1000, 1000, 1200, 1600]


def test_an_odd_number_of_images_has_no_mirror_images() -> None:
    with pytest.raises(ValueError, match="mirror"):
        graph_of({name: nn.Variable(array.shape) for name, array in maps_of(3).items()}, flipped=True)


@pytest.mark.parametrize("flipped", [False, True])
def test_openvino_and_onnxruntime_decode_as_the_arrays_do(flipped: bool) -> None:
    maps = maps_of(2)
    fed = {name: nn.Variable(array.shape) for name, array in maps.items()}
    graph, used = graph_of(fed, flipped=flipped), set()
    for variable in graph.values():
        variable.visit(lambda function: used.add(function.info.type_name))
    assert used <= set(CONVERTERS)
    model = to_onnx(graph, fed).SerializeToString()
    runtime = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    compiled = openvino.compile_model(openvino.Core().read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    expected = decode_triplets(maps, k=20, grid=GRID, corners=30, ae_threshold=0.5, flipped=flipped)
    assert_same(read_decoded(dict(zip(graph, runtime.run(list(graph), maps), strict=True))), expected)
    answer = compiled(maps)
    assert_same(read_decoded({name: answer[name] for name in graph}), expected)
