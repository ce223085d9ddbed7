"""The programs of docs/deploy.md, run as written, find what this package finds; the C runtime's format can be made as written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import centernet
from centernet.data.rendering import draw_scene
from centernet.experiment import published
from centernet.experiment.assembly import Assembly, from_description
from centernet.experiment.choice import Choice
from centernet.experiment.export import SUFFIXES, export
from centernet.imaging.io import write_image

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "deploy.md").read_text()
PROGRAMS = dict(re.findall(r"```python\n# (detect_\w+)\.py\n(.*?)```", PAGE, re.DOTALL))
FORMATS = {"detect_onnxruntime": "onnx", "detect_openvino": "openvino", "detect_nnabla": "nnp"}
SIZE = (64, 96)
LOWEST = 0.05


@pytest.fixture(scope="module")
def assembly() -> Assembly:
    """A narrow ResNet-18 for VOC's classes with random parameters whose boxes and scores differ."""
    chosen = Choice(task="ctdet", words={"dataset": "pascal", "arch": "resnet", "num_layers": 18}, input_size=SIZE)
    described = published.describe(chosen)
    for part in ("backbone", "neck"):
        described.experiment["model"][part]["width"] = 0.125
    made = from_description(described, source="the test")
    rng = np.random.default_rng(3)
    for name, variable in made.network.parameters().items():
        values = rng.normal(size=variable.shape)
        if name.endswith("/W"):
            last = 0.2 if name.startswith(("hm_final", "wh_final", "reg_final")) else 1.0
            variable.d = values * last * np.sqrt(2 / np.prod(variable.shape[1:]))
        elif name.endswith(("/gamma", "/var")):
            variable.d = 1 + 0.1 * abs(values)
        else:
            variable.d = 0.05 * values + {"wh_final": 5.0, "hm_final": -2.0}.get(name.split("/")[0], 0.0)
    return made


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "scene.png"
    write_image(path, draw_scene(np.random.default_rng(1), size=150, num_objects=5)[0][:110])
    return path


