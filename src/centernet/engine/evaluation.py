"""Measure a detector on a data set: in batches, each process its share, the same result for any number of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from centernet.engine.communicator import Communicator
from centernet.engine.endings import Interrupted
from centernet.structures import Array, Detections, Sample

T = TypeVar("T")

COMPUTING = 600.0  # seconds that a metric of very many images may take, on rank 0 alone

Predict = Callable[[list[Sample]], Sequence[Detections]]
Batch = list[tuple[int, Sample | None]]
Detected = tuple[int, list[tuple[int, Detections]]]  # number of images; what was found in those that can be read
InTurn = Callable[[Callable[[Batch], Detected], Iterable[Batch]], Iterable[Detected]]


class Metric(Protocol):
    """Collects detections, image by image, in any order."""

    def update(self, image_index: int, detections: Detections) -> None:
        """One image's, in that image's pixels."""

    def state(self) -> dict[str, Array]:
        """Everything collected, to be sent to another process."""

    def merge(self, states: Sequence[Mapping[str, Array]]) -> None:
        """Take over what other processes collected; what is here already is not counted twice."""

    def compute(self) -> Mapping[str, Any]:
        """The numbers."""


def evaluate(
    predict: Predict,
    samples: Iterable[tuple[int, Sample | None]],
    metric: Metric,
    communicator: Communicator,
    *,
    batch_size: int = 1,
    progress: Callable[[int], None] | None = None,
    in_turn: InTurn = map,
    sample_seconds: float | None = None,
) -> dict[str, Any]:
    """Run the detector over this rank's samples and compute the metric over all ranks' (collective).

    Args:
        predict: samples -> detections in each sample's own pixels, in the same order.
        samples: (index in the data set, sample); None for an image that cannot be read: it counts without detections.
        batch_size: samples given to `predict` at once.
        progress: told how many images of this rank were done, after each batch.
        in_turn: applies a function to every batch, as `map` does; it may work on several at a time.
        sample_seconds: that a sample may have to be waited for; None: any time.

    Returns:
        What the metric computes, on every rank.

    Raises:
        Interrupted: some rank is to stop (`Communicator.stopping_at`); on all ranks alike.
    """

    def detect(batch: Batch) -> Detected:
        readable = [(index, sample) for index, sample in batch if sample is not None]
        detections = predict([sample for _, sample in readable]) if readable else []
        return len(batch), [(index, found) for (index, _), found in zip(readable, detections, strict=True)]

    for num_images, detected in in_turn(detect, _batches(awaited(samples, communicator, seconds=sample_seconds), batch_size)):
        for index, found in detected:
            metric.update(index, found)
        communicator.beat()
        if progress is not None:
            progress(num_images)
        if communicator.is_stopping:
            break
    if communicator.any(communicator.is_stopping):
        raise Interrupted
    states = communicator.gather(metric.state()) if communicator.size > 1 else []
    result: dict[str, Any] = {}
    if communicator.rank == 0:
        with communicator.doing("computing the metric", extra=COMPUTING):
            if states:
                metric.merge(states)
            result = dict(metric.compute())
    return communicator.broadcast(result)


def awaited(items: Iterable[T], communicator: Communicator, *, seconds: float | None) -> Iterator[T]:
    """The items; who waits for one is not taken to hang for so many seconds (None: ever)."""
    left = iter(items)
    while True:
        with communicator.doing("waiting for data", extra=math.inf if seconds is None else seconds):
            try:
                item = next(left)
            except StopIteration:
                return
        yield item


def mean_losses(losses: Iterable[tuple[Mapping[str, float], int]]) -> dict[str, float]:
    """The mean over images of losses given per batch.

    Args:
        losses: (terms, number of images) of each global batch.
    """
    sums: dict[str, float] = {}
    num_images = 0
    for terms, size in losses:
        num_images += size
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + value * size
    return {name: value / num_images for name, value in sums.items()}


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
