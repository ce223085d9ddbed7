"""The worst images with their mistakes drawn on them, as figures of a page."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from centernet.data.datasets.base import DetectionDataset
from centernet.errors import DataError
from centernet.experiment.explain.findings import WORDS, WorstImage
from centernet.imaging.io import encode_jpeg
from centernet.imaging.warp import resize_for_scale
from centernet.metrics.detection_errors import Judgement, Kind
from centernet.metrics.operating_points import MISSED
from centernet.structures import Array

LONGEST_SIDE = (320, 480)  # pixels of a figure, at least and at most
LETTERS = 13  # their height, in pixels of a figure


@dataclass(frozen=True)
class Mark:
    """A box on a figure: what kind of thing it is, where (xyxy, in pixels of the figure), and what is written beside it."""

    kind: str
    box: tuple[float, ...]
    label: str


def figures(worst: tuple[WorstImage, ...], judgement: Judgement, dataset: DetectionDataset) -> Iterator[str]:
    """A figure for each image that can be read."""
    for one in worst:
        try:
            image = dataset.picture(one.index).decode()
        except DataError:
            continue
        longest = max(image.shape[:2])
        scale = float(np.clip(longest, *LONGEST_SIDE)) / longest
        yield _figure(resize_for_scale(image, scale), _marks(one, judgement, dataset, scale), _caption(one, dataset))


def _marks(one: WorstImage, judgement: Judgement, dataset: DetectionDataset, scale: float) -> list[Mark]:
    """What is right first, so that mistakes come to lie over it."""
    names, truth = dataset.classes.names, dataset.annotations
    marks = []
    for row in one.rows:
        kind = Kind(judgement.kinds[row])
        said = f"{names[judgement.class_ids[row]]} {judgement.scores[row]:.2f}"
        meant = judgement.objects[row]
        if kind in (Kind.CONFUSED, Kind.CONFUSED_AND_MISPLACED):
            said += f", is {names[truth.class_ids[meant]]}"
        marks.append(Mark(kind.name.lower(), tuple((judgement.boxes[row] * scale).tolist()), said))
    marks += [Mark(MISSED, tuple((truth.boxes[i] * scale).tolist()), names[truth.class_ids[i]]) for i in one.missed]
    right = Kind.RIGHT.name.lower()
    return sorted(marks, key=lambda mark: mark.kind != right)


def _figure(image: Array, marks: list[Mark], caption: str) -> str:
    height, width = image.shape[:2]
    picture = base64.b64encode(encode_jpeg(image)).decode("ascii")
    drawn = "".join(_drawn(mark, height, width) for mark in marks)
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{caption}">'
        f'<image href="data:image/jpeg;base64,{picture}" width="{width}" height="{height}"/>{drawn}</svg>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _drawn(mark: Mark, height: int, width: int) -> str:
    left, top, right, bottom = np.clip(mark.box, 1, [width - 1, height - 1] * 2)
    title = f"{WORDS.get(mark.kind, mark.kind)}: {mark.label}"
    box = (
        f'<rect class="{mark.kind}" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}">'
        f"<title>{escape(title)}</title></rect>"
    )
    if mark.kind == Kind.RIGHT.name.lower():  # words only where there is something to say
        return box
    line = top - 4 if top > LETTERS + 4 else min(bottom + LETTERS, height - 4)
    x, anchor = (left, "start") if left < width / 2 else (right, "end")  # so that the words stay inside
    return f'{box}<text class="{mark.kind}" x="{x:.1f}" y="{line:.1f}" text-anchor="{anchor}">{escape(mark.label)}</text>'


def _caption(one: WorstImage, dataset: DetectionDataset) -> str:
    told = ", ".join(f"{number} {WORDS[kind]}" for kind, number in one.mistakes.items() if number)
    return escape(f"{Path(dataset.name(one.index)).name}: {told}")
