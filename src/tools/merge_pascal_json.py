#!/usr/bin/env python3
"""Join the COCO-style JSON of VOC 2007 and 2012, train and val, into pascal_trainval0712.json.

    merge_pascal_json.py -a annotations [-o OUTPUT_FOLDER]

Needs nothing but Python 3.8 or later.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

# The order of the images in the file that published models were trained from.
PARTS = ("pascal_train2012.json", "pascal_val2012.json", "pascal_train2007.json", "pascal_val2007.json")
MERGED = "pascal_trainval0712.json"


def merge(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """All images and annotations; annotation ids, which count from 1 in each part, go on where the part before stopped."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for part in parts:
        before = len(annotations)
        images.extend(part["images"])
        annotations.extend({**annotation, "id": annotation["id"] + before} for annotation in part["annotations"])
    return {"images": images, "type": parts[0]["type"], "annotations": annotations, "categories": parts[0]["categories"]}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-a", "--annotation-path", type=Path, required=True, help=f"the folder with {', '.join(PARTS)}")
    parser.add_argument("-o", "--output-path", type=Path, help=f"the folder for {MERGED}; without it, the same folder")
    options = parser.parse_args(arguments)
    try:
        merged = merge([json.loads((options.annotation_path / name).read_text()) for name in PARTS])
    except (OSError, ValueError, KeyError) as error:
        print(f"{options.annotation_path}: cannot merge: {error!r}; expected {', '.join(PARTS)}", file=sys.stderr)
        return 2
    folder = options.output_path or options.annotation_path
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{MERGED}.part"
    part.write_text(json.dumps(merged))
    part.replace(folder / MERGED)
    print(f"{folder / MERGED}: {len(merged['images'])} images, {len(merged['annotations'])} objects")
    return 0


if __name__ == "__main__":
    sys.exit(main())
