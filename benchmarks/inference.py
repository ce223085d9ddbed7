"""From a JPEG file to boxes on a CPU: full-size ResNet-18 at 512x512 through OpenVINO and through NNabla.

    python benchmarks/inference.py      claim: OpenVINO has at least 20 times NNabla's images per second with AMX, 10 without

OpenVINO runs at the precision that `demo` and `predict` choose by themselves: bfloat16 with AMX, else float32.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

from centernet.experiment.assembly import Assembly, from_description
from centernet.experiment.description import Description
from centernet.experiment.detector import Detector, Options, detector
from centernet.experiment.inference_graph import Machine
from centernet.imaging.io import write_image
from centernet.inference.openvino_session import has_amx
from report import Claim, finish, interleaved

ROUNDS = 3
AIM = 20.0 if has_amx() else 10.0
SIDE = 512
IMAGE_SIZE = (375, 500)  # height, width: what VOC's are
NUM_CLASSES = 80
IMAGES = {"OpenVINO": 40, "NNabla": 2}  # of one measurement: both take about as long


def assembly() -> Assembly:
    """Task and network with initial values: the time does not depend on them."""
    description = Description(
        experiment={
            "task": {"name": "ctdet"},
            "model": {"backbone": {"name": "resnet", "num_layers": 18}, "neck": {"name": "deconv"}, "head": {"name": "conv"}},
        },
        class_names=tuple(f"class {i}" for i in range(NUM_CLASSES)),
        category_ids=tuple(range(NUM_CLASSES)),
        input_size=(SIDE, SIDE),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        stride=4,
        layout="nchw",
        input_channels=3,
    )
    return from_description(description, source="benchmark")


def photographs(folder: Path, number: int) -> list[str]:
    """JPEG files with smooth content, about as large as photographs."""
    rng = np.random.default_rng(0)
    paths = []
    for i in range(number):
        coarse = rng.integers(0, 256, (IMAGE_SIZE[0] // 25, IMAGE_SIZE[1] // 25, 3))
        image = coarse.repeat(25, axis=0).repeat(25, axis=1) + rng.integers(-8, 9, (*IMAGE_SIZE, 3))
        path = folder / f"{i:03}.jpg"
        write_image(path, image.clip(0, 255).astype(np.uint8))
        paths.append(str(path))
    return paths


def images_per_second(detect: Detector, paths: list[str]) -> Callable[[], float]:
    """A function that measures a list of files, one at a time, everything included."""

    def measure() -> float:
        start = perf_counter()
        detect.predict(paths)
        return len(paths) / (perf_counter() - start)

    return measure


def main() -> int:
    network = assembly()
    runtimes = {
        "OpenVINO": detector(network, Machine(runtime="openvino", extension="cpu"), Options()),
        "NNabla": detector(network, Machine(runtime="nnabla", extension="cpu"), Options()),
    }
    print(" against ".join(runtime.session.summary for runtime in runtimes.values()))
    with tempfile.TemporaryDirectory() as folder:
        paths = photographs(Path(folder), max(IMAGES.values()))
        for runtime in runtimes.values():
            runtime.predict(paths[0])  # builds, exports and compiles
        measures = {name: images_per_second(runtime, paths[: IMAGES[name]]) for name, runtime in runtimes.items()}
        values = interleaved(measures, rounds=ROUNDS, unit="images/s")
    best = {name: max(of_measure) for name, of_measure in values.items()}
    return finish(Claim("inference", best["OpenVINO"] / best["NNabla"], AIM, "ratio", at_least=True))


if __name__ == "__main__":
    sys.exit(main())
