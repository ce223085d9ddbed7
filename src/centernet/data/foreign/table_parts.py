"""Tables of annotations joined, cut, and written as COCO-format JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from centernet.data.tables import AnnotationTable
from centernet.geometry.boxes import xyxy_to_xywh
from centernet.structures import Array


def same_categories(tables: Sequence[AnnotationTable]) -> list[AnnotationTable]:
    """The tables with one list of categories: the first's, and after it what only later ones have.

    Ids are kept where all tables agree on them, else they count from 1.
    """
    declared = [list(zip(table.category_names, table.category_ids.tolist(), strict=True)) for table in tables]
    if all(one == declared[0] for one in declared):
        return list(tables)
    names = list(dict.fromkeys(name for one in declared for name, _ in one))
    result = []
    for table in tables:
        position = np.array([names.index(name) for name in table.category_names], np.int32)
        category_of = position[table.category_of] if len(position) else table.category_of
        ids = np.arange(1, len(names) + 1, dtype=np.int64)
        result.append(replace(table, category_names=names, category_ids=ids, category_of=category_of))
    return result


def with_sorted_categories(table: AnnotationTable) -> AnnotationTable:
    """The same with categories in the order of their names."""
    names = sorted(table.category_names)
    position = np.array([names.index(name) for name in table.category_names], np.int32)
    return replace(table, category_names=names, category_of=position[table.category_of] if len(position) else table.category_of)


def joined(tables: Sequence[AnnotationTable]) -> AnnotationTable:
    """All images of several tables in one, with new ids; the tables' images must not be the same."""
    tables = same_categories(tables)
    if len(tables) == 1:
        return tables[0]
    firsts = np.cumsum([0, *(len(table.image_ids) for table in tables)])
    columns = ("boxes", "category_of", "areas", "is_crowd", "is_difficult", "image_sizes")
    return replace(
        tables[0],
        source=", ".join(table.source for table in tables),
        image_ids=np.arange(1, firsts[-1] + 1, dtype=np.int64),
        file_names=[name for table in tables for name in table.file_names],
        image_index=np.concatenate([table.image_index + first for table, first in zip(tables, firsts, strict=False)]).astype(np.int32),
        notes=[note for table in tables for note in table.notes],
        **{name: np.concatenate([getattr(table, name) for table in tables]) for name in columns},
    )


def chosen(table: AnnotationTable, images: Array) -> AnnotationTable:
    """Some images of a table, and their objects; `images`: (n,) numbers, ascending."""
    place = np.full(len(table.image_ids), -1, np.int32)
    place[images] = np.arange(len(images), dtype=np.int32)
    keep = place[table.image_index] >= 0
    columns = {name: getattr(table, name)[keep] for name in ("boxes", "category_of", "areas", "is_crowd", "is_difficult")}
    return replace(
        table,
        image_ids=table.image_ids[images],
        image_sizes=table.image_sizes[images],
        file_names=[table.file_names[int(number)] for number in images],
        image_index=place[table.image_index][keep],
        **columns,
    )


def coco_json(table: AnnotationTable) -> str:
    """A table as the text of a COCO-format file, which `read_coco_json` reads back as it was."""
    images: list[dict[str, Any]] = []
    for image_id, name, (height, width) in zip(table.image_ids.tolist(), table.file_names, table.image_sizes.tolist(), strict=True):
        images.append({"id": image_id, "file_name": name, **({"height": height, "width": width} if height and width else {})})
    category_ids = table.category_ids[table.category_of].tolist() if len(table.category_of) else []
    annotations = [
        {
            "id": number, "image_id": image_id, "category_id": category_id, "bbox": box, "area": area,
            "iscrowd": crowd, "ignore": difficult,
        }
        for number, (image_id, category_id, box, area, crowd, difficult) in enumerate(
            zip(
                table.image_ids[table.image_index].tolist(),
                category_ids,
                xyxy_to_xywh(table.boxes).round(4).tolist(),
                table.areas.round(4).tolist(),
                table.is_crowd.astype(int).tolist(),
                table.is_difficult.astype(int).tolist(),
                strict=True,
            ),
            start=1,
        )
    ]  # fmt: skip
    categories = [{"id": i, "name": name} for i, name in zip(table.category_ids.tolist(), table.category_names, strict=True)]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories})
