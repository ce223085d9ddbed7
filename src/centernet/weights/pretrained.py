"""ImageNet weights of a backbone, found by their published file names, in whatever layout they are there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from centernet.errors import WeightsError
from centernet.weights.layout import Channels, Layout, convert, detect_layout, input_channels, shapes_of
from centernet.weights.match import ANY, LoadReport, Shapes, Target, assign
from centernet.weights.published import ADDRESS, COMMAND, FOLDER, PUBLISHED
from centernet.weights.store import Array, read_parameters

WITHOUT = "to train without pretrained weights set model.pretrained_model_dir to null (--set model.pretrained_model_dir=null)"


def file_name(name: str, layout: Layout) -> str:
    """The published name: `resnet18_nchw_imagenet.h5`."""
    return f"{name}_{layout}_imagenet.h5"


def published_file(folder: str | Path, name: str, layout: Layout) -> Path | None:
    """The file of backbone `name` in `folder`, of the wanted layout if it is there, else of the other; None where there is none."""
    other: Layout = "nhwc" if layout == "nchw" else "nchw"
    paths = (Path(folder) / file_name(name, candidate) for candidate in (layout, other))
    return next((path for path in paths if path.is_file()), None)


def find(folder: str | Path, name: str, layout: Layout) -> Path:
    """The file of backbone `name` ('resnet18', 'dla34') in `folder`, of the wanted layout if it is there, else of the other.

    Raises:
        WeightsError: neither is there; the text has the command that gets it and the way to train without.
    """
    found = published_file(folder, name, layout)
    if found is not None:
        return found
    wanted = file_name(name, layout)
    stem = Path(wanted).stem
    missing = f"{Path(folder) / wanted}: no such file"
    if stem not in PUBLISHED:
        raise WeightsError(f"{missing}, and none is published; torchvision's {name}-*.pth is taken from that folder too, or {WITHOUT}")
    file = PUBLISHED[stem].path
    theirs = f"; torchvision's {name}-*.pth in {folder} is taken too" if name.startswith("resnet") else ""
    raise WeightsError(f"{missing}; `{COMMAND} get {stem}` downloads {ADDRESS}/{file} to {FOLDER / file}{theirs}, or {WITHOUT}")


def load_backbone(folder: str | Path, name: str, variables: Mapping[str, Target], expected: Shapes) -> tuple[Path, LoadReport]:
    """Copy a published backbone into a network, converted to its layout and input channels.

    Args:
        folder: where published files lie (`model.pretrained_model_dir`).
        name: of the backbone in their names.
        variables: the network's parameters by name.
        expected: shapes of the backbone's own parameters, a part of `variables`.

    Returns:
        The file, and what it gave.

    Raises:
        WeightsError: no such file, a damaged one, a shape that differs, or one that has none of the backbone's parameters.
    """
    path = find(folder, name, detect_layout(expected) or "nchw")
    return path, fill_backbone(read_parameters(path).parameters, variables, expected, name=name, what=path)


def fill_backbone(
    parameters: Mapping[str, Array], variables: Mapping[str, Target], expected: Shapes, *, name: str, what: Path
) -> LoadReport:
    """Copy a backbone's parameters, as `load_backbone` does; `name` and the file `what` are for the message.

    Raises:
        WeightsError: a shape differs, or none of them is the backbone's.
    """
    layout, path = detect_layout(expected) or "nchw", what
    if not set(expected) & set(parameters):
        found = ", ".join(list(parameters)[:3])
        raise WeightsError(f"{path}: has none of the {len(expected)} parameters of {name}; found {found}, ...")
    channels = cast("Channels | None", input_channels(expected))
    try:
        converted = convert(parameters, layout=layout, channels=channels)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    targets = {key: variables[key] for key in expected}
    try:
        report = assign(converted, targets, what=path, allow_missing=ANY, allow_unused=ANY)
    except WeightsError as error:
        raise WeightsError(f"{error}; {WITHOUT}") from error
    before = shapes_of(parameters)
    reshaped = tuple(key for key in report.loaded if before[key] != converted[key].shape)
    return LoadReport(loaded=report.loaded, unused=report.unused, missing=report.missing, reshaped=reshaped)
