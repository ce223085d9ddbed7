"""What a task is: everything that depends on how objects become heads, targets, losses, detections and a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import nnabla as nn

from centernet.geometry.nms import SoftNms
from centernet.models.specs import HeadSpec, Layout
from centernet.structures import Annotations, Array, ClassTable, Detections, Grid, Sample

MetricProtocol = Literal["coco", "voc"]
Variables = Mapping[str, nn.Variable]  # a named part of a graph


class Metric(Protocol):
    """Collects detections image by image, on any number of processes, and turns them into numbers."""

    def update(self, image_index: int, detections: Detections) -> None:
        """Add the detections of one image, boxes in pixels of the original image.

        Raises:
            ValueError: the image is not one of the data set's, or was given before.
        """

    def state(self) -> dict[str, Array]:
        """All that was collected here, as arrays another process can be sent."""

    def merge(self, states: Sequence[Mapping[str, Array]]) -> None:
        """Take over what other processes collected; an image that is here already is not counted twice."""

    def compute(self) -> Mapping[str, object]:
        """The numbers; `AP` is the one by which the best model is chosen, `per_class` maps names to numbers."""

    def detections_json(self) -> list[dict[str, object]]:
        """The plain COCO result list, nothing rounded."""


class Task(Protocol):
    """All a task is; `tasks/<name>/__init__.py` exposes `Config` and `build(config, classes, *, layout) -> Task`.

    heads: what the network must output, in the published order.
    counts: names of the encoded entries which are counts. Whoever feeds the losses replaces each by its sum over the
        global batch (shape () in the graph), so that the losses of all processes add up to the loss of the global batch.
    loss_weights: factor of each loss in the total.
    published_names: each loss's name in the predecessor's monitor files.
    """

    @property
    def name(self) -> str: ...

    @property
    def heads(self) -> Mapping[str, HeadSpec]: ...

    @property
    def counts(self) -> tuple[str, ...]: ...

    @property
    def loss_weights(self) -> Mapping[str, float]: ...

    @property
    def published_names(self) -> Mapping[str, str]: ...

    def encode(self, sample: Sample, grid: Grid, *, out: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """The targets of one sample whose boxes are in network-input pixels; shapes depend on the grid only.

        Goes by itself to the processes that load data, which must not have to load NNabla for it.

        out: zeros, or what an earlier call for this grid returned: all of it is overwritten, and returned.
        """

    def ideal_outputs(self, targets: Mapping[str, Array], grid: Grid) -> dict[str, Array]:
        """What a perfect network would answer to a batch with these targets: raw NCHW head maps."""

    def losses(self, outputs: Sequence[Variables], targets: Variables) -> Variables:
        """Scalar losses by name, mean over the network's stacks, each already divided by the global counts."""

    def decode(self, outputs: Mapping[str, Array], *, k: int, stride: int) -> list[Detections]:
        """The k best detections of each image from raw NCHW head maps, in network-input pixels."""

    def decode_graph(self, outputs: Variables, *, k: int, stride: int, layout: Layout, flipped: bool = False) -> Variables:
        """The same as part of a graph; every output starts with (batch, k).

        flipped: the maps are those of n images followed by their mirror images, and are merged first; the batch is n.
        """

    def read_decoded(self, arrays: Mapping[str, Array]) -> list[Detections]:
        """The outputs of `decode_graph` as detections, one per image."""

    def merge_flipped(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        """The head maps of n images followed by those of their mirror images, as the maps of n images."""

    def merge_scales(
        self, parts: Sequence[Detections], *, limit: int, soft_nms: SoftNms | None = None, as_reference: bool = False
    ) -> Detections:
        """One image's detections at one or several test scales, in the same pixels, as one, the `limit` best.

        soft_nms: suppress among those of a class; None: nothing is suppressed. as_reference: as the official code does, with
        its faults (`geometry.nms.soft_nms_reference`).
        """

    def metric(
        self, annotations: Annotations, *, protocol: MetricProtocol, classes: ClassTable | None = None, inclusive_boxes: bool = True
    ) -> Metric:
        """The metric of a data set.

        classes: the task's classes with the data set's own category ids; None: those the task was made with. inclusive_boxes:
        as in `metrics.voc_ap.VocAP`, without meaning for COCO.
        """
