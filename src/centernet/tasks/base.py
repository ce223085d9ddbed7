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

    def overall(self) -> Mapping[str, float]:
        """`AP` and `AP50` of `compute` alone, which may be had sooner."""

    def detections_json(self) -> list[dict[str, object]]:
        """The plain COCO result list, nothing rounded."""


class Task(Protocol):
    """All a task is; `tasks/<name>/__init__.py` exposes `Config` and `build(config, classes, *, layout) -> Task`.

    And where networks of it were published: `PUBLISHED`, the sections of a YAML file that all such have in common;
    `read_heads(channels)`, which tells by the heads whether a published file is the task's; `DETECTS_BY`, words for errors.

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

    def oracles(self, sample: Sample, grid: Grid) -> dict[str, dict[str, Array]]:
        """What a network would answer to one image if it knew one thing perfectly, by what that is: head maps, (1, C, h, w) by name.

        Heads that only say something together are one thing. Unlike in `ideal_outputs`, numbers are right wherever detections may
        read them, not only where they are trained. All of the sample's objects, in network-input pixels, are to be found.
        """

    def losses(self, outputs: Sequence[Variables], targets: Variables) -> Variables:
        """Scalar losses by name, mean over the network's stacks, each already divided by the global counts."""

    def decode(self, outputs: Mapping[str, Array], *, k: int, grid: Grid, flipped: bool = False) -> list[Detections]:
        """The k best detections of each image from raw NCHW head maps, best first, in network-input pixels.

        They are more than k where `merge_scales` has yet to choose among them, and fewer where the maps hold no more.

        grid: of the network's input. flipped: the maps are those of n images followed by their mirror images; the views are
        merged, and the detections are those of n images.
        """

    def decode_graph(self, outputs: Variables, *, k: int, grid: Grid, layout: Layout, flipped: bool = False) -> Variables:
        """The same as part of a graph; every output starts with (batch, number of detections), the same number for every image."""

    def read_decoded(self, arrays: Mapping[str, Array], *, k: int) -> list[Detections]:
        """The outputs of `decode_graph` as detections, one per image: what `decode` would have answered for this k or, where the
        graph was made for fewer, all there are."""

    @property
    def suppression(self) -> SoftNms | None:
        """How `merge_scales` suppresses where nothing else is asked for; None: not at all."""

    def merge_scales(
        self, parts: Sequence[Detections], *, limit: int, soft_nms: SoftNms | None = None, as_reference: bool = False
    ) -> Detections:
        """What `decode` found in one image at one or several test scales, in the same pixels, as one, the `limit` best.

        soft_nms: suppress among those of a class; None: as `suppression` says. as_reference: as the official code does, with
        its faults (`geometry.nms.soft_nms_reference`).
        """

    def shown_maps(self, outputs: Mapping[str, Array], *, flipped: bool = False) -> dict[str, Array]:
        """Raw NCHW head maps as people are shown them, one per image: heatmaps in [0, 1], the rest as it is.

        flipped: as in `decode`; where maps of two views cannot be merged, those of the images themselves are shown.
        """

    def possible(self, outputs: Mapping[str, Array], *, grid: Grid, lowest: float, score_slack: float, map_slack: float) -> Detections:
        """All that a network may answer to one image whose maps equal these raw NCHW maps but for rounding, whatever its k.

        lowest: score from which detections matter. score_slack: how far scores may be off by rounding, in [0, 1]. map_slack: how
        far the maps that are no heatmaps may be.
        """

    def metric(
        self, annotations: Annotations, *, protocol: MetricProtocol, classes: ClassTable | None = None, inclusive_boxes: bool = True
    ) -> Metric:
        """The metric of a data set.

        classes: the task's classes with the data set's own category ids; None: those the task was made with. inclusive_boxes:
        as in `metrics.voc_ap.VocAP`, without meaning for COCO.
        """
