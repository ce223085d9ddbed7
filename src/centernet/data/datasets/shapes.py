"""A data set without a download: textured shapes on busy backgrounds, rendered to JPEG files and COCO JSON from a seed."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.data.cache import exclusive, lock_for
from centernet.data.coco_json import read_coco_json
from centernet.data.datasets.base import COCO_MEAN, COCO_STD, Channels, DetectionDataset, PositiveChannels, Split, assemble
from centernet.data.rendering import OUTLINES, draw_scene
from centernet.errors import STRICT, DataError, OutputError
from centernet.imaging import io
from centernet.structures import Normalization

LOG = logging.getLogger(__name__)
DESCRIPTION = "shapes.json"  # what the folder was rendered from; its presence says that the folder is ours to replace
_VERSION = 2  # of the drawing: raised whenever the same settings give other pictures
_SPLITS: tuple[Split, ...] = ("train", "val")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    """What to render; the same settings give the same pixels anywhere."""

    seed: Annotated[int, Field(ge=0)] = 0
    num_train: Annotated[int, Field(ge=1)] = 2000
    num_val: Annotated[int, Field(ge=1)] = 200
    image_size: Annotated[int, Field(ge=32, le=4096)] = 128
    min_objects: Annotated[int, Field(ge=0)] = 1
    max_objects: Annotated[int, Field(ge=1)] = 4
    mean: Channels = COCO_MEAN
    std: PositiveChannels = COCO_STD

    def __post_init__(self) -> None:
        if self.min_objects > self.max_objects:
            raise ValueError(f"min_objects ({self.min_objects}) is above max_objects ({self.max_objects})")


def open_split(config: Config, root: Path, split: Split) -> DetectionDataset:
    """Open one split; the folder `root` is rendered first where it is not there or was rendered from other settings.

    Of several processes one renders and the others wait.

    Raises:
        DataError: the folder holds something else than rendered shapes.
        OutputError: it cannot be written.
    """
    if not _is_rendered(root, config):
        render(root, config)
    return assemble(
        read_coco_json(root / "annotations" / f"{split}.json"),
        split=split,
        classes=None,
        image_folder=root / split,
        normalization=Normalization(config.mean, config.std),
    )


def render(root: Path, config: Config, progress: Callable[[int, int], None] | None = None) -> None:
    """Write `train/`, `val/` (JPEG), `annotations/` (COCO JSON) and `shapes.json` into `root`; does nothing where they are.

    Everything is drawn in a folder beside `root` that is renamed at the end, so a folder that exists is complete.

    Args:
        root: the data folder; it may exist if it is empty or was rendered before.
        config: what to render.
        progress: called as progress(images done, images in all).

    Raises:
        DataError: `root` holds something else.
        OutputError: it cannot be written.
    """
    root = root.absolute()
    if root.exists() and not _is_ours(root):
        raise DataError(f"{root}: the folder holds other files than rendered shapes; choose an empty or new folder with --data_dir")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(lock_for(root)):
            if _is_rendered(root, config):  # another process was faster
                return
            LOG.info("%s: rendering %d images of shapes", root, config.num_train + config.num_val)
            with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}-") as folder:
                _render_into(Path(folder) / "new", config, progress)
                if root.exists():
                    root.rename(Path(folder) / "old")
                (Path(folder) / "new").rename(root)
    except OSError as error:
        raise OutputError(f"{root}: the rendered data set cannot be written: {error}") from error


def _render_into(root: Path, config: Config, progress: Callable[[int, int], None] | None) -> None:
    counts: dict[Split, int] = {"train": config.num_train, "val": config.num_val}
    done, total = 0, sum(counts.values())
    (root / "annotations").mkdir(parents=True)
    for stream, split in enumerate(_SPLITS):
        (root / split).mkdir()
        images: list[dict[str, object]] = []
        annotations: list[dict[str, object]] = []
        for index in range(counts[split]):
            rng = np.random.default_rng((config.seed, stream, index))
            num_objects = int(rng.integers(config.min_objects, config.max_objects + 1))
            image, boxes, class_ids = draw_scene(rng, size=config.image_size, num_objects=num_objects)
            name = f"{index + 1:06d}.jpg"
            io.write_image(root / split / name, image)
            images.append({"id": index + 1, "file_name": name, "height": config.image_size, "width": config.image_size})
            annotations += _annotations(boxes.tolist(), class_ids.tolist(), image_id=index + 1, first_id=len(annotations) + 1)
            done += 1
            if progress is not None:
                progress(done, total)
        categories = [{"id": number + 1, "name": name} for number, name in enumerate(OUTLINES)]
        tree = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations" / f"{split}.json").write_text(json.dumps(tree))
    (root / DESCRIPTION).write_text(json.dumps(_description(config)))


def _annotations(boxes: list[list[int]], class_ids: list[int], *, image_id: int, first_id: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for number, ((x1, y1, x2, y2), class_id) in enumerate(zip(boxes, class_ids, strict=True)):
        box = [x1, y1, x2 - x1, y2 - y1]
        found.append(
            {
                "id": first_id + number, "image_id": image_id, "category_id": class_id + 1,
                "bbox": box, "area": box[2] * box[3], "iscrowd": 0,
            }
        )  # fmt: skip
    return found


def _description(config: Config) -> dict[str, object]:
    drawn = {name: value for name, value in asdict(config).items() if name not in ("mean", "std")}
    return {"version": _VERSION, **drawn}


def _is_rendered(root: Path, config: Config) -> bool:
    try:
        found: object = json.loads((root / DESCRIPTION).read_text())
    except (OSError, ValueError):
        return False
    return found == _description(config)


def _is_ours(root: Path) -> bool:
    return root.is_dir() and ((root / DESCRIPTION).is_file() or not any(root.iterdir()))
