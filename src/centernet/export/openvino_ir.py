"""Write a network as OpenVINO's own format, a pair of .xml and .bin, and read back what such a file says of itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from centernet.errors import ExportError, OutputError
from centernet.export.files import atomic_path


def save_openvino(path: str | os.PathLike[str], model: Any, *, metadata: Mapping[str, str] | None = None) -> None:
    """Write an OpenVINO model, its numbers as they are.

    Args:
        path: ends in .xml; the weights go beside it, into a file that ends in .bin.
        model: an `openvino.Model`; gets the texts.
        metadata: texts stored in the file, for example `centernet`: the model's description.

    Raises:
        ExportError: the path does not end in .xml.
        OutputError: one of the files cannot be written.
    """
    import openvino

    target = Path(path)
    if target.suffix != ".xml":
        raise ExportError(f"{target}: expected a name that ends in .xml")
    for key, text in (metadata or {}).items():
        model.set_rt_info(text, key)
    with atomic_path(target) as temporary:
        weights = temporary.with_suffix(".bin")
        try:
            openvino.save_model(model, temporary, compress_to_fp16=False)
            with atomic_path(target.with_suffix(".bin")) as other:
                weights.replace(other)
        except RuntimeError as error:
            raise OutputError(f"{target}: cannot be written: {str(error).strip().splitlines()[-1]}") from error
        finally:
            weights.unlink(missing_ok=True)


def read_ir_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The texts stored in an .xml file.

    Raises:
        ExportError: the file is missing, is not OpenVINO's, or has no .bin beside it.
    """
    source = Path(path)
    try:
        root = ElementTree.parse(source).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise ExportError(f"{source}: cannot be read as an OpenVINO model: {error}") from error
    if root.tag != "net":
        raise ExportError(f"{source}: cannot be read as an OpenVINO model: its root is <{root.tag}>, expected <net>")
    if not source.with_suffix(".bin").is_file():
        raise ExportError(f"{source}: its weights are not there, expected {source.with_suffix('.bin')}")
    information = root.find("rt_info")
    texts = {} if information is None else {entry.tag: entry.get("value") for entry in information}
    return {key: text for key, text in texts.items() if text is not None}
