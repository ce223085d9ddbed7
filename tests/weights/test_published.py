"""The published files: from a server to where they are looked for, and never another one under a name that is known."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet import cli
from centernet.errors import ConfigError, WeightsError
from centernet.weights import published
from centernet.weights.pretrained import find
from centernet.weights.store import write_parameters

NAME = "resnet18_nchw_imagenet"
URL_PATH = f"/zoo/backbone/{NAME}.h5"


def parameter_file(folder: Path, value: float) -> bytes:
    write_parameters(folder / "made.h5", {"conv1/conv/W": np.full((4, 3, 7, 7), value, np.float32)})
    content = (folder / "made.h5").read_bytes()
    (folder / "made.h5").unlink()
    return content


@pytest.fixture
def zoo(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A mirror with one file, which the environment names; the current folder is empty."""
    server.files[URL_PATH] = parameter_file(tmp_path, 1)
    monkeypatch.setenv("CENTERNET_WEIGHTS_URL", f"{server.url}/zoo/")
    monkeypatch.chdir(tmp_path)
    return server


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def get(name: str = NAME, **options: Any) -> tuple[Path, bool]:
    return published.get(name, wait=lambda seconds: None, **options)


def test_the_names_are_those_of_the_published_files() -> None:
    backbones = [f"backbone/{name}_{layout}_imagenet.h5" for name in ("resnet18", "dla34") for layout in ("nchw", "nhwc")]
    detectors = [
        f"ctdet/{arch}_{data}_{kind}.h5" for arch in ("resnet_18", "dlav0_34") for data in ("pascal", "coco") for kind in ("fp", "mp")
    ]
    assert [file.path for file in published.PUBLISHED.values()] == backbones + detectors
    assert published.ADDRESS == "https://nnabla.org/pretrained-models/nnabla-examples/object-detection/ceneternet"


def test_a_file_comes_to_where_a_training_looks_for_it(zoo: Any) -> None:
    path, is_new = get()
    assert (path, is_new) == (Path("weights/backbone") / f"{NAME}.h5", True)
    assert path.read_bytes() == zoo.files[URL_PATH]
    assert find("weights/backbone", "resnet18", "nchw") == path
    assert Path("weights/SHA256SUMS").read_text() == f"{sha256(path.read_bytes())}  backbone/{NAME}.h5\n"
    assert get() == (path, False)
    assert len(zoo.seen) == 1


def test_a_file_put_there_by_hand_is_taken_and_its_sum_written_down(zoo: Any, tmp_path: Path) -> None:
    path = tmp_path / "weights" / "backbone" / f"{NAME}.h5"
    path.parent.mkdir(parents=True)
    path.write_bytes(parameter_file(tmp_path, 2))
    assert get() == (Path("weights/backbone") / f"{NAME}.h5", False)
    assert sha256(path.read_bytes()) in Path("weights/SHA256SUMS").read_text()
    assert zoo.seen == []


def test_a_file_that_is_another_than_at_first_use_is_refused_with_both_sums(zoo: Any, tmp_path: Path) -> None:
    path, _ = get()
    first, other = sha256(path.read_bytes()), parameter_file(tmp_path, 2)
    path.write_bytes(other)
    with pytest.raises(WeightsError, match=rf"weights/backbone/{NAME}\.h5: its SHA-256 is {sha256(other)}, .* it was {first}"):
        get()
    path.unlink()
    zoo.files[URL_PATH] = other
    with pytest.raises(WeightsError, match=rf"http.*{URL_PATH}: its SHA-256 is {sha256(other)}, .* it was {first}"):
        get()
    assert not list(path.parent.iterdir())


def test_an_error_page_is_no_parameter_file(zoo: Any, tmp_path: Path) -> None:
    zoo.files[URL_PATH] = b"<html>Please log in to the network</html>"
    with pytest.raises(WeightsError, match=r"what arrived is not a parameter file \(41 bytes that begin with b'<html>Please"):
        get()
    assert not list(tmp_path.iterdir())


def test_wrong_bytes_are_no_parameter_file(zoo: Any, tmp_path: Path) -> None:
    zoo.files[URL_PATH] = zoo.files[URL_PATH][:-100]
    with pytest.raises(WeightsError, match=rf"{URL_PATH}: what arrived is not a parameter file"):
        get()
    assert not list(tmp_path.iterdir())


def test_a_cut_is_made_good_and_the_sum_is_that_of_the_whole(zoo: Any) -> None:
    zoo.script = [{"cut": 1000}, {}]
    path, is_new = get()
    assert is_new
    assert path.read_bytes() == zoo.files[URL_PATH]


def test_an_unknown_name_and_a_wrong_address_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"'resnet19_nchw_imagenet' is not a published file; did you mean 'resnet18_nchw_imagenet'\?"):
        get("resnet19_nchw_imagenet")
    with pytest.raises(ConfigError, match=r"--url: found 'mirror', expected an address that starts with http:// or https://"):
        get(address="mirror")
    monkeypatch.setenv("CENTERNET_WEIGHTS_URL", "ftp://x")
    with pytest.raises(ConfigError, match=r"\$CENTERNET_WEIGHTS_URL: found 'ftp://x'"):
        get()


def test_names_are_taken_with_suffix_and_folder_too() -> None:
    assert published.named("backbone/resnet18_nchw_imagenet.h5").name == NAME


def test_a_name_stands_for_its_file_where_a_file_is_expected(tmp_path: Path) -> None:
    assert published.resolve("model.h5") == Path("model.h5")
    with pytest.raises(WeightsError, match=r"ctdet/resnet_18_coco_fp\.h5: no such file; `centernet weights get resnet_18_coco_fp`"):
        published.resolve("resnet_18_coco_fp", folder=tmp_path)
    path = tmp_path / "ctdet" / "resnet_18_coco_fp.h5"
    path.parent.mkdir()
    path.write_bytes(b"")
    assert published.resolve("resnet_18_coco_fp", folder=tmp_path) == path


def test_a_file_that_is_not_the_one_of_first_use_is_not_used_by_its_name(zoo: Any) -> None:
    path, _ = get()
    assert published.resolve(NAME) == path
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(WeightsError, match=r"resnet18_nchw_imagenet\.h5: its SHA-256 is \w+, but at first use it was \w+ \(.*SHA256SUMS\)"):
        published.resolve(NAME)


def test_the_command_downloads_and_says_where_to(zoo: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("weights", ["get", NAME]) == 0
    assert capsys.readouterr().out == f"wrote weights/backbone/{NAME}.h5\n"
    assert cli.run("weights", ["list"]) == 0
    header, first, *others = capsys.readouterr().out.splitlines()
    assert header.split() == ["NAME", "WHAT", "SIZE", "HERE", "PATH"]
    assert first.startswith(NAME)
    assert first.endswith(f"yes   weights/backbone/{NAME}.h5")
    assert len(others) == 11
    assert all("  no  " in line for line in others)


def test_the_command_says_what_failed_and_where_the_file_may_be_put(zoo: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.run("weights", ["get", "dla34_nhwc_imagenet", "--url", f"{zoo.url}/elsewhere"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"error: {zoo.url}/elsewhere/backbone/dla34_nhwc_imagenet.h5: the server answers 404 Not Found; the file may also be put at "
        "weights/backbone/dla34_nhwc_imagenet.h5 by hand, or come from a mirror (--url, or $CENTERNET_WEIGHTS_URL)"
    )
    assert not list(tmp_path.iterdir())
