"""Where a detector's average precision is lost, as plain values: what the page shows and the JSON file holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from centernet.data.datasets.base import DetectionDataset
from centernet.experiment.selection import DEFAULT_SCORE, EVERY
from centernet.metrics.detection_errors import WRONG, Judgement, Kind
from centernet.metrics.operating_points import MISSED, OperatingPoint, best_f1, class_curve, gains, interpolated
from centernet.metrics.voc_ap import area_ap
from centernet.structures import Array

NUM_WORST = 12  # images
NUM_CONFUSIONS = 10
MISTAKES = (*(kind.name.lower() for kind in WRONG), MISSED)
WORDS = {
    "misplaced": "badly placed",
    "confused": "wrong class",
    "duplicate": "duplicate",
    "background": "background",
    "confused_and_misplaced": "wrong class and badly placed",
    "missed": "missed",
}


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One kind of mistake: how many there are among the shown detections and their objects, and what part of all mistakes.

    gain: what AP50 (area under the curve) would gain were none made, at any score.
    """

    kind: str
    count: int
    share: float
    gain: float


@dataclass(frozen=True, kw_only=True)
class ClassFindings:
    """One class: objects that must be found; AP50 as area under its curve, -1 without objects; where it is best cut.

    point: where F1 is highest, None where nothing is right. threshold: the lowest score shown. num_found: objects that the shown
    detections find. mistakes: by kind; a detection's are its own class's, a missed object's as well. precision, scores: (101,), see
    `operating_points.interpolated`.
    """

    name: str
    num_objects: int
    ap50: float
    point: OperatingPoint | None
    threshold: float
    num_found: int
    mistakes: Mapping[str, int]
    precision: tuple[float, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class WorstImage:
    """An image of the data set with the shown mistakes in it, by kind; rows: of the judgement, those that are shown.

    missed: numbers of the objects, in the order of the annotations.
    """

    index: int
    mistakes: Mapping[str, int]
    rows: tuple[int, ...]
    missed: tuple[int, ...]

    @property
    def num_mistakes(self) -> int:
        return sum(self.mistakes.values())


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the shown detections are: those with a score of at least their class's threshold.

    common: the best score to cut all classes at. confusions: (class of the object, class of the detection, how often), most first.
    """

    num_shown: int
    num_right: int
    num_objects: int
    num_found: int
    common: OperatingPoint | None
    mistakes: tuple[Mistake, ...]
    classes: tuple[ClassFindings, ...]
    confusions: tuple[tuple[str, str, int], ...]
    worst: tuple[WorstImage, ...]

    @property
    def thresholds(self) -> dict[str, float]:
        """Lowest scores by class name as `centernet demo --vis_thresh` takes them; '' is for the classes without one of their own."""
        own = {one.name: one.threshold for one in self.classes if one.point is not None}
        every = DEFAULT_SCORE if self.common is None else self.common.threshold
        return {EVERY: every, **own}


def find(judgement: Judgement, dataset: DetectionDataset) -> Findings:
    """What there is to say about the judged detections of a data set."""
    names = dataset.classes.names
    num_objects = judgement.num_objects(len(names))
    common = best_f1(class_curve(judgement, None, num_objects=int(num_objects.sum())))
    curves = [class_curve(judgement, i, num_objects=int(number)) for i, number in enumerate(num_objects)]
    points = [best_f1(curve) for curve in curves]
    rest = DEFAULT_SCORE if common is None else common.threshold
    lowest = [rest if point is None else point.threshold for point in points]
    shown = (judgement.scores >= np.array(lowest, np.float32)[judgement.class_ids]) & (judgement.kinds != Kind.IGNORED)
    missed, is_found = judgement.missed(shown), judgement.found(shown)
    counts = _counts(judgement, shown, missed, of=judgement.class_ids, of_objects=judgement.truth_class_ids, num=len(names))
    drawn = [interpolated(curve) for curve in curves]
    classes = tuple(
        ClassFindings(
            name=name,
            num_objects=int(num_objects[i]),
            ap50=area_ap(curves[i].curve) if num_objects[i] else -1.0,
            point=points[i],
            threshold=lowest[i],
            num_found=int(is_found[judgement.truth_class_ids == i].sum()),
            mistakes={kind: int(counts[kind][i]) for kind in MISTAKES},
            precision=tuple(map(float, drawn[i][0])),
            scores=tuple(map(float, drawn[i][1])),
        )
        for i, name in enumerate(names)
    )
    return Findings(
        num_shown=int(shown.sum()),
        num_right=int((shown & (judgement.kinds == Kind.RIGHT)).sum()),
        num_objects=int(num_objects.sum()),
        num_found=int(is_found.sum()),
        common=common,
        mistakes=_mistakes({kind: int(numbers.sum()) for kind, numbers in counts.items()}, gains(judgement, num_classes=len(names))),
        classes=classes,
        confusions=_confusions(judgement, shown, names),
        worst=_worst(judgement, shown, missed, num_images=len(dataset)),
    )


def _counts(judgement: Judgement, shown: Array, missed: Array, *, of: Array, of_objects: Array, num: int) -> dict[str, Array]:
    """(num,) int64 of each kind of mistake: how many have each number of `of`, or of `of_objects` where they are objects."""
    counts = {kind.name.lower(): np.bincount(of[shown & (judgement.kinds == kind)], minlength=num) for kind in WRONG}
    return {**counts, MISSED: np.bincount(of_objects[missed], minlength=num)}


def _mistakes(counts: Mapping[str, int], gained: Mapping[str, float]) -> tuple[Mistake, ...]:
    total = max(sum(counts.values()), 1)
    return tuple(Mistake(kind=kind, count=counts[kind], share=counts[kind] / total, gain=gained[kind]) for kind in MISTAKES)


def _confusions(judgement: Judgement, shown: Array, names: Sequence[str]) -> tuple[tuple[str, str, int], ...]:
    rows = shown & np.isin(judgement.kinds, (Kind.CONFUSED, Kind.CONFUSED_AND_MISPLACED))
    pairs = np.stack([judgement.truth_class_ids[judgement.objects[rows]], judgement.class_ids[rows]], axis=1)
    found, numbers = np.unique(pairs, axis=0, return_counts=True)
    order = np.argsort(-numbers, kind="stable")[:NUM_CONFUSIONS]
    return tuple((names[true], names[said], int(numbers[i])) for i, (true, said) in zip(order, found[order], strict=True))


def _worst(judgement: Judgement, shown: Array, missed: Array, *, num_images: int) -> tuple[WorstImage, ...]:
    """The images with the most mistakes, most first; none without."""
    counts = _counts(judgement, shown, missed, of=judgement.image_index, of_objects=judgement.truth_image_index, num=num_images)
    totals = np.sum(list(counts.values()), axis=0)
    order = np.argsort(-totals, kind="stable")[:NUM_WORST]
    return tuple(
        WorstImage(
            index=int(i),
            mistakes={kind: int(numbers[i]) for kind, numbers in counts.items()},
            rows=tuple(np.flatnonzero(shown & (judgement.image_index == i)).tolist()),
            missed=tuple(np.flatnonzero(missed & (judgement.truth_image_index == i)).tolist()),
        )
        for i in order
        if totals[i]
    )
