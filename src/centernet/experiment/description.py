"""What a model file says about itself, so that nothing but the file is needed to use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic import dataclasses as pydantic_dataclasses

from centernet import config
from centernet.config import Tree
from centernet.errors import STRICT, ConfigError, WeightsError
from centernet.structures import ClassTable, Normalization

FORMAT = 1  # of the JSON text; files of a later format are refused, not guessed at

Positive = Annotated[int, Field(gt=0)]
Triple = tuple[float, float, float]


@pydantic_dataclasses.dataclass(frozen=True, kw_only=True, config=STRICT)
class Description:
    """The JSON text of the HDF5 root attribute `centernet` and of the entry `centernet.json` of an .nnp.

    experiment: the sections `task`, `data`, `model` it was trained with (without the data's root folder).
    class_names, category_ids: class id → name, and → id in the annotation file. input_size: (height, width) in pixels.
    mean, std: of a BGR pixel / 255. stride: input pixels per heatmap cell.
    """

    experiment: dict[str, dict[str, Any]]
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    input_size: tuple[Positive, Positive]
    mean: Triple
    std: Triple
    stride: Positive
    layout: Literal["nchw", "nhwc"] = "nchw"
    input_channels: Literal[3, 4] = 3
    format: int = FORMAT

    @property
    def classes(self) -> ClassTable:
        return ClassTable(self.class_names, self.category_ids)

    @property
    def normalization(self) -> Normalization:
        return Normalization(self.mean, self.std)

    def to_tree(self) -> Tree:
        return config.to_tree(self)

    def to_json(self) -> str:
        return json.dumps(self.to_tree())


def read(tree: Mapping[str, Any] | str, *, source: str) -> Description:
    """The description a file holds, as a mapping or its JSON text.

    Raises:
        WeightsError: it is not one, or of a later format than this version of the project knows.
    """
    if isinstance(tree, str):
        try:
            tree = json.loads(tree)
        except json.JSONDecodeError as error:
            raise WeightsError(f"{source}: its description is not JSON: {error}") from None
    if not isinstance(tree, Mapping):
        raise WeightsError(f"{source}: its description is {type(tree).__name__}, expected a JSON object")
    if isinstance(tree.get("format"), int) and tree["format"] > FORMAT:
        raise WeightsError(f"{source}: its description has format {tree['format']}, this version reads up to {FORMAT}; update the package")
    try:
        return config.validate(Description, tree, source=source)
    except ConfigError as error:
        raise WeightsError(f"{error} (in the file's own description)") from None
