from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from centernet.errors import OutputError, WeightsError
from centernet.weights import checksums

ONE, TWO = "1" * 64, "2" * 64


def test_the_first_is_written_down_and_another_refused(tmp_path: Path) -> None:
    assert checksums.recorded(tmp_path, "a/x.h5") is None
    checksums.check(tmp_path, "a/x.h5", ONE, what="x.h5")
    for _ in range(2):
        checksums.record(tmp_path, "a/x.h5", ONE)
    checksums.record(tmp_path, "b.h5", TWO)
    assert checksums.recorded(tmp_path, "a/x.h5") == ONE
    assert (tmp_path / "SHA256SUMS").read_text() == f"{ONE}  a/x.h5\n{TWO}  b.h5\n"
    with pytest.raises(WeightsError, match=rf"here: its SHA-256 is {TWO}, but at first use it was {ONE} \(.*SHA256SUMS\); if .* remove"):
        checksums.check(tmp_path, "a/x.h5", TWO, what="here")
    with pytest.raises(WeightsError, match=TWO):
        checksums.record(tmp_path, "a/x.h5", TWO)


def test_the_list_is_one_that_sha256sum_checks(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(b"content")
    found = checksums.digest(tmp_path / "x.h5")
    assert found == hashlib.sha256(b"content").hexdigest()
    checksums.record(tmp_path, "x.h5", found)
    assert subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path, capture_output=True, check=True).stdout == b"x.h5: OK\n"


def test_a_damaged_list_is_said_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_text(f"{ONE}  x.h5\nnonsense\n")
    with pytest.raises(WeightsError, match=r"SHA256SUMS: line 2: expected a SHA-256 and a file's name, found 'nonsense'"):
        checksums.recorded(tmp_path, "x.h5")
    (tmp_path / "SHA256SUMS").unlink()
    (tmp_path / "SHA256SUMS").mkdir()
    with pytest.raises(WeightsError, match="cannot be read"):
        checksums.recorded(tmp_path, "x.h5")
    with pytest.raises(OutputError, match="cannot be written: Is a directory"):
        checksums.record(tmp_path, "x.h5", ONE)
