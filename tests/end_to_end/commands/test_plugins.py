"""A package of a user's own with a backbone, a data set and a task: trained, tested, drawn and exported, and what is said without it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.data.rendering import OUTLINES, draw_scene
from centernet.imaging.io import write_image

LIBRARY = Path(__file__).parent / "lib"


def write_lines(root: Path) -> Path:
    """A data set in the plug-in's format: 8 scenes to train, 4 to validate, 64x64."""
    root.mkdir()
    for split, count in (("train", 8), ("val", 4)):
        lines = []
        for number in range(count):
            image, boxes, class_ids = draw_scene(np.random.default_rng((number, count)), size=64, num_objects=len(OUTLINES))
            class_ids = np.arange(len(OUTLINES))  # every class in every split
            write_image(root / f"{split}{number}.png", image)
            for box, class_id in zip(boxes, class_ids, strict=False):
                lines.append(f"{split}{number}.png {list(OUTLINES)[class_id]} {' '.join(map(str, box))}")
        (root / f"{split}.txt").write_text("\n".join(lines))
    return root


def experiment(**train: Any) -> dict[str, Any]:
    return {
        "task": {"name": "minnow:soft", "square_weight": 0.5, "loss": {"boxes": "minnow.losses:square"}},
        "data": {"dataset": {"name": "minnow.lines:Lines"}, "input_size": [64, 64], "workers": 1},
        "model": {
            "backbone": {"name": "minnow:plain", "channels": 8},
            "neck": {"name": "deconv", "width": 0.125},
            "head": {"name": "conv", "hidden_channels": 8},
            "pretrained_model_dir": None,
        },
        "train": {"epochs": 2, "global_batch_size": 4, "schedule": {"base_lr": 1e-3}, "validate_every": 1, "save_every": 1, **train},
    }


@dataclass(frozen=True)
class Trained:
    """A training with the package, and its best model."""

    data: Path
    config: Path
    output: Path

    @property
    def model(self) -> Path:
        return self.output / "checkpoints" / "params_best.h5"


