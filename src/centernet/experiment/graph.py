"""A picture of a network's graph, drawn by Graphviz."""

from __future__ import annotations

from pathlib import Path

import nnabla as nn
import nnabla.functions as F
from graphviz import ExecutableNotFound
from nnabla.experimental.viewers import SimpleGraph

from centernet.errors import DeviceError
from centernet.experiment.assembly import Assembly
from centernet.experiment.inference_graph import raw_outputs
from centernet.experiment.output import make_folder


def draw(assembly: Assembly, path: Path) -> Path:
    """Write every function and variable of the inference graph as SVG.

    Raises:
        DeviceError: Graphviz is not installed.
        OutputError: the folder cannot be written.
    """
    make_folder(path.parent)
    network, grid = assembly.network, assembly.grid
    with network.parameter_scope(), nn.auto_forward(False):
        image = nn.Variable(network.input_shape(1, grid.height, grid.width))
        outputs = raw_outputs(assembly, image)
        for name, variable in {"x": image, **outputs}.items():
            variable.name = name  # what the picture calls them
        try:
            SimpleGraph(format="svg").save(F.sink(*outputs.values()), str(path.with_suffix("")), cleanup=True, format="svg")
        except ExecutableNotFound:
            path.with_suffix("").unlink(missing_ok=True)  # what dot would have read
            raise DeviceError(
                "the program 'dot' is missing: install Graphviz (https://graphviz.org/download, `apt install graphviz`)"
            ) from None
    return path
