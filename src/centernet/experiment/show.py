"""Pictures of what a training is fed with: augmented samples with their boxes, and the target heatmaps over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from centernet.data import sampler
from centernet.data.pipeline import COLOR, Encode, Pipeline
from centernet.experiment.assembly import assemble, open_split
from centernet.experiment.batches import pipeline
from centernet.experiment.output import make_folder
from centernet.experiment.schema import ExperimentConfig
from centernet.imaging import color, draw
from centernet.imaging.io import write_image
from centernet.imaging.warp import resize_for_scale
from centernet.structures import Array, Grid, Normalization, Sample
from centernet.tasks.base import Task

TILE_HEIGHT = 320
SHEET_WIDTH, MOST_COLUMNS, ROWS = 1400, 4, 3  # what fits on a screen; in pixels, and in tiles
NAME_LENGTH = 16  # letters that fit over a square tile beside a number

Tile = tuple[str, Array]  # caption and picture


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What was drawn.

    files: the sheets. names: the image behind each sample. input_size: (height, width) in that epoch.
    skipped: why images were left out, a text each. num_emptied: samples all of whose objects a transform took.
    """

    files: tuple[Path, ...]
    names: tuple[str, ...]
    input_size: tuple[int, int]
    skipped: tuple[str, ...]
    num_emptied: int


@dataclass(frozen=True, kw_only=True)
class _Fed:
    """A sample as the network and the losses get it: boxes in pixels of the image, colours made visible again, the targets."""

    sample: Sample
    targets: Mapping[str, Array]
    skipped: tuple[str, ...]
    is_emptied: bool


def show(config: ExperimentConfig, folder: Path, *, num_samples: int, epoch: int = 0) -> Shown:
    """Draw the samples an epoch of training begins with: `samples_N.png` with boxes, and `NAME_N.png` of each target heatmap.

    Args:
        num_samples: at most so many, > 0.
        epoch: >= 0; another one begins with others, and sees each in another way.

    Raises:
        CenterNetError: whatever the configuration, the data set or the output folder have wrong.
    """
    dataset = open_split(config.data, "train")
    assembly = assemble(config, dataset.classes, dataset.normalization)
    make_folder(folder)
    seen: list[Sample] = []
    samples = pipeline(config, assembly, dataset, is_training=True, color_on="device", encode=_recording(assembly.task, seen))
    indices = sampler.order(len(dataset), seed=config.train.seed, epoch=epoch)[:num_samples]
    fed = [_feed(samples, seen, epoch, int(index), dataset.normalization) for index in indices]
    grid = samples.grid_of(epoch)
    title = f"epoch {epoch}, input {grid.height}x{grid.width}"
    files = _write(folder, "samples", f"Training samples: {title}", [_boxes_tile(one, dataset.classes.names) for one in fed])
    for name in _heatmap_names(assembly.task):
        files += _write(folder, name, f"Targets '{name}': {title}", [_heatmap_tile(one, name) for one in fed])
    return Shown(
        files=tuple(files),
        names=tuple(one.sample.name for one in fed),
        input_size=(grid.height, grid.width),
        skipped=tuple(dict.fromkeys(text for one in fed for text in one.skipped)),
        num_emptied=sum(one.is_emptied for one in fed),
    )


def _recording(task: Task, seen: list[Sample]) -> Encode:
    """The task's encoder, which also keeps the samples it was given."""

    def encode(sample: Sample, grid: Grid, *, out: Mapping[str, Array] | None = None) -> Mapping[str, Array]:
        seen.append(sample)
        return task.encode(sample, grid, out=out)

    return encode


def _feed(samples: Pipeline, seen: list[Sample], epoch: int, index: int, normalization: Normalization) -> _Fed:
    item = samples.item(epoch, index)
    sample = seen[-1]
    normalized = color.apply_color(sample.image, item.arrays[COLOR])
    levels = (normalized * np.asarray(normalization.std) + np.asarray(normalization.mean)) * 255
    visible = Sample(
        image=np.rint(np.clip(levels, 0, 255)).astype(np.uint8), boxes=sample.boxes, class_ids=sample.class_ids, name=item.name
    )
    return _Fed(sample=visible, targets=item.arrays, skipped=tuple(why for _, why in item.skipped), is_emptied=item.is_emptied)


def _heatmap_names(task: Task) -> Iterator[str]:
    return (name for name, head in task.heads.items() if head.kind == "heatmap")


def _boxes_tile(fed: _Fed, class_names: Sequence[str]) -> Tile:
    sample = fed.sample
    height, width = sample.image.shape[:2]
    in_view = (sample.boxes[:, 2:] > 0).all(axis=1) & (sample.boxes[:, :2] < [width, height]).all(axis=1)
    picture = draw.draw_boxes(sample.image, sample.boxes, sample.class_ids, class_names, height=TILE_HEIGHT)
    return _caption(sample.name, int(in_view.sum()), "object"), picture


def _heatmap_tile(fed: _Fed, name: str) -> Tile:
    heatmap, image = fed.targets[name], fed.sample.image
    enlarged = resize_for_scale(image, TILE_HEIGHT / image.shape[0])  # before it glows, so that small objects do visibly
    return _caption(fed.sample.name, int((heatmap >= 1).sum()), "peak"), draw.heatmap_overlay(enlarged, heatmap)


def _caption(path: str, number: int, what: str) -> str:
    """Of a long name the end, which is what differs."""
    name = Path(path).stem
    name = name if len(name) <= NAME_LENGTH else f"…{name[1 - NAME_LENGTH :]}"
    return f"{name}: {number} {what}{'' if number == 1 else 's'}"


def _write(folder: Path, name: str, title: str, tiles: Sequence[Tile]) -> list[Path]:
    """Sheets of a few rows each."""
    widest = max(picture.shape[1] for _, picture in tiles)
    columns = min(max(SHEET_WIDTH // widest, 1), MOST_COLUMNS)
    files: list[Path] = []
    for first in range(0, len(tiles), columns * ROWS):
        part = tiles[first : first + columns * ROWS]
        rows = [part[i : i + columns] for i in range(0, len(part), columns)]
        files.append(folder / f"{name}_{len(files) + 1}.png")
        write_image(files[-1], draw.contact_sheet(rows, tile_height=TILE_HEIGHT, title=title))
    return files
