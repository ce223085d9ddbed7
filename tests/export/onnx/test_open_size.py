from __future__ import annotations

import nnabla as nn
import nnabla.functions as F
import nnabla.parametric_functions as PF
import numpy as np
import onnx
import pytest

from centernet.errors import ExportError
from centernet.export.onnx import to_onnx, with_open_size
from centernet.inference.openvino_session import OpenVinoSession
from centernet.inference.session import NnablaSession, OnnxRuntimeSession
from centernet.models.corner_pool import swept_maximum
from centernet.models.ops import Ops

UNIT = 8


def pooled_places(x: nn.Variable) -> dict[str, nn.Variable]:
    """A map, and where it is largest: reshapes, and a row from a place, all of which depend on the size."""
    maps = PF.convolution(x, 2, (3, 3), stride=(2, 2), pad=(1, 1), name="conv")
    batch, _, _, columns = maps.shape
    values, places = F.top_k_data(F.reshape(maps, (batch, -1)), 3, base_axis=1, with_index=True)
    rows = F.floor((places + 0.5) * (1.0 / columns))
    return {"maps": maps, "values": values, "rows": rows, "shifted": places - float(columns)}


def opened(build, *, base=(8, 8)) -> onnx.ModelProto:
    def write(size):
        x = nn.Variable((1, 3, *size))
        with nn.auto_forward(False):
            return to_onnx(build(x), {"image": x}, dynamic_batch=True, metadata={"note": "kept"})

    return with_open_size(write, input_name="image", axes=(2, 3), unit=UNIT, base=base)


def shape_of(value: onnx.ValueInfoProto) -> list[int | str]:
    return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (2, 3, 8, 40), (1, 3, 48, 16)])
def test_any_size_gives_what_the_graph_for_that_size_gives(shape) -> None:
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    model = opened(pooled_places).SerializeToString()
    expected = NnablaSession(pooled_places).run(image)
    for session in (OnnxRuntimeSession(model), OpenVinoSession(model)):
        found = session.run(image)
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, atol=1e-5, err_msg=f"{session.summary}: {name}")


def test_the_axes_say_what_they_depend_on_and_the_texts_are_kept() -> None:
    model = opened(pooled_places)
    assert shape_of(model.graph.input[0]) == ["batch", 3, "height", "width"]
    assert {value.name: shape_of(value) for value in model.graph.output} == {
        "maps": ["batch", 2, "height/2", "width/2"],
        "values": ["batch", 3],
        "rows": ["batch", 3],
        "shifted": ["batch", 3],
    }
    assert [(entry.key, entry.value) for entry in model.metadata_props] == [("note", "kept")]


def test_what_depends_on_the_size_in_another_way_is_refused() -> None:
    with pytest.raises(ExportError, match="depends on the input size in a way that cannot stay open"):
        opened(lambda x: {"y": x * float(x.shape[2]) ** 2})


def test_another_operation_for_another_size_is_refused() -> None:
    with pytest.raises(ExportError, match="export for one size, without --dynamic"):
        opened(lambda x: {"y": F.pad(x, (0, x.shape[3] // 8)) if x.shape[3] > 8 else F.relu(x)})


def test_more_operations_for_a_larger_size_are_refused() -> None:
    def pooled(x: nn.Variable) -> dict[str, nn.Variable]:
        return {"pooled": swept_maximum(x, Ops(), "down")}

    with pytest.raises(ExportError, match=r"takes 15 to 25 steps, depending on the input size, .* without --dynamic"):
        opened(pooled)
