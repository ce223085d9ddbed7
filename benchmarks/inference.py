"""From JPEG files to boxes on a CPU: full-size ResNet-18 at 512x512 with default settings, against PyTorch and against NNabla.

    python benchmarks/inference.py [--pytorch PYTHON]

Claims, all from medians of one run:
    images/s end to end over an equal network in eager PyTorch, with its usual pre- and post-processing: 6 with AMX, 1.6 without
    images/s end to end over NNabla's: 20 with AMX, 10 without
    all but the network and reading the JPEG files, over the network's time at batch 1: at most 0.15
    images/s in throughput mode over those in latency mode: 1.3 from four cores on, 1 on fewer

OpenVINO runs at the precision that `demo` and `predict` choose by themselves: bfloat16 with AMX, else float32. PyTorch (2.13 was
measured), OpenCV and NumPy may live in another environment, whose interpreter `--pytorch` or CENTERNET_PYTORCH names.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import nnabla as nn
import numpy as np

from centernet.experiment.assembly import Assembly, from_description
from centernet.experiment.description import Description
from centernet.experiment.detector import Detector, Options, detector
from centernet.experiment.inference_graph import Machine, raw_outputs
from centernet.export.onnx import to_onnx
from centernet.imaging.io import read_image
from centernet.inference.openvino_session import Performance, has_amx, num_cores, openvino_core
from centernet.structures import Array
from photographs import photographs
from report import Claim, environment, finish, interleaved

ROUNDS = 5
SIDE, NUM_CLASSES, K = 512, 80, 100
IMAGES = {"latency": 20, "throughput": 20, "PyTorch": 10, "NNabla": 1}  # of one measurement
SAME_SCORE = {"float32": 1e-4, "bfloat16": 0.05}  # how far the scores of equal networks may be apart
HERE = Path(__file__).resolve().parent


@dataclass
class Files:
    """Reads files with a detector, one call an image or one call for all.

    alone: what to run before and after each image: the network alone; gives its seconds. The other lists: seconds of every image
    so far, of reading its file, of the network alone (the mean of both), and of the rest: all but reading and the network.
    """

    detect: Detector
    paths: Sequence[str]
    alone: Callable[[], float] = lambda: 0.0
    reading: list[float] = field(default_factory=list)
    network: list[float] = field(default_factory=list)
    rest: list[float] = field(default_factory=list)

    def one_by_one(self) -> float:
        """Images per second."""
        took = []
        for path in self.paths:
            before = self.alone()
            start = perf_counter()
            self.detect.predict(path)
            took.append(perf_counter() - start)
            self.reading.append(self.detect.seconds["load"])
            self.network.append((before + self.alone()) / 2)
            self.rest.append(took[-1] - self.reading[-1] - self.network[-1])
        return 1 / median(took)

    def together(self) -> float:
        """Images per second."""
        start = perf_counter()
        self.detect.predict(self.paths)
        return len(self.paths) / (perf_counter() - start)


class PyTorch:
    """`pytorch_twin.serve` in an interpreter that has PyTorch, on the same files."""

    def __init__(self, python: str, network: Assembly, folder: Path, paths: Sequence[str]) -> None:
        parameters = folder / "parameters.npz"
        np.savez(parameters, **{name: variable.d for name, variable in network.network.parameters().items()})
        own = network.description
        self._paths = list(paths)
        self._process = subprocess.Popen(
            [python, "-c", "import pytorch_twin; pytorch_twin.serve()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**environment(), "PYTHONPATH": str(HERE)},
        )  # fmt: skip
        settings = {"parameters": str(parameters), "side": SIDE, "mean": own.mean, "std": own.std, "stride": own.stride, "k": K}
        told = self._ask(settings)
        self.summary = f"PyTorch {told['version']}, float32, {told['threads']} threads"

    def images_per_second(self) -> float:
        """Of the files, one at a time."""
        return float(1 / median(self._ask(self._paths)["seconds"]))

    def detections(self) -> Array:
        """(k, 6) of the first file."""
        return np.array(self._ask(self._paths[:1])["found"])

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, what: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def why_not(python: str) -> str | None:
    """Why PyTorch cannot be measured with that interpreter; None: it can."""
    try:
        ended = subprocess.run([python, "-c", "import torch, cv2, numpy"], capture_output=True, text=True)
    except OSError as error:
        return f"{python}: {error.strerror}"
    return None if ended.returncode == 0 else f"{python}: {ended.stderr.strip().splitlines()[-1]}"


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


def opened(network: Assembly, performance: Performance = "latency") -> Detector:
    """The detector with default settings."""
    return detector(network, Machine(runtime="openvino", extension="cpu", performance=performance), Options(k=K))


def bare_network(network: Assembly, precision: str) -> Callable[[], float]:
    """The network alone, from a normalised image to raw heads, as OpenVINO runs it: a function that gives the seconds of a run."""
    image = nn.Variable(network.network.input_shape(1, SIDE, SIDE))
    with network.network.parameter_scope(), nn.auto_forward(False):
        model = to_onnx(raw_outputs(network, image), {"image": image}).SerializeToString()
    settings = {"INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision], "PERFORMANCE_HINT": "LATENCY"}
    request = openvino_core().compile_model(openvino_core().read_model(model), "CPU", settings).create_infer_request()
    array = np.random.default_rng(0).standard_normal(image.shape, np.float32)

    def run() -> float:
        start = perf_counter()
        request.infer([array], share_inputs=True)
        return perf_counter() - start

    return run


def check_same(found: Array, ours: Detector, path: str) -> None:
    """The two networks are the same; else a faster one would say nothing."""
    difference = np.abs(
        found[:, 4] - ours.predict_batch([read_image(path)])[0].scores
    ).max()  # of scores that differ from each other by a hundredth
    print(f"largest difference of scores between PyTorch and OpenVINO: {difference:.1e}")
    assert difference < SAME_SCORE[ours.session.precision], "the networks are not the same"


def peak_megabytes(performance: Performance) -> int:
    """The most memory that a process has which does nothing but detect in a few images."""
    program = f"""
