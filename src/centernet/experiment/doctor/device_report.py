"""What `centernet doctor` runs to hear of NNabla and its GPUs: compute a little on each, and say what was found as JSON."""

from __future__ import annotations

import json
from typing import Any

import nnabla as nn
import nnabla.functions as F
import numpy as np

from centernet.engine import context, cuda_versions
from centernet.errors import DeviceError

TOLERANCE = 1e-3  # of float32 on any device


def report() -> dict[str, Any]:
    """nnabla: its version. cpu: what is wrong with computing on it, or nothing.

    gpu: what keeps the GPU from computing, or nothing. With one, its `versions` and the `problems` known of them.
    """
    found: dict[str, Any] = {"nnabla": nn.__version__, "cpu": _wrong_on(context.resolve("cpu")), "gpu": "", "versions": {}, "problems": []}
    try:
        device = context.resolve("cudnn", type_config="mixed_half")
    except DeviceError as error:
        return found | {"gpu": str(error)}
    versions = context.library_versions(gpu=0)
    parts = {"GPU": versions.capability, "driver": versions.driver, "CUDA": versions.cuda, "cuDNN": versions.cudnn, "NCCL": versions.nccl}
    problems = cuda_versions.problems(versions, half=True, num_processes=2)
    return found | {
        "device": device.description,
        "gpu": _wrong_on(context.resolve("cudnn")),
        "versions": {name: cuda_versions.dotted(version) for name, version in parts.items() if version is not None},
        "problems": [{"text": problem.text, "stops": problem.stops} for problem in problems],
    }


def _wrong_on(device: context.Device) -> str:
    """A convolution of known result; what went wrong, or nothing."""
    try:
        with nn.context_scope(device.context):
            x, weights = (nn.Variable.from_numpy_array(np.ones(shape, np.float32)) for shape in ((1, 4, 5, 5), (2, 4, 3, 3)))
            y = F.convolution(x, weights)
            y.forward()
            values = np.array(y.d)
    except RuntimeError as error:
        return str(error).strip().splitlines()[0]
    return "" if np.allclose(values, 36, atol=TOLERANCE) else f"computes {values.flat[0]:.3g} where 36 is right"


if __name__ == "__main__":
    print(json.dumps(report()))
