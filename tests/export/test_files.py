from __future__ import annotations

import errno
from pathlib import Path

import pytest

from centernet.errors import OutputError
from centernet.export.files import atomic_path


def test_the_file_appears_when_the_block_ends_and_nothing_else_does(tmp_path: Path) -> None:
    target = tmp_path / "new" / "model.onnx"
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"content")
        assert not target.exists()
        assert temporary.suffix == ".onnx"
    assert target.read_bytes() == b"content"
    assert list(target.parent.iterdir()) == [target]


def test_a_new_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    with atomic_path(tmp_path / "model.onnx"):
        pass
    assert (tmp_path / "model.onnx").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    target.write_bytes(b"old")

    def fill_the_disk() -> None:
        with atomic_path(target) as temporary:
            temporary.write_bytes(b"ne")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match=r"model\.onnx: cannot be written: No space left"):
        fill_the_disk()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_of_the_writer_passes_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "model.onnx"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
