"""The programs of `docs/python.md` run as they are written, one after the other in one folder; so does the part in CONTRIBUTING.md."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "python.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.slow
def test_the_programs_of_the_page_run(tmp_path: Path) -> None:
    (tmp_path / "cfg").symlink_to(ROOT / "cfg")
    said = []
    for number, text in enumerate(PROGRAMS):
        program = tmp_path / f"program{number}.py"
        program.write_text(text)
        ended = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        said.append(ended.stdout)
    assert len(said) == 3
    for name in ("results.json", "model.onnx", "drawn/detections.json", "checkpoints/params_2.h5"):
        assert (tmp_path / "exp" / "first" / name).is_file()
    for line in ("heatmap (1, 5, 16, 16)", "size (1, 2, 16, 16)"):
        assert line in said[1]
        assert line in PAGE
    assert (tmp_path / "exp" / "by_hand.h5").is_file()


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_the_programs_are_python(program: str) -> None:
    compile(program, "program", "exec")


def test_the_backbone_of_the_contributors_page_works_in_a_package_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from centernet import build

    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "plain.py").write_text(example)
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = {
        "data.dataset": {"name": "coco"},
        "model.backbone": {"name": "my_package:plain", "width": 0.25},
        "model.neck": {"name": "deconv", "width": 0.125},
    }
    try:
        network = build(ROOT / "cfg" / "quickstart.yaml", settings=settings)
        assert network(np.zeros((1, 64, 64, 3), np.uint8))["heatmap"].shape == (1, 80, 16, 16)
    finally:
        for name in ("my_package", "my_package.plain"):
            sys.modules.pop(name, None)
