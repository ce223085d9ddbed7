"""An export that is proved before it is delivered: written, compared with the network, and only then put in its place."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from centernet.data.datasets.base import DetectionDataset, data_folder
from centernet.data.rendering import draw_scene
from centernet.errors import ConfigError, DataError, ExportError, OutputError
from centernet.experiment import evaluate, parity, report
from centernet.experiment.assembly import Assembly, open_split
from centernet.experiment.detector import Options, input_spec
from centernet.experiment.export import ExportOptions, export
from centernet.experiment.parity import Evidence, Parity
from centernet.experiment.schema import DataConfig
from centernet.export import quantization
from centernet.imaging.io import read_image
from centernet.imaging.sources import find_source
from centernet.inference.preprocess import fit, normalized
from centernet.structures import Array

NUM_COMPARED = 4  # NNabla takes seconds for each
NUM_CALIBRATION = 300


@dataclass(frozen=True, kw_only=True)
class Material:
    """What an export is proved with.

    data: a data set: AP on its validation split, whose images are compared and whose training split calibrates. None: no AP.
    images: what to compare on instead: an image, a folder or a pattern. calibration: what to calibrate with instead.
    measures_ap: False: only compare. max_drop: AP points that the file may lose.
    """

    data: DataConfig | None = None
    images: str | None = None
    calibration: str | None = None
    measures_ap: bool = True
    max_drop: float = 1.0


def deliver(assembly: Assembly, path: Path, options: ExportOptions, material: Material) -> Parity:
    """Write a network to a file, compare it with the network, and print and store the report (`PATH.parity.json`).

    Raises:
        ExportError: the file differs by more than is allowed; the report stays, the file does not, an older one survives, and so
            does its report: the new one then is `PATH.refused.parity.json`.
        ConfigError: int8 without images to calibrate with, such images without int8, or AP that must rise.
        DataError: images or data set cannot be read, or have other classes.
        DeviceError: what int8 needs is not installed. OutputError: a file cannot be written.
    """
    if not material.max_drop >= 0:
        raise ConfigError(f"--max-drop: found {material.max_drop:g}, expected AP points that the file may lose, 0 or more")
    if material.calibration is not None and options.precision != "int8":
        raise ConfigError(f"--calibration {material.calibration}: only --precision int8 is calibrated, found {options.precision}")
    if options.precision == "int8":
        quantization.check_installed(for_onnx=options.format == "onnx")
        if material.calibration is None and material.data is None:
            raise ConfigError("--precision int8: give images to calibrate with: --data_dir (its training split) or --calibration FOLDER")
    evidence = evidence_of(assembly, material)
    calibration = calibration_of(assembly, options, material) if options.precision == "int8" else ()
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-") as folder:
            written = _written(assembly, Path(folder) / path.name, options, calibration)
            found = parity.check(assembly, written, options, evidence, known_as=path)
            print(parity.table(found))
            told, refused = path.with_name(f"{path.name}.parity.json"), path.with_name(f"{path.name}.refused.parity.json")
            if found.faults:
                to = refused if path.exists() else told  # not beside an older file, as if about that
                report.write_json(to, {"file": str(path), "is_written": False, **found.as_tree()})
                faults = "; ".join(found.faults)
                raise ExportError(f"{path}: not written, it says something else than the network: {faults} (report: {to})")
            for file in sorted(Path(folder).iterdir()):  # .bin before .xml
                file.replace(path.with_name(file.name))
            report.write_json(told, {"file": str(path), "is_written": True, **found.as_tree()})
            refused.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    return found


def evidence_of(assembly: Assembly, material: Material) -> Evidence:
    """Images to compare on: those that were named, else some of the validation split, else scenes drawn by rule."""
    dataset = None
    if material.data is not None:
        if material.data.root is not None:
            data_folder(Path(material.data.root).expanduser())  # a data set that draws itself must not do so for a misspelt folder
        dataset = open_split(material.data, "val")
        evaluate.check_classes(dataset.classes, assembly.description.classes, source=str(material.data.root))
    if material.images is not None:
        found = _images("--images", material.images, most=NUM_COMPARED)
    elif dataset is not None:
        found = _samples(dataset, most=NUM_COMPARED)
    else:
        size = max(assembly.description.input_size)
        found = [
            (f"drawn scene {seed}", draw_scene(np.random.default_rng(seed), size=size, num_objects=6)[0]) for seed in range(NUM_COMPARED)
        ]
    names, images = zip(*found, strict=True)
    return Evidence(
        names=names, images=images, dataset=dataset if material.measures_ap else None, data=material.data, max_drop=material.max_drop
    )


def calibration_of(assembly: Assembly, options: ExportOptions, material: Material) -> list[Array]:
    """What the file's input is fed with, one image each."""
    if material.calibration is not None:
        found = _images("--calibration", material.calibration, most=NUM_CALIBRATION)
    else:
        assert material.data is not None, "`deliver` has made sure"
        found = _samples(open_split(material.data, "train"), most=NUM_CALIBRATION)
    spec = input_spec(assembly, Options())
    batches = [fit(image, spec).warped[np.newaxis] for _, image in found]
    return batches if options.decode else [normalized(batch, spec) for batch in batches]


def _written(assembly: Assembly, path: Path, options: ExportOptions, calibration: Sequence[Array]) -> Path:
    return export(
        assembly,
        path,
        format=options.format,
        decode=options.decode,
        k=options.k,
        dynamic=options.dynamic,
        precision=options.precision,
        deform=options.deform,
        calibration=calibration,
    )


def _images(option: str, source: str, *, most: int) -> list[tuple[str, Array]]:
    try:
        paths = find_source(source).images
    except DataError as error:
        raise DataError(f"{option} {error}") from None
    if not paths:
        raise DataError(f"{option} {source}: no image there")
    return [(paths[i].name, read_image(paths[i])) for i in _spread(len(paths), most)]


def _samples(dataset: DetectionDataset, *, most: int) -> list[tuple[str, Array]]:
    return [(Path(dataset.name(i)).name, dataset.sample(i).image) for i in _spread(len(dataset), most)]


def _spread(number: int, most: int) -> list[int]:
    """Up to `most` of so many positions, evenly."""
    return [int(i) for i in np.unique(np.linspace(0, number - 1, min(number, most)).round())]
