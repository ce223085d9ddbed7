"""The losses of the triplet task as NNabla graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import nnabla as nn
import nnabla.functions as F

from centernet.models.specs import Layout
from centernet.tasks._keypoints.losses import at_cells, focal_loss, mean_over_stacks, smooth_l1
from centernet.tasks.triplet.targets import CORNERS, POINTS

# The published training adds up the embeddings' losses of the images on one GPU, which were so many, and takes the mean over GPUs.
IMAGES_OF_A_GPU = 6.0


def triplet_losses(
    outputs: Sequence[Mapping[str, nn.Variable]], targets: Mapping[str, nn.Variable], *, layout: Layout
) -> dict[str, nn.Variable]:
    """The losses of all heads, mean over the network's stacks (Duan et al. 2019, arXiv:1904.08189, equation 3).

    Args:
        outputs: raw head maps of each stack, (B, c, h, w) or (B, h, w, c) by layout.
        targets: the entries of `encode_triplets`, stacked; its counts are () and global.

    Returns:
        heatmap: () the sum of the three focal losses. pull, push: () the sum over this batch's images, see `pull_and_push`,
        divided by the images of the global batch, times 6: as large as in the published training, however many images there
        are. offset: () the sum over the keypoints of the smooth L1 loss, itself summed over x and y, divided by num_objects + 1e-4.
    """
    stacks: list[dict[str, nn.Variable]] = []
    for maps in outputs:
        heatmaps = [focal_loss(maps[f"{p}_heat"], targets[f"{p}_heat"], targets[f"num_{p}_peaks"], layout=layout) for p in POINTS]
        first, second = (at_cells(maps[f"{p}_tag"], targets[f"{p}_indices"], layout=layout) for p in CORNERS)
        pull, push = pull_and_push(first, second, targets["mask"])
        share = IMAGES_OF_A_GPU / F.maximum_scalar(targets["num_images"], 1.0)
        offset = offset_loss(maps, targets, layout=layout)
        stacks.append({"heatmap": F.add_n(*heatmaps), "pull": pull * share, "push": push * share, "offset": offset})
    return mean_over_stacks(stacks)


def pull_and_push(top_left: nn.Variable, bottom_right: nn.Variable, mask: nn.Variable) -> tuple[nn.Variable, nn.Variable]:
    """The losses of embeddings: the corners of an object belong together, different objects apart (Law and Deng 2018, CornerNet,
    arXiv:1808.01244, equations 4 and 5, margin 1; Newell et al. 2017, Associative Embedding, arXiv:1611.05424).

    Args:
        top_left, bottom_right: (B, 1, m), the embeddings at the corners of the objects.
        mask: (B, m), 1 where the row is an object, else 0.

    Returns:
        pull: (), squared distances from the mean of both corners, mean over an image's objects. push: (), by how much the means
        of two objects are nearer than 1, mean over an image's ordered pairs of different objects. Both are summed over images.
    """
    batch, objects = mask.shape
    first, second = (F.reshape(tags, (batch, objects)) for tags in (top_left, bottom_right))
    count = F.sum(mask, axis=1)
    pull = F.sum(0.5 * mask * F.squared_error(first, second), axis=1) / (count + 1e-4)
    mean = 0.5 * (first + second)
    shape = (batch, objects, objects)
    rows, columns = (F.broadcast(F.reshape(mean, part), shape) for part in ((batch, objects, 1), (batch, 1, objects)))
    is_pair = F.reshape(mask, (batch, objects, 1)) * F.reshape(mask, (batch, 1, objects))
    near = F.sum(is_pair * F.relu(1.0 - F.absolute_error(rows, columns)), axis=(1, 2))
    push = (near - count) / (count * (count - 1.0) + 1e-4)  # every object is as near to itself as can be: 1
    return F.sum(pull), F.sum(push)


def offset_loss(maps: Mapping[str, nn.Variable], targets: Mapping[str, nn.Variable], *, layout: Layout) -> nn.Variable:
    """The offsets' part of `triplet_losses`, of one stack."""
    errors = []
    for point in POINTS:
        found = at_cells(maps[f"{point}_regr"], targets[f"{point}_indices"], layout=layout)
        errors.append(smooth_l1(found, F.transpose(targets[f"{point}_offset"], (0, 2, 1))))
    total = F.add_n(*errors)
    mask = F.broadcast(F.reshape(targets["mask"], (total.shape[0], 1, total.shape[2])), total.shape)
    return F.sum(mask * total) / (targets["num_objects"] + 1e-4)
