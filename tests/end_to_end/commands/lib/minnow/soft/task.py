"""The detection task with one more loss, and targets made by code of its own, which the loader's workers must find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import nnabla.functions as F

from centernet.tasks.base import Variables
from centernet.tasks.ctdet.task import CenterDetection
from minnow.soft.config import Config
from minnow.soft.targets import encode


class SoftDetection(CenterDetection):
    """See `tasks.base.Task`."""

    name = "soft"
    config: Config

    @property
    def encode(self) -> Any:
        return partial(encode, detection=super().encode)

    @property
    def published_names(self) -> Mapping[str, str]:
        return {**super().published_names, "square": "square_loss"}

    @property
    def loss_weights(self) -> Mapping[str, float]:
        return {**dict.fromkeys(super().published_names, 1.0), "square": self.config.square_weight}

    def losses(self, outputs: Sequence[Variables], targets: Variables) -> Variables:
        heatmap = targets["heatmap"]
        square = F.mean(F.squared_error(F.sigmoid(outputs[0]["heatmap"]), heatmap))
        return {**super().losses(outputs, targets), "square": square}
