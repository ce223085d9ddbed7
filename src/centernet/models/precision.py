"""Where half precision ends inside a network: NNabla contexts for what has to be float32."""

from __future__ import annotations

import nnabla as nn

# Backends whose half-precision batch norm sums, and keeps its running statistics, in float32: NVIDIA's cuDNN does, NNabla's own do not.
FLOAT_STATISTICS = ("cudnn:half", "cudnn:mixed_half")


def in_float(context: nn.Context) -> nn.Context:
    """The same device, computing in float32."""
    backends = dict.fromkeys(backend.partition(":")[0] + ":float" for backend in context.backend)
    return nn.Context(list(backends), context.array_class, context.device_id)


def for_statistics(context: nn.Context) -> nn.Context:
    """Where batch normalisation computes: in half precision only where sums and running statistics are float32 even so."""
    is_exact = all(backend.endswith(":float") for backend in context.backend) or context.backend[0] in FLOAT_STATISTICS
    return context if is_exact else in_float(context)
