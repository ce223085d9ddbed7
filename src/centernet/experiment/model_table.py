"""The table of networks, for people and for programs."""

from __future__ import annotations

import dataclasses
from typing import Any

from centernet.models.catalogue import Model, models

TITLES = ("--arch", "parameters", "multiply-adds", "stride", "sides", "AP", "weights", "licence")


def rows() -> list[tuple[str, ...]]:
    """What the table shows of each network."""
    return [_row(model) for model in models()]


def text() -> str:
    """The table in columns, with what its numbers mean below."""
    table = [TITLES, *rows()]
    widths = [max(len(row[column]) for row in table) for column in range(len(TITLES))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    measured = {model.published.protocol for model in models() if model.published}
    return "\n".join(
        [
            *lines,
            "",
            "Trained parameters, with COCO's heads; multiply-adds of a 512x512 image; stride: input pixels per cell of the heads;",
            "sides: what height and width are multiples of; weights that were published, in brackets those of the backbone alone.",
            f"AP as published: {'; '.join(sorted(measured))}.",
        ]
    )


def as_json() -> list[dict[str, Any]]:
    """All that is known of each network."""
    return [dataclasses.asdict(model) for model in models()]


def _row(model: Model) -> tuple[str, ...]:
    weights = [*model.weights, *(f"[{name}]" for name in model.backbone_weights)]
    return (
        model.name,
        f"{model.parameters / 1e6:.1f} M",
        f"{model.multiply_adds / 1e9:.1f} G",
        str(model.stride),
        model.input_sizes.removeprefix("multiples of "),
        str(model.published or ""),
        f"{weights[0]}, ..." if len(weights) > 2 else ", ".join(weights),
        model.licence,
    )
