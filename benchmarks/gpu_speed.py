"""How fast a GPU trains and detects: `make gpu-speed`, at most eight minutes, one JSON file and one table.

    make gpu-speed [PYTHON=...]                           on a machine with a GPU; results in exp/gpu
    python benchmarks/gpu_speed.py --device cpu --quick      anywhere: whether this program works

Training at 512x512 of ResNet-18 and DLAv0-34 with 80 classes: images per second and peak memory at batch 32 and at the largest batch that
fits, in float32 NCHW, with TF32, and in half precision NHWC; with batches from memory and with JPEG files from the disk; beside PyTorch on
the same card with equal networks, autocast, channels_last and cudnn.benchmark, in the machine's own python3 ($CENTERNET_PYTORCH names
another). Inference at batch 1 and 32, decoded on the device. Images always come as bytes from the host.

Aims: half NHWC at least 1.8 times float32, and 0.8 times PyTorch; at most 3 % of the time is spent waiting for data.
"""

from __future__ import annotations

import sys
from itertools import product

from gpu_beside import pytorch, pytorch_largest
from gpu_networks import NETWORKS
from gpu_parts import Part, Row, main
from gpu_throughput import MODES, inference, largest, real_input, training

OF_HALF, OF_PYTORCH = 1.8, 0.8


def summary(values: dict[str, float]) -> list[Row]:
    """The ratios that the aims are about."""
    rows = []
    for name in NETWORKS:
        half = values.get(f"train {name} half")
        for other, aim in ((f"train {name} float32", OF_HALF), (f"PyTorch train {name} half", OF_PYTORCH)):
            if half is not None and other in values:
                rows.append(Row(what=f"half over {other}", value=half / values[other], unit="times", aim=aim, at_least=True))
    return rows


def parts() -> list[Part]:
    """What the aims are about first: the last ones may find no time left."""

    def trained(mode: str, name: str) -> Part:
        return Part(f"train-{mode}-{name}", training(name, mode), 45, mode == "TF32", MODES[mode][0])

    def from_files(mode: str, name: str) -> Part:
        return Part(f"files-{mode}-{name}", real_input(name, mode), 50, mode == "TF32", MODES[mode][0])

    def detecting(mode: str, name: str) -> Part:
        return Part(f"detect-{mode}-{name}", inference(name, mode), 40, False, MODES[mode][0])

    def searched(mode: str, name: str) -> Part:
        return Part(f"largest-{mode}-{name}", largest(name, mode), 40, mode == "TF32", MODES[mode][0])

    return [
        *(trained(mode, name) for name, mode in product(NETWORKS, ("half", "float32"))),
        *(Part(f"pytorch-{name}", pytorch(name), 60) for name in NETWORKS),
        *(from_files("half", name) for name in NETWORKS),
        *(detecting(mode, "resnet_18") for mode in ("half", "float32")),
        *(trained("TF32", name) for name in NETWORKS),
        *(searched("half", name) for name in NETWORKS),
        *(Part(f"pytorch-largest-{name}", pytorch_largest(name), 50) for name in NETWORKS),
        *(detecting(mode, "dlav0_34") for mode in ("half", "float32")),
        *(searched("float32", name) for name in NETWORKS),
        *(from_files("float32", name) for name in NETWORKS),
        *(searched("TF32", name) for name in NETWORKS),
        *(from_files("TF32", name) for name in NETWORKS),
    ]


if __name__ == "__main__":
    sys.exit(main("How fast a GPU trains and detects", parts(), summary))
