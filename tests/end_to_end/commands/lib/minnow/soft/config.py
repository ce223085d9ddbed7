"""What can be chosen: what the detection task has, and the new loss's weight."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.tasks import ctdet


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config(ctdet.Config):
    square_weight: Annotated[float, Field(ge=0)] = 1.0
