"""Write a network as .nnp, NNabla's own format for deployment, and read back what such a file says of itself."""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import nnabla as nn
from nnabla.utils.save import save

from centernet.errors import ExportError
from centernet.export.files import atomic_path

DESCRIPTION_ENTRY = "centernet.json"
PROTOCOL_ENTRY = "protocol.json"
NETWORK_NAME = "runtime"  # the predecessor's


def save_nnp(
    path: str | os.PathLike[str],
    outputs: Mapping[str, nn.Variable],
    inputs: Mapping[str, nn.Variable],
    *,
    description: str | None = None,
    protocol: str | None = None,
    network_name: str = NETWORK_NAME,
) -> None:
    """Write the graph between `inputs` and `outputs`, with the parameters of NNabla's current scope that it uses.

    Nothing is computed, so a channels-last graph can be written on a machine that cannot run it. The batch stays open,
    unless a function works on more than one leading axis (top-K per class), which NNabla's format ties to the batch written.

    Args:
        outputs: output name -> variable; the predecessor's are hm, reg and wh.
        inputs: input name -> variable; the predecessor's is x. The batch is 1.
        description: JSON text stored beside the network as `centernet.json`.
        protocol: JSON text stored as `protocol.json`: how the file is to be used.

    Raises:
        ExportError: the path does not end in .nnp.
        OutputError: the file cannot be written.
    """
    if Path(path).suffix != ".nnp":
        raise ExportError(f"{path}: expected a name that ends in .nnp")
    used = _leaves(outputs)
    parameters = {name: variable for name, variable in nn.get_parameters(grad_only=False).items() if variable in used}
    contents = {
        "networks": [{"name": network_name, "batch_size": 1, "outputs": dict(outputs), "names": dict(inputs)}],
        "executors": [{"name": network_name, "network": network_name, "data": list(inputs), "output": list(outputs)}],
    }
    with atomic_path(path) as temporary:
        with _quiet():
            save(str(temporary), contents, parameters=parameters, variable_batch_size=_batch_is_open(outputs))
        with zipfile.ZipFile(temporary, "a", zipfile.ZIP_DEFLATED) as archive:
            for entry, text in ((DESCRIPTION_ENTRY, description), (PROTOCOL_ENTRY, protocol)):
                if text is not None:
                    archive.writestr(entry, text)


def read_description(path: str | os.PathLike[str], *, entry: str = DESCRIPTION_ENTRY) -> str | None:
    """A JSON text in an .nnp, None where it has none (a file of another program, or an older one).

    Args:
        entry: `centernet.json`: what the model is; `protocol.json`: how it is to be used.

    Raises:
        ExportError: the file is missing or is not an .nnp.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(entry).decode() if entry in archive.namelist() else None
    except (OSError, zipfile.BadZipFile) as error:
        raise ExportError(f"{path}: cannot be read as .nnp: {error}") from error


def _leaves(outputs: Mapping[str, nn.Variable]) -> set[nn.Variable]:
    """Every variable the outputs depend on that no function computes."""
    found: set[nn.Variable] = set()
    for output in outputs.values():
        output.visit(lambda function: found.update(v for v in function.inputs if v.parent is None))
    return found


def _batch_is_open(outputs: Mapping[str, nn.Variable]) -> bool:
    axes: list[int] = []
    for output in outputs.values():
        output.visit(lambda function: axes.append(function.info.args.get("base_axis", 1)))
    return set(axes) <= {1}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without NNabla's lines about temporary files."""
    logger = logging.getLogger("nnabla")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