def run(*words: object, folder: Path, code: int = 0) -> str:
    """What a program says in a process of its own that cannot import this package: to stderr where it ends with an error."""
    (folder / "centernet.py").write_text("raise ImportError('a deployed program must not need this package')\n")
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run([str(word) for word in words], env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout if code == 0 else ended.stderr


def test_every_runtime_has_its_program() -> None:
    assert PROGRAMS.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", FORMATS)
def test_a_program_finds_what_the_package_finds(name: str, assembly: Assembly, picture: Path, tmp_path: Path) -> None:
    program, model = tmp_path / f"{name}.py", tmp_path / f"model{SUFFIXES[FORMATS[name]]}"
    program.write_text(PROGRAMS[name])
    export(assembly, model, format=FORMATS[name], decode=True, k=30)
    expected = centernet.load(model, precision="float32").predict(picture).above(LOWEST)
    assert len(expected) > 3

    lines = [line.split("\t") for line in run(sys.executable, program, model, picture, LOWEST, folder=tmp_path).splitlines()]
    found = [line for line in lines if len(line) == 6]  # NNabla greets
    assert [line[0] for line in found] == [assembly.description.class_names[i] for i in expected.class_ids]
    numbers = np.array([[float(number) for number in line[1:]] for line in found])
    np.testing.assert_allclose(numbers[:, 0], expected.scores, atol=2e-4)
    np.testing.assert_allclose(numbers[:, 1:], expected.boxes, atol=0.02)


@pytest.mark.parametrize("name", FORMATS)
def test_a_program_says_in_a_sentence_what_it_cannot_use(name: str, assembly: Assembly, picture: Path, tmp_path: Path) -> None:
    program, model = tmp_path / f"{name}.py", tmp_path / f"model{SUFFIXES[FORMATS[name]]}"
    program.write_text(PROGRAMS[name])
    export(assembly, model, format=FORMATS[name])
    missing = tmp_path / "missing.png"
    for words, sentence in (
        ((model, missing), f"{missing}: there is no such file"),
        ((model, picture), f"{model}: holds raw heads; this program is for files exported with --decode"),
    ):
        assert run(sys.executable, program, *words, folder=tmp_path, code=1).splitlines()[-1] == sentence
    assert "Traceback" not in run(sys.executable, program, model, picture, folder=tmp_path, code=1)


def test_an_image_that_is_none_ends_in_a_sentence(assembly: Assembly, tmp_path: Path) -> None:
    program, model, text = tmp_path / "detect.py", tmp_path / "model.onnx", tmp_path / "text.png"
    program.write_text(PROGRAMS["detect_onnxruntime"])
    text.write_text("no image")
    export(assembly, model, format="onnx", decode=True, k=3)
    assert run(sys.executable, program, model, text, folder=tmp_path, code=1).splitlines()[-1] == f"{text}: cannot be read as an image"


@pytest.mark.parametrize("decode", [True, False], ids=["decode", "raw"])
def test_names_types_and_shapes_are_those_of_the_page(assembly: Assembly, tmp_path: Path, decode: bool) -> None:
    column = 1 if decode else 2
    table = re.search(r"^\| \| with `--decode` \| without \|\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert table is not None
    cells = [line.strip("| ").split(" | ")[-3 + column :][0] for line in table[1].replace("| | ", "| same | ").splitlines()]
    sizes = {"B": 2, "K": 5, "C": 20, "H": SIZE[0], "W": SIZE[1], "H/s": SIZE[0] // 4, "W/s": SIZE[1] // 4}
    told = {}
    for cell in cells:
        name, dtype, shape = re.match(r"`(\w+)`.*?, (\w+) \(([^)]*)\)", cell).groups()  # type: ignore[union-attr]
        told[name] = (dtype, tuple(sizes.get(axis) or int(axis) for axis in shape.split(", ")))
    import onnxruntime
    import openvino

    (name, (dtype, shape)), *outputs = told.items()
    image = np.zeros(shape, dtype)
    export(assembly, tmp_path / "a.onnx", format="onnx", decode=decode, k=5)
    session = onnxruntime.InferenceSession(str(tmp_path / "a.onnx"), providers=["CPUExecutionProvider"])
    assert [entry.name for entry in session.get_inputs()] == [name]
    names = [output.name for output in session.get_outputs()]
    by_onnx = dict(zip(names, session.run(names, {name: image}), strict=True))
    export(assembly, tmp_path / "a.xml", format="openvino", decode=decode, k=5)
    found = openvino.compile_model(str(tmp_path / "a.xml"), "CPU")({name: image})
    by_openvino = {output.get_any_name(): array for output, array in found.items()}
    for arrays in (by_onnx, by_openvino):
        assert {key: (str(array.dtype), array.shape) for key, array in arrays.items()} == dict(outputs)


@pytest.fixture
def nnabla_cli(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def call(*words: object) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("nnabla_cli")), *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240)

    return call


def test_an_nnp_with_raw_heads_becomes_the_c_runtimes_format_as_written(
    assembly: Assembly, nnabla_cli: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (command,) = re.findall(r"^nnabla_cli (convert .*)$", PAGE, re.MULTILINE)
    export(assembly, tmp_path / "raw.nnp", format="nnp")
    ended = nnabla_cli(*command.split())
    assert ended.returncode == 0, ended.stderr
    parameters = sum(variable.size for variable in assembly.network.parameters().values())
    assert (tmp_path / "raw.nnb").stat().st_size > 4 * 0.9 * parameters


def test_decoding_is_beyond_the_c_runtime_as_written(
    assembly: Assembly, nnabla_cli: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    export(assembly, tmp_path / "model.nnp", format="nnp", decode=True, k=5)
    ended = nnabla_cli("convert", "model.nnp", "model.nnb")
    (said,) = re.findall(r"`(Gather\(\) is not supported)`", PAGE.replace("\n", " "))
    assert said in ended.stdout + ended.stderr
    assert not (tmp_path / "model.nnb").exists()
