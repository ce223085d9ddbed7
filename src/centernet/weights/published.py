"""The parameter files that the predecessor published: their names, where they come from, and where they lie."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from centernet.errors import ConfigError, WeightsError, did_you_mean
from centernet.weights import checksums
from centernet.weights.download import DownloadError, Progress, download
from centernet.weights.store import read_parameters

ADDRESS = "https://nnabla.org/pretrained-models/nnabla-examples/object-detection/ceneternet"  # spelt so there
ADDRESS_VARIABLE = "CENTERNET_WEIGHTS_URL"  # of a mirror
FOLDER = Path("weights")
COMMAND = "centernet weights"


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """One file. path: below the folder, and below the address. about: what it is; options: what it has to be called in use."""

    name: str
    path: str
    about: str
    options: str = ""


def _backbones() -> list[PublishedFile]:
    found = []
    for name, title in (("resnet18", "ResNet-18"), ("dla34", "DLAv0-34")):
        for layout in ("nchw", "nhwc"):
            file = f"{name}_{layout}_imagenet"
            found.append(PublishedFile(name=file, path=f"backbone/{file}.h5", about=f"{title} backbone, ImageNet, {layout.upper()}"))
    return found


def _detectors() -> list[PublishedFile]:
    found = []
    for arch, layers, title in (("resnet", 18, "ResNet-18"), ("dlav0", 34, "DLAv0-34")):
        for dataset, data in (("pascal", "Pascal VOC"), ("coco", "COCO")):
            for suffix, precision in (("fp", "float32"), ("mp", "mixed precision")):
                file = f"{arch}_{layers}_{dataset}_{suffix}"
                options = f"--dataset {dataset} --arch {arch} --num_layers {layers}"
                about = f"{title} detector, {data}, {precision}"
                found.append(PublishedFile(name=file, path=f"ctdet/{file}.h5", about=about, options=options))
    return found


PUBLISHED = {file.name: file for file in (*_backbones(), *_detectors())}


def named(name: str) -> PublishedFile:
    """The file of that name; `.h5` at its end and a folder before it may be there.

    Raises:
        ConfigError: there is none.
    """
    stem = Path(name).name.removesuffix(".h5")
    if stem not in PUBLISHED:
        raise ConfigError(f"'{name}' is not a published file{did_you_mean(stem, PUBLISHED)} (`{COMMAND} list` says what they are)")
    return PUBLISHED[stem]


def resolve(text: str, *, folder: Path = FOLDER) -> Path:
    """A file that was named by its path, or a published one by its name.

    Raises:
        WeightsError: it is a published one's name, and that is not downloaded, or not the file it was at first use.
    """
    path = Path(text).expanduser()
    if text not in PUBLISHED or path.exists():
        return path
    path = folder / PUBLISHED[text].path
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; `{COMMAND} get {text}` downloads it")
    if checksums.recorded(folder, PUBLISHED[text].path) is not None:
        checksums.check(folder, PUBLISHED[text].path, checksums.digest(path), what=path)
    return path


def get(
    name: str,
    *,
    folder: Path = FOLDER,
    address: str | None = None,
    progress: Progress | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> tuple[Path, bool]:
    """The published file `name`, downloaded unless it is there; its SHA-256 is written down at first use and checked ever after.

    Args:
        address: where the files come from; default: the environment variable `ADDRESS_VARIABLE`, else `ADDRESS`.
        progress, wait: see `download`.

    Returns:
        Where it lies, and whether it was downloaded just now.

    Raises:
        ConfigError: there is no such name, or the address is none.
        WeightsError: it cannot be had, is not a parameter file, or not the one it was at first use.
        OutputError: it cannot be written.
    """
    file = named(name)
    target, url = folder / file.path, f"{_checked(address)}/{file.path}"

    def check(part: Path) -> None:
        checksums.check(folder, file.path, checksums.digest(part), what=url)
        _check_content(part, what=url)

    try:
        is_new = download(url, target, check=check, progress=progress, wait=wait)
    except DownloadError as error:
        raise WeightsError(
            f"{error}; the file may also be put at {target} by hand, or come from a mirror (--url, or ${ADDRESS_VARIABLE})"
        ) from error
    found = checksums.digest(target)
    checksums.check(folder, file.path, found, what=target)
    checksums.record(folder, file.path, found)
    return target, is_new


def _checked(address: str | None) -> str:
    said = "--url" if address is not None else f"${ADDRESS_VARIABLE}"
    address = address or os.environ.get(ADDRESS_VARIABLE) or ADDRESS
    if not address.startswith(("http://", "https://")):
        raise ConfigError(f"{said}: found '{address}', expected an address that starts with http:// or https://")
    return address.rstrip("/")


def _check_content(part: Path, *, what: str) -> None:
    """WeightsError unless it is a file of parameters: an error page, for one, also comes with the answer 200."""
    try:
        read_parameters(part)
    except WeightsError as error:
        with part.open("rb") as file:
            start = file.read(40)
        raise WeightsError(
            f"{what}: what arrived is not a parameter file ({part.stat().st_size} bytes that begin with {start!r})"
        ) from error
