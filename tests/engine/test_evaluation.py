from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from centernet.engine.communicator import Single
from centernet.engine.evaluation import evaluate, mean_losses
from centernet.structures import Array, Detections, Sample


class Seen:
    """A metric that remembers what it was given."""

    def __init__(self) -> None:
        self.found: dict[int, float] = {}

    def update(self, image_index: int, detections: Detections) -> None:
        self.found[image_index] = float(detections.scores[0])

    def state(self) -> dict[str, Array]:
        raise AssertionError("one process has nobody to send it to")

    def merge(self, states: Sequence[Mapping[str, Array]]) -> None:
        raise AssertionError("one process has nothing to merge")

    def compute(self) -> dict[str, Any]:
        return {"found": self.found}


def sample(value: int) -> Sample:
    return Sample(image=np.full((2, 2, 3), value, np.uint8), boxes=np.zeros((0, 4)), class_ids=np.zeros(0))


def predict(samples: list[Sample]) -> list[Detections]:
    return [Detections(np.zeros((1, 4)), np.array([s.image.mean()]), np.zeros(1)) for s in samples]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 10])
def test_every_sample_is_predicted_once_whatever_the_batch_size(batch_size: int) -> None:
    done: list[int] = []
    samples = [(index, sample(index)) for index in (4, 1, 3, 0, 2)]
    result = evaluate(predict, samples, Seen(), Single(), batch_size=batch_size, progress=done.append)
    assert result == {"found": {index: float(index) for index in range(5)}}
    assert sum(done) == 5
    assert max(done) <= batch_size


def test_an_image_that_cannot_be_read_counts_without_detections() -> None:
    result = evaluate(predict, [(0, sample(7)), (1, None), (2, None)], Seen(), Single(), batch_size=1)
    assert result == {"found": {0: 7.0}}


def test_no_sample_at_all_still_computes() -> None:
    assert evaluate(predict, [], Seen(), Single()) == {"found": {}}


def test_losses_are_averaged_over_images_not_batches() -> None:
    assert mean_losses([({"total": 1.0}, 3), ({"total": 5.0}, 1)]) == {"total": 2.0}


def test_batches_may_be_detected_several_at_a_time() -> None:
    taken: list[int] = []

    def two_at_a_time(function, batches):
        with ThreadPoolExecutor(2) as pool:
            for result in pool.map(function, batches):
                taken.append(1)
                yield result

    expected = evaluate(predict, [(i, sample(i)) for i in range(5)], Seen(), Single(), batch_size=2)
    assert evaluate(predict, [(i, sample(i)) for i in range(5)], Seen(), Single(), batch_size=2, in_turn=two_at_a_time) == expected
    assert len(taken) == 3
