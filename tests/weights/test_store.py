from __future__ import annotations

import errno
import json
import os
import zipfile
from pathlib import Path

import h5py
import nnabla as nn
import numpy as np
import pytest

from centernet.errors import OutputError, WeightsError
from centernet.weights.store import LARGE_ATTRIBUTE, read_description, read_parameters, write_atomically, write_parameters

PARAMETERS = {
    "z/conv/W": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "a/bn/mean": np.array([1e-30, -0.0], np.float32),
    "a/bn/gamma": np.ones((1, 2, 1, 1), np.float32),
    "half": np.array([0.5], np.float16),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.h5"


def test_what_is_written_is_read_back_in_order_bit_for_bit(path: Path) -> None:
    write_parameters(path, PARAMETERS, description={"classes": ["Füchse", "dogs"]})
    file = read_parameters(path)
    assert list(file.parameters) == list(PARAMETERS)
    for name, values in PARAMETERS.items():
        assert file.parameters[name].dtype == values.dtype
        assert file.parameters[name].tobytes() == values.tobytes()
    assert file.need_grad == {"z/conv/W": True, "a/bn/mean": False, "a/bn/gamma": True, "half": True}
    assert file.description == read_description(path) == {"classes": ["Füchse", "dogs"]}


def test_given_trainability_is_kept(path: Path) -> None:
    write_parameters(path, PARAMETERS, need_grad={"z/conv/W": False, "a/bn/mean": True})
    assert read_parameters(path).need_grad == {"z/conv/W": False, "a/bn/mean": True, "a/bn/gamma": True, "half": True}


def test_the_same_parameters_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.h5", "two.h5"):
        write_parameters(tmp_path / name, PARAMETERS)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_a_description_beyond_the_attribute_limit_of_old_hdf5_is_kept(path: Path) -> None:
    description = {"classes": ["x" * LARGE_ATTRIBUTE, "y"]}
    write_parameters(path, PARAMETERS, description=description)
    assert read_parameters(path).description == description


def test_nnabla_reads_our_files_and_we_read_nnablas(tmp_path: Path) -> None:
    ours = {name: values for name, values in PARAMETERS.items() if values.dtype == np.float32}
    write_parameters(tmp_path / "ours.h5", ours)
    nn.load_parameters(str(tmp_path / "ours.h5"))
    loaded = nn.get_parameters(grad_only=False)
    assert list(loaded) == list(ours)
    assert list(nn.get_parameters()) == ["z/conv/W", "a/bn/gamma"]
    for suffix in (".h5", ".protobuf"):
        nn.save_parameters(str(tmp_path / f"theirs{suffix}"))
        file = read_parameters(tmp_path / f"theirs{suffix}")
        assert list(file.parameters) == list(ours)
        assert file.need_grad == {"z/conv/W": True, "a/bn/mean": False, "a/bn/gamma": True}
        assert file.description is None
        for name, values in ours.items():
            np.testing.assert_array_equal(file.parameters[name], values)


def test_a_file_without_attributes_is_read(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["conv1/conv/W"] = np.zeros((2, 3, 1, 1), np.float32)
        file["conv1/bn/var"] = np.ones((1, 2, 1, 1), np.float32)
    assert read_parameters(path).need_grad == {"conv1/conv/W": True, "conv1/bn/var": False}


@pytest.mark.parametrize("inner", ["parameter.h5", "parameter.protobuf"])
def test_parameters_and_description_inside_an_nnp_are_read(tmp_path: Path, inner: str) -> None:
    nn.parameter.set_parameter("w", nn.Variable.from_numpy_array(np.ones(3, np.float32)))
    nn.save_parameters(str(tmp_path / inner))
    with zipfile.ZipFile(tmp_path / "model.nnp", "w") as archive:
        archive.write(tmp_path / inner, inner)
        archive.writestr("centernet.json", json.dumps({"stride": 4}))
    file = read_parameters(tmp_path / "model.nnp")
    assert list(file.parameters) == ["w"]
    assert file.description == {"stride": 4}


def broken(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / "broken.h5"
    if kind == "missing":
        return path
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("<html>404 Not Found</html>")
    elif kind == "truncated":
        write_parameters(path, {"w": np.zeros(10000, np.float32)})
        path.write_bytes(path.read_bytes()[:5000])
    elif kind == "no parameters":
        write_parameters(path, {})
    elif kind == "words":
        with h5py.File(path, "w") as file:
            file["w"] = ["not", "numbers"]
    elif kind == "description":
        with h5py.File(path, "w") as file:
            file["w"] = [1.0]
            file.attrs["centernet"] = "{"
    elif kind == "list":
        with h5py.File(path, "w") as file:
            file["w"] = [1.0]
            file.attrs["centernet"] = "[]"
    return path


KINDS = ["missing", "folder", "empty", "text", "truncated", "no parameters", "words", "description", "list"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_cannot_be_used_is_named_in_one_line(tmp_path: Path, kind: str) -> None:
    path = broken(tmp_path, kind)
    with pytest.raises(WeightsError) as error:
        read_parameters(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["model.pth", "model", "bad.nnp", "bad.protobuf"])
def test_other_kinds_of_files_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\xff\xffnothing")
    with pytest.raises(WeightsError, match=name):
        read_parameters(tmp_path / name)


def test_an_nnp_without_parameters_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.nnp", "w") as archive:
        archive.writestr("network.nntxt", "")
    with pytest.raises(WeightsError, match=r"no parameter\.h5"):
        read_parameters(tmp_path / "model.nnp")


def test_a_full_disk_leaves_the_old_file_and_no_rubbish(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parameters(path, PARAMETERS)
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write_parameters(path, {"w": np.zeros(3)})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_file_limit_hit_while_writing_leaves_the_old_file(path: Path) -> None:
    import resource

    write_parameters(path, PARAMETERS)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OutputError, match=r"model\.h5: cannot be written"):
            write_parameters(path, {"w": np.zeros(200_000, np.float32)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_is_not_there_and_another_suffix_are_output_errors(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        write_parameters(tmp_path / "nowhere" / "model.h5", PARAMETERS)
    with pytest.raises(OutputError, match="npz"):
        write_parameters(tmp_path / "model.npz", PARAMETERS)


def test_a_written_file_is_readable_as_the_umask_allows(path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_atomically(path, b"x")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_download_cut_off_anywhere_is_refused(path: Path) -> None:
    write_parameters(path, {"w": np.ones(500, np.float32)}, description={"a": 1})
    content = path.read_bytes()
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(WeightsError, match=f"{length} bytes"):
            read_parameters(path)