import tempfile
from pathlib import Path
import inference
with tempfile.TemporaryDirectory() as folder:
    inference.photographs(Path(folder), 8, num_classes=1)
    inference.opened(inference.assembly(), {performance!r}).predict(folder)
print(Path("/proc/self/status").read_text())
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=HERE, stdout=subprocess.PIPE, text=True, check=True, env=environment())
    peak = re.search(r"VmHWM:\s*(\d+) kB", ended.stdout)
    assert peak is not None
    return int(peak[1]) // 1024


def measure(python: str, folder: Path) -> list[Claim]:
    """Everything, in rounds."""
    photographs(folder, max(IMAGES.values()), num_classes=NUM_CLASSES)
    paths = [str(path) for path in sorted(folder.glob("*.jpg"))]
    network = assembly()
    single, many = opened(network), opened(network, "throughput")
    nnabla = detector(network, Machine(runtime="nnabla", extension="cpu"), Options(k=K))
    ours = Files(single, paths[: IMAGES["latency"]], bare_network(network, single.session.precision))
    measures: dict[str, Callable[[], float]] = {
        "latency": ours.one_by_one,
        "throughput": Files(many, paths[: IMAGES["throughput"]]).together,
        "NNabla": Files(nnabla, paths[: IMAGES["NNabla"]]).one_by_one,
    }
    summaries = [single.session.summary, nnabla.session.summary]
    reason = why_not(python)
    if reason is None:
        twin = PyTorch(python, network, folder, paths[: IMAGES["PyTorch"]])
        check_same(twin.detections(), single, paths[0])
        measures["PyTorch"] = twin.images_per_second
        summaries.append(twin.summary)
    print(" against ".join(summaries))
    for runtime in (single, many, nnabla):
        runtime.predict(paths[0])  # builds, exports and compiles
    values = interleaved(measures, rounds=ROUNDS, unit="images/s")

    def times(one: str, other: str) -> float:
        """How many times the images per second: the median of the rounds, each measured in the same minute."""
        return median(a / b for a, b in zip(values[one], values[other], strict=True))

    print("medians: " + ", ".join(f"{name} {median(of_measure):.2f} images/s" for name, of_measure in values.items()))
    several = 1.3 if num_cores() >= 4 else 1.0
    claims = [
        Claim("inference_over_nnabla", times("latency", "NNabla"), 20.0 if has_amx() else 10.0, "ratio", at_least=True),
        overhead(ours.network, ours.reading, ours.rest),
        Claim("inference_throughput_mode", times("throughput", "latency"), several, "ratio", at_least=True),
    ]
    if reason is None:
        twin.close()
        aim = 6.0 if has_amx() else 1.6
        claims.insert(0, Claim("inference_over_pytorch", times("latency", "PyTorch"), aim, "ratio", at_least=True))
    else:
        print(f"skipped: not measured against PyTorch: {reason}; name an interpreter that has it with --pytorch")
    return claims


def overhead(network: Sequence[float], reading: Sequence[float], rest: Sequence[float]) -> Claim:
    """All but the network and reading the file, over the network; NaN, which never holds, where that cannot be measured.

    Args:
        network, reading, rest: seconds of each image, measured together. What costs nothing or less was not measured, and neither
            was what the network's own changes from image to image hide.
    """
    name, aim = "inference_rest_over_network", 0.15
    at_once, alone, read = median(rest) * 1e3, median(network) * 1e3, median(reading) * 1e3
    print(f"medians: the network {alone:.1f} ms, reading a JPEG {read:.1f} ms, the rest {at_once:.1f} ms")
    spread = median(abs(seconds * 1e3 - at_once) for seconds in rest) / len(rest) ** 0.5  # of the median, about
    if at_once <= 0:
        print(f"{name}: not measurable: the rest took {at_once:.1f} ms, and nothing takes less than none; is the machine busy?")
    elif spread > aim * alone:
        print(f"{name}: not measurable: the rest is {at_once:.1f} ms, give or take {spread:.1f} ms; is the machine busy?")
    else:
        return Claim(name, at_once / alone, aim, "ratio", at_least=False)
    return Claim(name, float("nan"), aim, "ratio", at_least=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pytorch", metavar="PYTHON", default=os.environ.get("CENTERNET_PYTORCH", sys.executable))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        claims = measure(arguments.pytorch, Path(folder))
    peaks = {performance: peak_megabytes(performance) for performance in ("latency", "throughput")}
    print("peak memory of a process: " + ", ".join(f"{name} {peak} MB" for name, peak in peaks.items()))
    return finish(*claims)


if __name__ == "__main__":
    sys.exit(main())
