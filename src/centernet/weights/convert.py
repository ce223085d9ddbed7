"""One parameter file into another layout or number of input channels: what `convert_parameter_format.py` does."""

from __future__ import annotations

from pathlib import Path

from centernet.errors import WeightsError
from centernet.weights.identify import identify
from centernet.weights.layout import Channels, Layout, affine_to_convolution, convert, detect_layout, shapes_of
from centernet.weights.store import Description, read_parameters, write_parameters


def convert_file(
    source: str | Path, target: str | Path, *, layout: Layout | None = None, channels: Channels | None = None, affine: bool = False
) -> str:
    """Write `source` as `target` (.h5); what is not asked for stays as it is, trainability and description included.

    Args:
        layout: to turn into; None keeps the file's.
        channels: input channels; None keeps the file's.
        affine: make the affine classifier a 1x1 convolution.

    Returns:
        One line that says what was done. Where nothing had to change the target is a copy, and the line says so.

    Raises:
        WeightsError: the source is missing, damaged, or not of a known layout.
        OutputError: the target cannot be written.
    """
    file = read_parameters(source)
    parameters = file.parameters
    before = identify(shapes_of(parameters))
    try:
        parameters = convert(parameters, layout=layout, channels=channels)
        if affine:
            parameters = affine_to_convolution(parameters, detect_layout(shapes_of(parameters)) or "nchw")
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from error
    after = identify(shapes_of(parameters))
    # Names change only where an affine layer became a convolution, which keeps its place.
    need_grad = {new: file.need_grad[old] for old, new in zip(file.parameters, parameters, strict=True)}
    description = _described(file.description, layout=after.layout, channels=after.input_channels)
    write_parameters(target, parameters, description=description, need_grad=need_grad)
    changes = [
        f"{old} -> {new}"
        for old, new in ((before.layout, after.layout), (_channels(before.input_channels), _channels(after.input_channels)))
        if old != new
    ]
    if affine:
        changes.append("affine -> 1x1 convolution")
    done = ", ".join(changes) or f"no change ({before.layout}, {_channels(before.input_channels)}), a copy"
    return f"{source} -> {target}: {done}; {len(parameters)} parameters"


def _channels(count: int | None) -> str:
    return "unknown input channels" if count is None else f"{count} input channels"


def _described(description: Description | None, *, layout: Layout | None, channels: int | None) -> Description | None:
    """The description with its own words for layout and input channels brought up to date."""
    if description is None:
        return None
    news = {"layout": layout, "input_channels": channels}
    return {key: news.get(key) or value for key, value in description.items()}
