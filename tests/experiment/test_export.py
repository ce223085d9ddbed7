"""Every form of ONNX file: valid, and of an opset that runtimes know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from centernet.experiment import published
from centernet.experiment.assembly import Assembly, from_description
from centernet.experiment.choice import Choice
from centernet.experiment.export import export
from centernet.structures import Array

SIZE = (64, 96)
NEWEST = 20
FORMS: dict[str, dict[str, Any]] = {
    "heads": {},
    "decoded": {"decode": True},
    "open size": {"dynamic": True},
    "decoded, open size": {"decode": True, "dynamic": True},
    **{
        f"{precision}{', decoded' if decode else ''}": {"precision": precision, "decode": decode}
        for precision in ("float16", "bfloat16", "int8")
        for decode in (False, True)
    },
    "float16, decoded, open size": {"precision": "float16", "decode": True, "dynamic": True},
    "bfloat16, open size": {"precision": "bfloat16", "dynamic": True},
    "int8, decoded, open size": {"precision": "int8", "decode": True, "dynamic": True},
    "operator": {"deform": "operator"},
    "operator, decoded, open size": {"deform": "operator", "decode": True, "dynamic": True},
    "operator, float16, decoded": {"deform": "operator", "precision": "float16", "decode": True},
    "operator, bfloat16": {"deform": "operator", "precision": "bfloat16"},
}


def network(arch: str) -> Assembly:
    chosen = Choice(task="ctdet", words={"dataset": "pascal", "arch": arch, "num_layers": 18, "head_conv": 8}, input_size=SIZE)
    described = published.describe(chosen)
    for part in ("backbone", "neck"):
        described.experiment["model"][part]["width"] = 0.0625
    made = from_description(described, source="the test")
    made.network.parameters()
    return made


def calibration(*, decode: bool) -> list[Array]:
    rng = np.random.default_rng(0)
    if decode:
        return [rng.integers(0, 256, (1, *SIZE, 3), np.uint8)]
    return [rng.normal(size=(1, 3, *SIZE)).astype(np.float32)]


@pytest.mark.parametrize(
    ("arch", "form"),
    [
        pytest.param(arch, form, marks=[pytest.mark.slow] if "int8" in form or "open size" in form else [])
        for form in FORMS
        for arch in ("resdcn", "resnet")
        if arch == "resdcn" or ("operator" not in form and "float16" not in form)
    ],
)
def test_an_onnx_file_of_any_form_is_valid_and_of_opset_20_or_less(arch: str, form: str, tmp_path: Path) -> None:
    options = FORMS[form]
    batches: list[Array] = []
    if options.get("precision") == "int8":
        pytest.importorskip("nncf")
        batches = calibration(decode=options.get("decode", False))
    path = export(network(arch), tmp_path / "a.onnx", format="onnx", k=20, calibration=batches, **options)
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path)
    domains = {entry.domain: entry.version for entry in model.opset_import}
    assert domains.keys() <= {"", "ai.onnx"}, "operators of a runtime's own"
    assert all(13 <= version <= NEWEST for version in domains.values()), domains
    operators = {node.op_type for node in model.graph.node}
    assert ("DeformConv" in operators) == (options.get("deform") == "operator")
    assert ("GridSample" in operators) == (arch == "resdcn" and "deform" not in options)
    assert ("QuantizeLinear" in operators) == (options.get("precision") == "int8")