def forget_package() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "minnow"]:
        del sys.modules[name]


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package where Python, and every Python that this one starts, finds it."""
    monkeypatch.setenv("PYTHONPATH", str(LIBRARY))
    monkeypatch.syspath_prepend(str(LIBRARY))
    yield
    forget_package()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, run_quietly: Callable[..., int]) -> Trained:
    folder = tmp_path_factory.mktemp("minnow")
    found = Trained(data=write_lines(folder / "data"), config=folder / "minnow.yaml", output=folder / "out")
    found.config.write_text(json.dumps(experiment()))
    sys.path.insert(0, str(LIBRARY))
    try:
        assert run_quietly("train", "--train-config", found.config, "--data_dir", found.data, "-o", found.output) == 0
    finally:
        sys.path.remove(str(LIBRARY))
        forget_package()
    return found


def test_a_package_of_ones_own_is_trained(trained: Trained) -> None:
    """In this process, whose path the workers are given too."""
    columns = (trained.output / "metrics.csv").read_text().splitlines()[0].split(",")
    assert "square" in columns
    assert "minnow.lines:Lines" in (trained.output / "config.yaml").read_text()


@pytest.mark.usefixtures("package")
def test_it_is_tested_drawn_shown_and_exported(trained: Trained, centernet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ("--data_dir", trained.data)
    assert "AP" in centernet("test", "minnow:soft", "--checkpoint", trained.model, *data, "-o", tmp_path / "test").out
    centernet("demo", "--checkpoint", trained.model, "--demo", trained.data / "val0.png", "-o", tmp_path / "demo")
    assert (tmp_path / "demo" / "val0.jpg").is_file()
    centernet("data", "show", trained.config, *data, "-o", tmp_path / "show", "--samples", 2)
    centernet("export", trained.model, "--decode", "-o", tmp_path / "minnow.onnx")
    centernet("demo", "--checkpoint", tmp_path / "minnow.onnx", "--demo", trained.data / "val0.png", "-o", tmp_path / "again")
    centernet("export", trained.model)
    (folder,) = (tmp_path / "exp").iterdir()
    assert folder.name.startswith("soft_Lines_plain_deconv")
    assert (folder / "plain_deconv.nnp").is_file()

    monkeypatch.setattr(sys, "path", [part for part in sys.path if part != str(LIBRARY)])
    forget_package()
    for name in (tmp_path / "minnow.onnx", folder / "plain_deconv.nnp"):
        said = centernet("demo", "--checkpoint", name, "--demo", trained.data / "val0.png", code=2).err
        assert f"error: {name}" in said
        assert "Python finds no module 'minnow'" in said


@pytest.mark.usefixtures("package")
def test_a_program_builds_trains_and_loads_it_too(trained: Trained, tmp_path: Path) -> None:
    import centernet

    settings = {"train.epochs": 1, "data.workers": 0}
    training = centernet.Trainer(trained.config, data_dir=trained.data, settings=settings, output=tmp_path / "out").fit()
    network = centernet.build(trained.config, data_dir=trained.data, parameters=training.parameters)
    outputs = network(np.zeros((1, 64, 64, 3), np.uint8))
    assert [len(found) for found in network.decode(outputs, k=3)] == [3]
    assert 0 <= centernet.evaluate(training.parameters, data_dir=trained.data)["AP"] <= 1
    assert len(centernet.load(training.parameters, k=3).predict(trained.data / "val0.png")) == 3


@pytest.mark.usefixtures("package")
def test_another_task_than_the_typed_one_is_refused(trained: Trained, centernet: Any) -> None:
    said = centernet("test", "ctdet", "--checkpoint", trained.model, code=2).err
    assert "task 'ctdet' was asked for, but" in said
    assert "is for task 'minnow:soft'" in said


@pytest.mark.parametrize("what", ["test", "demo", "export", "train"])
def test_without_the_package_it_is_said_which_is_missing_and_where_it_was_named(
    trained: Trained, centernet: Any, tmp_path: Path, what: str
) -> None:
    words = {
        "test": ["--checkpoint", trained.model, "--data_dir", trained.data],
        "demo": ["--checkpoint", trained.model, "--demo", trained.data / "val0.png"],
        "export": [trained.model],
        "train": ["--train-config", trained.config, "--data_dir", trained.data],
    }
    said = centernet(what, *words[what], code=2).err
    where = trained.config if what == "train" else trained.model
    assert f"error: {where}" in said
    assert "model.backbone: backbones: 'minnow:plain': Python finds no module 'minnow'" in said
    assert "task: tasks: 'minnow:soft': Python finds no module 'minnow'" in said
    assert "PYTHONPATH" in said
    assert not (tmp_path / "exp").exists()


@pytest.mark.usefixtures("package")
def test_loader_processes_of_every_kind_find_the_package(trained: Trained, centernet: Any, tmp_path: Path) -> None:
    words = ["--train-config", trained.config, "--data_dir", trained.data, "--num_epochs", 1, "--set", "train.validate_ap=false"]
    centernet("train", *words, "-o", tmp_path / "spawn", "--set", "data.start_method=spawn")
    assert (tmp_path / "spawn" / "checkpoints" / "params_0.h5").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("package")
def test_processes_that_train_together_find_the_package(trained: Trained, script: Any, tmp_path: Path) -> None:
    words = ["--train-config", trained.config, "--data_dir", trained.data, "--set", "train.validate_ap=false"]
    script("main.py", *words, "-o", tmp_path / "mpi", processes=2)
    script("main.py", *words, "-o", tmp_path / "own", "--processes", 2)
    for name in ("mpi", "own"):
        assert (tmp_path / name / "checkpoints" / "params_1.h5").is_file()


def test_a_package_that_is_only_on_the_path_of_a_program_is_found_by_its_workers(trained: Trained, tmp_path: Path) -> None:
    """As in a notebook: the environment says nothing of it."""
    program = tmp_path / "program.py"
    program.write_text(
        f"import sys\nsys.path.insert(0, {str(LIBRARY)!r})\n"
        "import centernet\n"
        "if __name__ == '__main__':\n"
        f"    data = centernet.DataModule({str(trained.config)!r}, data_dir={str(trained.data)!r})\n"
        "    with data.train_loader() as loader:\n"
        "        print(sum(len(batch.names) for batch in loader.epoch(0)))\n"
    )
    ended = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (ended.returncode, ended.stdout.strip()) == (0, "8"), ended.stderr
