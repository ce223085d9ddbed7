from __future__ import annotations

import nnabla as nn
import numpy as np
import onnxruntime
import openvino
import pytest

from centernet.export.onnx import to_onnx
from centernet.export.onnx.model import CONVERTERS
from centernet.structures import Array
from centernet.tasks.ctdet.decode import decode_centers, read_decoded
from centernet.tasks.ctdet.graph import decode_graph


def maps_of(shape: tuple[int, int, int, int], seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    batch, _, rows, columns = shape
    heatmap = rng.permutation(np.linspace(-6, 6, int(np.prod(shape)))).reshape(shape)  # no two scores are equal
    size, offset = (rng.random((batch, 2, rows, columns)) for _ in range(2))
    return {name: array.astype(np.float32) for name, array in (("heatmap", heatmap), ("size", size), ("offset", offset))}


def graph_of(maps: dict[str, Array], k: int, *, flipped: bool = False) -> dict[str, nn.Variable]:
    fed = {name: nn.Variable.from_numpy_array(array) for name, array in maps.items()}
    return decode_graph(fed, k=k, stride=4, layout="nchw", flipped=flipped)


@pytest.mark.parametrize(("shape", "k"), [((2, 3, 8, 6), 10), ((1, 5, 3, 2), 8), ((1, 1, 1, 1), 1), ((1, 2, 33, 47), 100)])
def test_the_graph_equals_the_arrays_where_there_are_maxima(shape: tuple[int, int, int, int], k: int) -> None:
    maps = maps_of(shape)
    graph = graph_of(maps, k)
    assert {name: variable.shape for name, variable in graph.items()} == {
        "boxes": (shape[0], k, 4),
        "scores": (shape[0], k),
        "class_ids": (shape[0], k),
    }
    nn.forward_all(list(graph.values()))
    found = read_decoded({name: variable.d for name, variable in graph.items()})
    for one, other in zip(found, decode_centers(maps, k=k, stride=4), strict=True):
        peaks = np.count_nonzero(other.scores)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
        np.testing.assert_allclose(one.boxes[:peaks], other.boxes[:peaks], atol=1e-4)
        np.testing.assert_array_equal(one.class_ids[:peaks], other.class_ids[:peaks])


def test_cells_of_a_large_map_are_found_where_they_are() -> None:
    columns = 82  # in float32, 82 * (1 / 82) is below 1
    peaks = [row * columns + x for row in range(0, columns, 2) for x in (0, 40, 81)]  # no two are neighbours
    maps = {"heatmap": np.full((1, 1, columns, columns), -9, np.float32)}
    maps["heatmap"].reshape(-1)[peaks] = np.linspace(9, 1, len(peaks))
    maps |= {name: np.zeros((1, 2, columns, columns), np.float32) for name in ("size", "offset")}
    boxes = graph_of(maps, len(peaks))["boxes"]
    boxes.forward()
    expected = [[4 * (cell % columns), 4 * (cell // columns)] * 2 for cell in peaks]
    np.testing.assert_array_equal(boxes.d[0], expected)


@pytest.mark.parametrize("k", [0, 25])
def test_k_out_of_range_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 24"):
        graph_of(maps_of((1, 2, 3, 4)), k)


def test_an_odd_number_of_images_has_no_mirror_images() -> None:
    with pytest.raises(ValueError, match="mirror"):
        graph_of(maps_of((3, 2, 3, 4)), 4, flipped=True)


@pytest.mark.parametrize("flipped", [False, True])
def test_the_exporter_knows_every_function_of_the_graph(flipped: bool) -> None:
    used: set[str] = set()
    for variable in graph_of(maps_of((2, 2, 8, 8)), 4, flipped=flipped).values():
        variable.visit(lambda function: used.add(function.info.type_name))
    assert used <= set(CONVERTERS)


def other_maps(form: str, shape: tuple[int, int, int, int] = (2, 3, 8, 8), seed: int = 0) -> dict[str, Array]:
    """Of distances, or of a size for each class."""
    rng = np.random.default_rng(seed)
    channels = {"ltrb": 4} if form == "ltrb" else {"size": 2 * shape[1], "offset": 2}
    told = {name: rng.uniform(0, 9, (shape[0], count, *shape[2:])).astype(np.float32) for name, count in channels.items()}
    return {"heatmap": rng.normal(size=shape).astype(np.float32), **told}


@pytest.mark.parametrize("form", ["ltrb", "per_class"])
@pytest.mark.parametrize("flipped", [False, True])
def test_the_exporter_knows_every_function_of_the_other_forms(form: str, flipped: bool) -> None:
    used: set[str] = set()
    for variable in graph_of(other_maps(form), 4, flipped=flipped).values():
        variable.visit(lambda function: used.add(function.info.type_name))
    assert used <= set(CONVERTERS)


@pytest.mark.parametrize("form", ["ltrb", "per_class"])
def test_openvino_and_onnxruntime_decode_the_other_forms_as_the_arrays_do(form: str) -> None:
    maps, k = other_maps(form), 6
    fed = {name: nn.Variable(array.shape) for name, array in maps.items()}
    graph = decode_graph(fed, k=k, stride=4, layout="nchw")
    model = to_onnx(graph, fed).SerializeToString()
    runtime = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    compiled = openvino.compile_model(openvino.Core().read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answers = dict(zip(graph, runtime.run(list(graph), maps), strict=True)), {name: compiled(maps)[name] for name in graph}
    for answer in answers:
        for one, other in zip(read_decoded(answer), decode_centers(maps, k=k, stride=4), strict=True):
            np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
            np.testing.assert_array_equal(one.class_ids, other.class_ids)
