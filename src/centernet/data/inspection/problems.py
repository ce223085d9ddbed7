"""One kind of mistake in a data set: how often it occurs, where, what it costs and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from centernet.structures import Array

Severity = Literal["error", "warning"]
MOST_EXAMPLES = 5


@dataclass(frozen=True)
class Offender:
    """An image with a mistake. objects: rows of the data set's annotations, none where the image as a whole is meant."""

    split: str
    image: int
    objects: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Problem:
    """severity: error where training suffers. split: `train`, `val` or `both`. count: how many of `total` (`what`: images, objects,
    classes). text: what it is. cure: what to do. examples: the first few, as text. offenders: what can be drawn.
    """

    code: str
    severity: Severity
    split: str
    count: int
    total: int
    what: str
    text: str
    cure: str
    examples: tuple[str, ...] = ()
    offenders: tuple[Offender, ...] = ()


def by_share(count: int, total: int, *, bearable: float) -> Severity:
    """A warning as long as only a bearable share is concerned."""
    return "error" if count > bearable * total else "warning"


def offenders_of(split: str, image_index: Array, rows: Array) -> tuple[Offender, ...]:
    """The images that some objects are in.

    Args:
        image_index: (M,) of each object its image.
        rows: (n,) the objects, by number.
    """
    images: dict[int, list[int]] = {}
    for row in rows.tolist():
        images.setdefault(int(image_index[row]), []).append(row)
    return tuple(Offender(split, image, tuple(objects)) for image, objects in images.items())


def some(names: Sequence[str]) -> tuple[str, ...]:
    """The first few."""
    return tuple(names[:MOST_EXAMPLES])
