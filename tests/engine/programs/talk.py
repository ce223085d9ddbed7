"""Every method of the communicator, and an evaluation shared by the ranks."""

import nnabla as nn
import numpy as np

from centernet.engine.communicator import create
from centernet.engine.endings import ending_all
from centernet.engine.evaluation import evaluate
from centernet.structures import Detections

communicator = create()
rank, size = communicator.rank, communicator.size


class Sum:
    """A metric: which images were seen, and the sum of all scores."""

    def __init__(self):
        self.seen = {}

    def update(self, image_index, detections):
        self.seen[image_index] = float(detections.scores.sum())

    def state(self):
        return {"index": np.array(list(self.seen), int), "score": np.array(list(self.seen.values()), float)}

    def merge(self, states):
        for state in states:
            self.seen |= dict(zip(state["index"].tolist(), state["score"].tolist(), strict=True))

    def compute(self):
        return {"images": sorted(self.seen), "sum": sum(self.seen.values())}


def predict(samples):
    return [Detections(np.zeros((1, 4)), np.array([sample]), np.zeros(1)) for sample in samples]


with ending_all(communicator):
    array = np.full(5, rank + 1.0, np.float32)
    communicator.sum_in_place(array)
    assert (array == size * (size + 1) / 2).all()
    arrays = [nn.NdArray.from_numpy_array(np.full(shape, float(rank), np.float32)) for shape in ((2, 3), (1,), (4,))]
    communicator.average(arrays)
    assert all((part.data == (size - 1) / 2).all() for part in arrays), [part.data for part in arrays]
    communicator.average([])
    assert communicator.sum([1.0, rank]).tolist() == [size, size * (size - 1) / 2]
    assert communicator.broadcast({"from": rank}) == {"from": 0}
    assert communicator.gather(rank) == list(range(size))
    assert communicator.any(rank == size - 1)
    assert not communicator.any(False)
    assert sorted(communicator.gather(communicator.local_rank)) == list(range(size))  # of one machine, in any order
    communicator.barrier()
    samples = ((index, None if index == 3 else 0.5) for index in range(rank, 7, size))
    result = evaluate(predict, samples, Sum(), communicator, batch_size=2)
    assert result == {"images": [0, 1, 2, 4, 5, 6], "sum": 3.0}, result
    if rank == 0:
        print("understood")
