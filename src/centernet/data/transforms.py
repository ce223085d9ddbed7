"""Transforms of the albumentations library as a step of the input pipeline, named and checked where the YAML lists them."""

from __future__ import annotations

import inspect
import logging
import random
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
from pydantic import Field, JsonValue, model_serializer, model_validator
from pydantic.dataclasses import dataclass

from centernet.data.transform_library import LIBRARY, PATH, construct, load_library, supported, text_of
from centernet.errors import STRICT, ConfigError, DataError, did_you_mean
from centernet.structures import Array, Sample

LOG = logging.getLogger(__name__)
LEAST_SIDE = 1.0  # pixels: a box of which less is left inside the image is dropped

# Groups choose among the transforms they are given; the two others are what this module wraps the list in.
_GROUPS = ("OneOf", "OneOrOther", "RandomOrder", "Sequential", "SomeOf")
_REFUSED = {
    "Compose": "is what the list is already; use Sequential for a group",
    "ReplayCompose": "is what the list is already; use Sequential for a group",
    "SelectiveChannelTransform": "does not move boxes",
    "Lambda": "needs functions, which YAML cannot hold",
    "Morphological": "gives every object the same box, the one around all of them",
}
_PROBE_SIZES = ((240, 320), (1536, 2048))  # (height, width); the large one for crops that do not fit into the small one
_PROBE_VIEWS = 3


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TransformConfig:
    """An entry of the list: `{name: GaussianBlur, p: 0.3, blur_limit: [3, 7]}`, or a group `{name: OneOf, transforms: [...]}`.

    name: a class of albumentations. arguments: all other keys, handed to it. transforms: what a group chooses from.
    """

    name: str
    arguments: Mapping[str, JsonValue] = Field(default_factory=dict)
    transforms: tuple[TransformConfig, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        """Flat as in the YAML, to name, arguments and transforms."""
        if not isinstance(value, dict):
            return value
        own = {key: value[key] for key in ("name", "transforms") if key in value}
        if isinstance(own.get("transforms"), list):
            own["transforms"] = tuple(own["transforms"])  # what has passed through Python is a tuple only if it is one
        return {**own, "arguments": {key: value[key] for key in value if key not in own}}

    @model_serializer
    def _flatten(self) -> dict[str, Any]:
        members = {} if self.transforms is None else {"transforms": list(self.transforms)}
        return {"name": self.name, **self.arguments, **members}


class LibraryTransform:
    """A list of transforms as one, a function of the sample and the random numbers it is given.

    It travels to other processes as its configuration, and each thread has objects of its own: the library's keep state.
    """

    def __init__(self, configs: Sequence[TransformConfig], path: str) -> None:
        self._configs, self._path = tuple(configs), path
        self._own = threading.local()

    def __reduce__(self) -> tuple[Any, ...]:
        return LibraryTransform, (self._configs, self._path)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Vary a sample.

        Args:
            sample: boxes may reach beyond the image. Not modified.
            rng: where all choices come from.

        Returns:
            An image of perhaps another size, and the boxes that still are at least `LEAST_SIDE` wide and high in it, clipped to
            it, with their classes; the same boxes where no transform of the list moves any.

        Raises:
            DataError: the library fails on this sample; the text names it.
        """
        if not hasattr(self._own, "compose"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # `build` has logged them
                library = load_library(self._path)
                self._own.compose = _compose(library, [_make(library, each, where) for where, each in _listed(self._configs, self._path)])
        try:
            return _apply(self._own.compose, sample, rng)
        except Exception as error:  # whatever the library raises
            raise DataError(f"{sample.name}: {self._path}: {text_of(error)} (image {_size(sample.image)})") from error


def build(configs: Sequence[TransformConfig], *, path: str = PATH) -> LibraryTransform:
    """Check a list of transforms, each on a made-up image, and make one of it.

    Args:
        configs: the list.
        path: what to call the list in messages.

    Raises:
        ConfigError: albumentations is not installed or is another version; a name or an argument it does not know or accept; a
            transform that needs more than image and boxes, cannot move boxes, or makes something else than a colour image.
    """
    library = load_library(path)
    for where, config in _listed(configs, path):
        _check(library, config, where)
    return LibraryTransform(configs, path)


def _listed(configs: Sequence[TransformConfig], path: str) -> Iterator[tuple[str, TransformConfig]]:
    return ((f"{path}.{number}", config) for number, config in enumerate(configs))


def _check(library: ModuleType, config: TransformConfig, where: str) -> None:
    """Raise ConfigError for what is wrong with an entry or, in a group, with one of its members."""
    kind = supported(library).get(config.name)
    if kind is None:
        raise ConfigError(f"{where}.name: {LIBRARY} has no '{config.name}'{did_you_mean(config.name, supported(library))}")
    if config.name in _REFUSED:
        raise ConfigError(f"{where}: {config.name} {_REFUSED[config.name]}")
    is_group = config.name in _GROUPS
    if is_group and not config.transforms:
        raise ConfigError(f"{where}.transforms: {config.name} chooses from a list of transforms, found none")
    if not is_group and config.transforms is not None:
        raise ConfigError(f"{where}.transforms: {config.name} takes no transforms; groups are {', '.join(_GROUPS)}")
    for place, member in _listed(config.transforms or (), f"{where}.transforms"):
        _check(library, member, place)
    known = [name for name in inspect.signature(kind).parameters if name not in ("transforms", "first", "second")]
    for name in config.arguments:
        if name not in known:
            raise ConfigError(f"{where}.{name}: {config.name} has no such argument{did_you_mean(name, known)}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        transform = _make(library, config, where)
    for warning in caught:
        LOG.warning("%s: %s", where, warning.message)
    if not is_group:
        _check_needs(library, transform, f"{where}: {config.name}")
        transform.p = 1.0
    given = ", ".join(f"{name}: {value}" for name, value in config.arguments.items() if name != "p")
    _probe(_compose(library, [transform]), f"{where}: {config.name}" + (f" with {given}" if given else ""))


def _check_needs(library: ModuleType, transform: Any, what: str) -> None:
    if isinstance(transform, library.Transform3D):
        raise ConfigError(f"{what} works on volumes, not on images")
    if not isinstance(transform, library.ImageOnlyTransform) and "bboxes" not in _targets(transform):
        raise ConfigError(f"{what} does not move boxes")
    more = sorted(set(transform.targets_as_params) - {"image", "bboxes"})
    if more:
        raise ConfigError(f"{what} needs {', '.join(more)}; a sample has an image and boxes only")


def _targets(transform: Any) -> set[str]:
    declared = transform._targets if isinstance(transform._targets, tuple) else (transform._targets,)
    return {target.value.lower() for target in declared}


def _make(library: ModuleType, config: TransformConfig, where: str) -> Any:
    """The library's object for an entry whose name and argument names are known to be right; ConfigError for wrong values."""
    kind = supported(library)[config.name]
    arguments: dict[str, Any] = dict(config.arguments)
    p = arguments.get("p", 1)
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:  # groups do not look
        raise ConfigError(f"{where}.p: found {p!r}, expected a number from 0 to 1")
    if config.transforms is not None:
        arguments["transforms"] = [_make(library, member, place) for place, member in _listed(config.transforms, f"{where}.transforms")]
    return construct(kind, arguments, where)


def _compose(library: ModuleType, transforms: Sequence[Any]) -> Any:
    if not any(_moves(library, transform) for transform in transforms):
        return library.Compose(transforms)
    # Clipping a box that then has no side left is an error to the library unless it drops such boxes.
    sides = {"min_width": LEAST_SIDE, "min_height": LEAST_SIDE}
    return library.Compose(transforms, bbox_params=library.BboxParams("pascal_voc", clip=True, filter_invalid_bboxes=True, **sides))


def _moves(library: ModuleType, transform: Any) -> bool:
    if isinstance(transform, library.BaseCompose):
        return any(_moves(library, member) for member in transform.transforms)
    return not isinstance(transform, library.ImageOnlyTransform)


def _apply(compose: Any, sample: Sample, rng: np.random.Generator) -> Sample:
    compose.set_random_state(rng, random.Random(int(rng.integers(2**63))))
    rgb = _mirror_channels(sample.image)
    if not compose.processors:
        return replace(sample, image=_mirror_channels(compose(image=rgb)["image"]))
    labelled = np.column_stack([sample.boxes, sample.class_ids])  # a class is the fifth column, which `bbox_labels` speaks of
    result = compose(image=rgb, bboxes=labelled)
    boxes = np.asarray(result["bboxes"]).reshape(-1, 5) if len(result["bboxes"]) else np.zeros((0, 5))
    return replace(sample, image=_mirror_channels(result["image"]), boxes=boxes[:, :4], class_ids=boxes[:, 4].round())


def _mirror_channels(image: Array) -> Array:
    """BGR to RGB, or back; plane by plane is three times as fast as `image[..., ::-1].copy()`."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"makes images of {image.dtype} and shape {image.shape}, expected uint8 and (height, width, 3)")
    result = np.empty_like(image, order="C")
    for channel in range(3):
        result[..., channel] = image[..., 2 - channel]
    return result


def _probe(compose: Any, what: str) -> None:
    """Run it on a made-up image, on a larger one if that fails."""
    failure: Exception | None = None
    for height, width in _PROBE_SIZES:
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        places = np.array([[0.1, 0.1, 0.5, 0.4], [0.4, 0.3, 0.9, 0.9], [0.6, 0.1, 0.8, 0.3]]) * [width, height, width, height]
        sample = Sample(image=image, boxes=places, class_ids=np.arange(3))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # the library warns where it does nothing
                for view in range(_PROBE_VIEWS):
                    _apply(compose, sample, np.random.default_rng(view))
            return
        except Exception as error:  # whatever the library raises
            failure = error
    assert failure is not None
    raise ConfigError(f"{what}: {text_of(failure)}") from failure


def _size(image: Array) -> str:
    return f"{image.shape[0]}x{image.shape[1]}"
