"""Golden 04: one annotated image on its way from a data set's files to the network's input and its targets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.data.augment import AugmentConfig
from centernet.data.datasets import coco, voc
from centernet.data.datasets.base import DetectionDataset, JsonSplit
from centernet.data.pipeline import Pipeline
from centernet.geometry.affine import transform_boxes
from centernet.geometry.gaussian import gaussian_radius
from centernet.imaging import color, io
from centernet.imaging.warp import fit_matrix, input_size_for, warp
from centernet.structures import Array, Grid
from centernet.tasks.ctdet.targets import encode_centers

GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # the ids that COCO left out between 1 and 90
CATEGORY_IDS = {"coco": [i for i in range(1, 91) if i not in GAPS], "pascal": list(range(1, 21))}
DEFAULT_SIDE = {"coco": 512, "pascal": 384}
# Our name of each target, and what the predecessor calls it.
PREDECESSOR = {"heatmap": "hm", "indices": "ind", "size": "wh", "offset": "reg", "mask": "reg_mask"}


def _open(root: Path, dataset: str, image: Array, categories: Array, boxes: Array) -> DetectionDataset:
    tree = {
        "images": [{"id": 1, "file_name": "image.png", "height": image.shape[0], "width": image.shape[1]}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": category, "bbox": box, "iscrowd": 0}
            for i, (category, box) in enumerate(zip(categories.tolist(), boxes.tolist(), strict=True))
        ],
        "categories": [{"id": i, "name": f"class {i}"} for i in CATEGORY_IDS[dataset]],
    }
    root.mkdir()
    io.write_image(root / "image.png", image)
    (root / "annotations.json").write_text(json.dumps(tree))
    if dataset == "coco":
        return coco.open_split(coco.Config(val=JsonSplit(images=".", annotations="annotations.json")), root, "val")
    return voc.open_split(voc.Config(val=voc.VocSplit(images=".", annotations="annotations.json")), root, "val")


def _options(words: list[str]) -> dict[str, str]:
    """`--name value` and `--flag` as a dictionary; a flag's value is empty."""
    options: dict[str, str] = {}
    for word in words:
        if word.startswith("--"):
            options[word] = ""
        else:
            options[list(options)[-1]] = word
    return options


def _augmentation(case: Mapping[str, Any], options: Mapping[str, str]) -> AugmentConfig | None:
    if case["split"] != "train":
        return None
    numbers = {name: float(options[f"--{name}"]) for name in ("shift", "scale", "flip") if f"--{name}" in options}
    return AugmentConfig(random_crop="--not_rand_crop" not in options, color="--no_color_aug" not in options, **numbers)


def _arrays(dataset: DetectionDataset, case: Mapping[str, Any]) -> dict[str, Array]:
    options = _options(case["cli"])
    side = DEFAULT_SIDE[case["dataset"]]
    configured = int(options.get("--input_h", side)), int(options.get("--input_w", side))
    encode = partial(encode_centers, num_classes=len(dataset.classes), max_objects=128, radius=gaussian_radius, min_overlap=0.7)
    channels = 4 if case["ctor"].get("mixed_precision") else 3
    layout: color.Layout = "nhwc" if case["ctor"].get("channel_last") else "nchw"
    if "--keep_res" not in options:
        augment = _augmentation(case, options)
        return Pipeline(dataset, Grid(*configured), encode, augment=augment, channels=channels, layout=layout)(0, 0)
    sample = dataset.sample(0)
    image_hw = height, width = sample.image.shape[:2]
    input_hw = input_size_for(image_hw, configured, keep_resolution=True)
    # The predecessor's detector rounds this centre down, its data set does not.
    matrix = fit_matrix(image_hw, input_hw, keep_resolution=True, center=(width / 2, height / 2))
    viewed = replace(sample, image=warp(sample.image, matrix, input_hw), boxes=transform_boxes(sample.boxes, matrix))
    return {"image": color.normalize(viewed.image, dataset.normalization), **encode(viewed, Grid(*input_hw))}


@pytest.mark.reference
def test_samples_equal_the_predecessors(reference: Path, tmp_path: Path) -> None:
    golden = np.load(reference / "nnabla" / "04_dataset_sample.npz")
    cases = json.loads(str(golden["meta_json"]))
    assert cases
    for case in cases:
        key = f"c{case['case']:02d}_"
        dataset = _open(tmp_path / key, case["dataset"], *(golden[key + name] for name in ("image", "ann_category", "ann_bbox_xywh")))
        arrays = _arrays(dataset, case)
        is_nhwc = case["ctor"].get("channel_last", False)
        _check_image(arrays["image"], golden, key, dataset, is_nhwc=is_nhwc)
        for ours, theirs in PREDECESSOR.items():
            expected = golden[key + theirs]
            if is_nhwc and ours == "heatmap":
                expected = expected.transpose(2, 0, 1)
            tolerance = 0 if ours in ("indices", "mask") else 1e-4
            np.testing.assert_allclose(arrays[ours], expected.reshape(arrays[ours].shape), atol=tolerance, rtol=0, err_msg=f"{case} {ours}")
        assert arrays["num_objects"] == case["n_mask"]


def _check_image(image: Array, golden: Mapping[str, Array], key: str, dataset: DetectionDataset, *, is_nhwc: bool) -> None:
    """The normalised image at every 5th pixel, and its grey levels before the normalisation."""
    assert image.shape == tuple(golden[key + "inp_shape"])
    every_5th = image[::5, ::5] if is_nhwc else image[:, ::5, ::5]
    np.testing.assert_allclose(every_5th, golden[key + "inp_stride5"], atol=0.02)
    np.testing.assert_allclose([image.mean(), image.std()], golden[key + "inp_mean_std"], atol=1e-3)
    bgr = image[..., :3] if is_nhwc else image.transpose(1, 2, 0)
    levels = np.rint((bgr * dataset.normalization.std + dataset.normalization.mean) * 255)
    expected = golden[key + "inp_u8"] if key + "inp_u8" in golden else golden[key + "inp_u8_stride3"]
    step = 1 if key + "inp_u8" in golden else 3
    assert np.abs(levels[::step, ::step] - expected).max() <= 1
