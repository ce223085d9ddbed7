"""Files made with a model from a program: `export_model` and `demo`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from centernet.errors import ConfigError, WeightsError
from centernet.experiment import choice as choices
from centernet.experiment import delivery, selection
from centernet.experiment.assembly import Assembly
from centernet.experiment.choice import Choice
from centernet.experiment.demo import Demo, View, tiling_for
from centernet.experiment.detector import Detector
from centernet.experiment.export import SUFFIXES, ExportOptions
from centernet.experiment.model_files import PARAMETER_FILES, load
from centernet.experiment.notebook.model import Model
from centernet.experiment.notebook.reading import Settings, keys
from centernet.experiment.output import output_folder
from centernet.experiment.parity import Parity
from centernet.imaging.draw import Theme
from centernet.imaging.sources import check_readable, find_source
from centernet.inference.tiles import OVERLAP
from centernet.inference.tracking import check_installed
from centernet.weights.torch_import import is_checkpoint


def export_model(
    model: str | Path | Model,
    path: str | Path,
    *,
    data_dir: str | Path | None = None,
    settings: Settings | None = None,
    images: str | Path | None = None,
    calibration: str | Path | None = None,
    max_drop: float = 1.0,
    **options: Any,
) -> Parity:
    """Write a model for deployment as `centernet export` does, and prove it: what differs from the network is not written.

    Args:
        model: a parameter file or checkpoint, or what `centernet.build` made.
        path: the file to write; its suffix (.nnp, .onnx, .xml) says the format. Its folder is made.
        data_dir: where AP is measured before and after. settings: of the data set, see `reading.read`.
        images, calibration: what to compare on and to calibrate int8 with: an image, a folder or a pattern.
        max_drop: AP points that the file may lose.
        options: `decode=True`, `k`, `dynamic`, `precision`, `deform`, as `experiment.export.ExportOptions` has them.

    Returns:
        What was compared and how far it differs.

    Raises:
        ExportError: the file differs. ConfigError: options do not fit. WeightsError: there is no such model.
    """
    target = Path(path)
    formats = {suffix: name for name, suffix in SUFFIXES.items()}
    if target.suffix not in formats:
        raise ConfigError(f"{target}: expected a file that ends in one of {', '.join(formats)}")
    unknown = sorted(set(options) - (set(ExportOptions.__dataclass_fields__) - {"format"}))
    if unknown:
        known = sorted(set(ExportOptions.__dataclass_fields__) - {"format"})
        raise ConfigError(f"export_model: unknown option '{unknown[0]}'; known: {', '.join(known)}")
    wanted = ExportOptions(format=formats[target.suffix], **options)
    assembly = model.assembly if isinstance(model, Model) else _assembly(Path(model))
    data = None
    if data_dir is not None:
        chosen = Choice(keys=keys(data_dir, settings))
        data = choices.from_description(chosen, assembly.description.experiment, source="the model").data
    material = delivery.Material(
        data=data,
        images=None if images is None else str(images),
        calibration=None if calibration is None else str(calibration),
        max_drop=max_drop,
    )
    with output_folder(target.parent):
        return delivery.deliver(assembly, target, wanted, material)


def _assembly(path: Path) -> Assembly:
    if path.suffix not in PARAMETER_FILES and not is_checkpoint(path):
        raise WeightsError(f"{path}: '{path.suffix}' cannot be exported; expected parameters: {', '.join(PARAMETER_FILES)}")
    return load(path, runtime="nnabla").assembly


def demo(
    model: str | Path | Detector,
    source: str | Path,
    output: str | Path,
    *,
    lowest: float | Mapping[str, float] = selection.DEFAULT_SCORE,
    classes: Sequence[str] | None = None,
    debug: int = 1,
    theme: Theme = "white",
    tile: int | None = None,
    overlap: int | None = None,
    track: bool = False,
    batch_size: int = 1,
    **how: Any,
) -> Path:
    """Detect and draw as `centernet demo` does; to look at detections in the program use `Detector.predict`.

    Args:
        model: a model file, or what `centernet.load` opened, for debug >= 2 with `with_maps=True`.
        source: image, folder, pattern, video file, `webcam` or `webcam:N`.
        output: folder for pictures, videos, `detections.jsonl` and `detections.json`.
        lowest: score in [0, 1] from which objects are shown, or one by class name ('' for all others). classes: those to show.
        debug, theme, tile, overlap, track, batch_size: as the command's options. how: as `centernet.load` takes them.

    Returns:
        The folder.
    """
    scores = dict(lowest) if isinstance(lowest, Mapping) else {selection.EVERY: lowest}
    selection.check_scores(scores)
    found = find_source(str(source))
    check_readable(found)
    if tile is not None and not 0 <= (overlap or 0) < tile:
        raise ConfigError(f"demo: found tile {tile} and overlap {overlap}, expected 0 <= overlap < tile")
    if track:
        check_installed()
    if isinstance(model, Detector):
        if how:
            raise ConfigError(f"demo: {min(how)}: the detector is open already; give it to centernet.load")
        detector = model
    else:
        detector = load(model, **{"with_maps": debug >= 2, **how})
    if debug >= 2:
        detector.check_maps()
    view = View(
        lowest=selection.lowest_scores(detector.class_names, scores, classes=classes, default=selection.DEFAULT_SCORE),
        debug=debug,
        theme=theme,
        tiling=None if tile is None else tiling_for(detector, tile=tile, overlap=tile // OVERLAP if overlap is None else overlap),
        is_tracked=track,
        batch_size=batch_size,
    )
    with output_folder(Path(output)) as folder:
        Demo(detector, folder, view).run(found)
    return folder
