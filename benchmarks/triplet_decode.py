"""Images per second of one core from raw head maps of keypoint triplets to boxes, beside the same in plain loops.

    python benchmarks/triplet_decode.py      claims: at least 100 images/s, and 5 times the loops

Maps of 128x128, 80 classes, 70 cells of each heatmap, soft-NMS that moves corners included: noise with 30 objects in it. The
loops compare all cells with their neighbourhoods at once, and then go from pair to pair and from centre to centre. CPU time, so
that other work on the machine matters little.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from statistics import median
from time import process_time

import numpy as np

from centernet.geometry.nms import SoftNms
from centernet.structures import Array, Detections, Grid
from centernet.tasks._keypoints.decode import merge_scales, neighbourhood_maximum
from centernet.tasks.triplet.decode import SMALL_AREA, decode_triplets
from centernet.tasks.triplet.targets import CORNERS, POINTS
from report import Claim, finish, interleaved

AIM, RATIO = 100.0, 5.0
ROUNDS, IMAGES = 9, 5
GRID, CLASSES, CORNERS_OF_A_MAP, KEPT = Grid(511, 511), 80, 70, 100
AE_THRESHOLD = 0.5
OBJECTS = 30
Keypoint = tuple[float, float, float, int, float]  # score, x, y, class id, embedding


def head_maps(seed: int) -> dict[str, Array]:
    """The raw maps of one image: noise, and objects whose keypoints stand out."""
    rng = np.random.default_rng(seed)
    cells = GRID.cells
    maps = {f"{point}_heat": rng.normal(-6, 1, (1, CLASSES, *cells)).astype(np.float32) for point in POINTS}
    maps |= {f"{point}_tag": rng.normal(size=(1, 1, *cells)).astype(np.float32) for point in CORNERS}
    maps |= {f"{point}_regr": rng.random((1, 2, *cells)).astype(np.float32) for point in POINTS}
    for number in range(OBJECTS):
        class_id = rng.integers(CLASSES)
        x1, y1 = rng.integers(0, 100, 2)
        width, height = rng.integers(4, 28, 2)
        places = {"tl": (x1, y1), "br": (x1 + width, y1 + height), "ct": (x1 + width // 2, y1 + height // 2)}
        for point, (x, y) in places.items():
            maps[f"{point}_heat"][0, class_id, y, x] = rng.normal(2, 1)
            if point in CORNERS:
                maps[f"{point}_tag"][0, 0, y, x] = 3 * number
    return maps


def finished(found: Detections) -> Detections:
    return merge_scales([found], limit=KEPT, soft_nms=SoftNms(), corner_power=10.0)


def product(maps: Mapping[str, Array]) -> Detections:
    """The objects of one image as `test` finds them."""
    (found,) = decode_triplets(maps, k=KEPT, grid=GRID, corners=CORNERS_OF_A_MAP, ae_threshold=AE_THRESHOLD)
    return finished(found)


def best_cells(maps: Mapping[str, Array], point: str) -> list[Keypoint]:
    """The best maxima of one heatmap."""
    heatmap = maps[f"{point}_heat"][0]
    scores = 1 / (1 + np.exp(-heatmap.astype(np.float64)))
    scores[heatmap < neighbourhood_maximum(heatmap)] = 0
    found = []
    for cell in np.argsort(-scores, axis=None)[:CORNERS_OF_A_MAP]:
        class_id, y, x = np.unravel_index(cell, scores.shape)
        dx, dy = maps[f"{point}_regr"][0, :, y, x]
        tag = maps[f"{point}_tag"][0, 0, y, x] if point in CORNERS else 0.0
        found.append((float(scores[class_id, y, x]), float(x + dx), float(y + dy), int(class_id), float(tag)))
    return found


def loops(maps: Mapping[str, Array]) -> Detections:
    """The same, pair by pair and centre by centre."""
    top_left, bottom_right, centers = (best_cells(maps, point) for point in POINTS)
    pixels, found = GRID.width / GRID.cells[1], []
    for score, left, top, class_id, tag in top_left:
        for other_score, right, bottom, other_class_id, other_tag in bottom_right:
            if class_id != other_class_id or abs(tag - other_tag) > AE_THRESHOLD or right < left or bottom < top:
                continue
            box = (left * pixels, top * pixels, right * pixels, bottom * pixels)
            center = first_inside(box, class_id, centers, pixels)
            if center is not None:
                found.append((*box, (score + other_score + center) / 3, class_id, score, other_score))
    table = np.array(sorted(found, key=lambda row: -row[4])).reshape(-1, 8)
    return finished(Detections(table[:, :4], table[:, 4], table[:, 5].astype(int), corner_scores=table[:, 6:]))


def first_inside(box: tuple[float, ...], class_id: int, centers: list[Keypoint], pixels: float) -> float | None:
    """The score of the first centre in the box's central region."""
    x1, y1, x2, y2 = box
    share = 1 / 3 if (x2 - x1) * (y2 - y1) <= SMALL_AREA else 2 / 5
    across, down = share * (x2 - x1), share * (y2 - y1)
    for score, x, y, own, _ in centers:
        if own == class_id and x1 + across < x * pixels < x2 - across and y1 + down < y * pixels < y2 - down:
            return score
    return None


def images_per_second(decode: Callable[[Mapping[str, Array]], Detections], images: list[dict[str, Array]]) -> Callable[[], float]:
    """A function that measures the images once."""

    def measure() -> float:
        start = process_time()
        for maps in images:
            decode(maps)
        return len(images) / (process_time() - start)

    return measure


def main() -> int:
    images = [head_maps(seed) for seed in range(IMAGES)]
    for maps in images:
        found, expected = product(maps), loops(maps)
        if len(found) != len(expected) or not np.allclose(found.boxes, expected.boxes, atol=1e-2):
            raise SystemExit("the two do not find the same objects")
    measures = {"decode_triplets": images_per_second(product, images), "loops": images_per_second(loops, images)}
    values = interleaved(measures, rounds=ROUNDS, unit="images/s")
    middle = {name: median(of_measure) for name, of_measure in values.items()}
    ratio = median(one / other for one, other in zip(values["decode_triplets"], values["loops"], strict=True))
    print(f"median of {ROUNDS} rounds, images/s on one core: " + ", ".join(f"{name} {value:.0f}" for name, value in middle.items()))
    return finish(
        Claim("triplet_decode", middle["decode_triplets"], AIM, "images/s", at_least=True),
        Claim("triplet_decode over loops", ratio, RATIO, "ratio", at_least=True),
    )


if __name__ == "__main__":
    sys.exit(main())
