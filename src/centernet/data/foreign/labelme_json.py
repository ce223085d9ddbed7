"""LabelMe's JSON: a file an image, with shapes of which the hull is taken."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from centernet.data.foreign.builder import TableBuilder
from centernet.data.foreign.image_index import ImageIndex
from centernet.data.foreign.table_parts import with_sorted_categories
from centernet.data.tables import AnnotationTable
from centernet.errors import DataError

_HULLS = ("rectangle", "polygon", "linestrip", "mask")


def read_labelme(root: Path, files: Sequence[str], images: ImageIndex, *, source: str) -> AnnotationTable:
    """Rectangles, polygons and circles as boxes; points and lines are no objects.

    Args:
        files: paths relative to `root`.

    Raises:
        DataError: broken files, or files whose image is not there; the first few are named.
    """
    builder = TableBuilder(source)
    for file in files:
        try:
            content = json.loads((root / file).read_text(encoding="utf-8"))
            name = images.described_by(root, file, says=str(content.get("imagePath") or ""))
            number = builder.image(name, (int(content.get("imageHeight") or 0), int(content.get("imageWidth") or 0)))
            for shape in content["shapes"]:
                corners = _corners(str(shape.get("shape_type") or "polygon"), shape["points"])
                if corners is not None:
                    builder.object(number, str(shape["label"]), corners)
        except DataError as error:
            builder.mistake(str(error))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            builder.mistake(f"{root / file}: not LabelMe's JSON: {type(error).__name__}: {error}")
    return with_sorted_categories(builder.table())


def _corners(kind: str, points: Sequence[Sequence[float]]) -> list[float] | None:
    xs, ys = ([float(point[axis]) for point in points] for axis in (0, 1))
    if kind == "circle" and len(points) == 2:  # centre and a point on the rim
        radius = float(((xs[1] - xs[0]) ** 2 + (ys[1] - ys[0]) ** 2) ** 0.5)
        return [xs[0] - radius, ys[0] - radius, xs[0] + radius, ys[0] + radius]
    return [min(xs), min(ys), max(xs), max(ys)] if kind in _HULLS and len(points) >= 2 else None
