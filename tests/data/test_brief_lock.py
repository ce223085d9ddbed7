from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from centernet.data import brief_lock
from centernet.data.brief_lock import PATIENCE, briefly_locked

HOLDER = """
import sys, time
from centernet.data import brief_lock
from centernet.data.brief_lock import briefly_locked
with briefly_locked(sys.argv[1]) as is_locked:
    print(is_locked, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").touch()
    return tmp_path / "file"


def is_free(path: Path) -> bool:
    with briefly_locked(path) as is_locked:
        return is_locked


class Sleeps:
    """Time that passes in sleep alone."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_another_process_is_kept_out_for_a_moment_and_told_until_the_holder_is_killed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "True\n"
    clock = Sleeps()
    monkeypatch.setattr(brief_lock, "time", clock)
    assert not is_free(path)
    assert PATIENCE <= clock.now - 1000.0 < 2 * PATIENCE
    holder.kill()
    holder.wait()
    assert is_free(path)


def test_threads_keep_each_other_out(path: Path) -> None:
    inside, most = [0], [0]

    def work() -> None:
        for _ in range(50):
            with briefly_locked(path) as is_locked:
                if is_locked:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    time.sleep(0)
                    inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_a_process_forked_under_the_lock_does_not_go_on_holding_it(path: Path) -> None:
    with briefly_locked(path):
        child = os.fork()
        if not child:
            time.sleep(600)
    try:
        assert is_free(path)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_an_error_under_the_lock_releases_it(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), briefly_locked(path):
        raise ZeroDivisionError
    assert is_free(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), briefly_locked(tmp_path / "missing"):
        pass
