"""XML files that are no devkit: beside their images (labelImg), in a folder of their own (Roboflow, Kaggle), or one file of CVAT's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from centernet.data.foreign.builder import TableBuilder
from centernet.data.foreign.image_index import ImageIndex
from centernet.data.foreign.table_parts import with_sorted_categories
from centernet.data.tables import AnnotationTable
from centernet.data.voc_xml import read_xml
from centernet.errors import DataError


def read_xml_files(root: Path, files: Sequence[str], images: ImageIndex, *, source: str) -> AnnotationTable:
    """One VOC file an image; the numbers of boxes are kept as they are, as `read_voc` keeps them.

    Args:
        files: paths relative to `root`.

    Raises:
        DataError: broken files, or files whose image is not there; the first few are named.
    """
    builder = TableBuilder(source)
    for file in files:
        try:
            found = read_xml(root / file)
            name = images.described_by(root, file, says=found.file_name)
        except DataError as error:
            builder.mistake(str(error))
            continue
        number = builder.image(name, found.size)
        for category, corners, is_difficult in found.objects:
            builder.object(number, category, corners, is_difficult=is_difficult)
    return with_sorted_categories(builder.table())  # as `read_voc` has them


def read_cvat(root: Path, file: str, images: ImageIndex) -> AnnotationTable:
    """What CVAT calls "CVAT for images": all images in one file; of polygons and masks the hull is taken.

    Raises:
        DataError: the file is broken, or names images that are not there.
    """
    path = root / file
    try:
        tree = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable XML file: {error}") from error
    builder = TableBuilder(str(path))
    builder.declare([label.text or "" for label in tree.findall("meta//label/name")])
    for image in tree.findall("image"):
        name = images.find(image.get("name", ""), near=file)
        if name is None:
            builder.mistake(f"{path}: the image '{image.get('name')}' is not there")
            continue
        try:
            number = builder.image(name, (int(image.get("height", 0)), int(image.get("width", 0))))
            for shape in image:
                corners = _corners(shape)
                if corners is not None:
                    builder.object(number, shape.get("label", ""), corners)
        except (TypeError, ValueError) as error:
            builder.mistake(f"{path}: image '{image.get('name')}': {error}")
    return builder.table()


def _corners(shape: ElementTree.Element) -> list[float] | None:
    if shape.tag == "box":
        return [float(shape.get(key, "")) for key in ("xtl", "ytl", "xbr", "ybr")]
    if shape.tag == "mask":
        left, top, width, height = (float(shape.get(key, "")) for key in ("left", "top", "width", "height"))
        return [left, top, left + width, top + height]
    if shape.tag in ("polygon", "polyline"):
        points = [tuple(map(float, point.split(","))) for point in shape.get("points", "").split(";") if point]
        xs, ys = zip(*points, strict=True)
        return [min(xs), min(ys), max(xs), max(ys)]
    return None
