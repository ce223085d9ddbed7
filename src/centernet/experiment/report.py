"""Numbers for people and for files: the table on the screen, `results.json`, `detections.json`, the AP of many checkpoints."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from centernet.errors import OutputError
from centernet.experiment.detector import Detector

Results = Mapping[str, Any]


def protocol_text(detector: Detector, *, metric: str, num_images: int) -> dict[str, Any]:
    """How numbers came about: what must be equal for two of them to be compared."""
    spec = detector.spec
    size = "x".join(map(str, spec.size))
    if spec.keep_resolution:
        size = f"image's own, padded to a multiple of {spec.multiple}" + (" less 1" if any(spec.missing) else "")
    options, suppression = detector.options, detector.suppression
    return {
        "metric": metric,
        "images": num_images,
        "input_size": size,
        "scales": list(detector.scales),
        "flip": options.flip_test,
        "nms": str(suppression) + (", as the official code" if options.soft_nms_reference else "") if suppression else "none",
        "k": options.k,
        "max_detections": options.max_detections,
        "runtime": detector.session.summary,
        "precision": detector.session.precision,
    }


def protocol_line(protocol: Mapping[str, Any]) -> str:
    """The protocol in a line, to stand beside an AP."""
    words = {**protocol, "flip": "yes" if protocol["flip"] else "no", "scales": "+".join(f"{scale:g}" for scale in protocol["scales"])}
    return ", ".join(f"{name.replace('_', ' ')} {words[name]}" for name in words if name != "precision")  # the runtime says it


def table(results: Results) -> str:
    """The numbers as lines of text: the overall ones, then each class's."""
    overall = {name: value for name, value in results.items() if isinstance(value, float)}
    per_class: Mapping[str, Mapping[str, float]] = results.get("per_class", {})
    columns = list(next(iter(per_class.values()), {}))
    width = max([len(name) for name in [*per_class, *overall]] + [5])
    lines = [f"{name:<{width}}  {_number(value)}" for name, value in overall.items()]
    if per_class:
        lines += ["", f"{'class':<{width}}  " + "  ".join(f"{column:>6}" for column in columns)]
        lines += [f"{name:<{width}}  " + "  ".join(_number(row[column]) for column in columns) for name, row in per_class.items()]
    return "\n".join(lines)


def write_json(path: Path, content: Any) -> Path:
    """Write JSON; what is not a number becomes null. OutputError when the file cannot be written."""
    try:
        path.write_text(json.dumps(_finite(content), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def write_series(folder: Path, points: Sequence[tuple[int, float]]) -> list[Path]:
    """`Val-mAP.series.txt` (epoch and AP a line, as NNabla's monitors write) and a plot of it.

    Raises:
        OutputError: the folder is not writable.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    text, picture = folder / "Val-mAP.series.txt", folder / "Val-mAP.png"
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([epoch for epoch, _ in points], [ap for _, ap in points], marker="o")
    axes.set(xlabel="epoch", ylabel="AP", title="Validation AP by checkpoint", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=True, alpha=0.3)
    try:
        text.write_text("".join(f"{epoch} {ap:g}\n" for epoch, ap in points))
        figure.savefig(picture, dpi=120)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror}") from None
    return [text, picture]


def _number(value: float) -> str:
    return "     -" if math.isnan(value) or value < 0 else f"{value:6.4f}"


def _finite(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
