"""Bad input: what was typed. Usage errors are one line with exit code 2 as well, in commands and in scripts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from centernet import cli

SOURCES = Path(__file__).resolve().parents[3] / "src"
SCRIPTS = ("main.py", "test.py", "demo.py", "save_nnp.py", "save_graph.py")
FAMILY = ("train", "test", "demo", "export", "graph")


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--num_layer", "18"], "--num_layer: no such option; did you mean '--num_layers'?"),
        (["--check-point=x"], "--check-point=x: no such option; did you mean '--checkpoint'?"),
        (["-q"], "-q: no such option"),
        (["--arch"], "--arch: expected one argument"),
        (["--num_layers", "two"], "--num_layers: expected a whole number above 0, found 'two'"),
        (["--gpus", "x"], "--gpus: expected numbers of devices with commas between, such as 0,1, or -1 for none, found 'x'"),
        (["--test_scales", "1,x"], "--test_scales: expected numbers above 0 with commas between, such as 0.5,1,1.5, found '1,x'"),
        (["--extension_module", "cuddn"], "--extension_module: expected auto, cpu, cuda or cudnn, found 'cuddn'; did you mean 'cudnn'?"),
        (["ctdt"], "'ctdt' is not a task; did you mean 'ctdet'?"),
        (["ctdet", "--input_h", "64"], "--input_h and --input_w: give both, or --input_res for a square input"),
        (["--keep_res", "--fix_res"], "--keep_res and --fix_res exclude each other"),
    ],
)
def test_a_mistyped_option_is_one_line(trained: Any, refused: Any, name: str, typed: list[str], said: str) -> None:
    given = ["--checkpoint", trained.model, "--demo", trained.images] if "-" in typed[-1] or "--input_h" in typed else []
    assert said in refused(name, *given, *typed)


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("convert", [], "the following arguments are required: IN, OUT"),
        ("convert", ["a.h5", "b.h5", "c.h5"], "'c.h5': one word too many"),
        ("convert", ["a.h5", "b.h5", "-3", "-4"], "-4: not allowed with argument -3"),
        ("convert", ["a.h5", "b.h5", "-m", "nhcw"], "-m: expected nchw or nhwc, found 'nhcw'; did you mean"),
        ("quickstart", ["--processes", "0"], "--processes: expected a whole number above 0, found '0'"),
        ("quickstart", ["--config", "gone.yaml"], "gone.yaml: no such configuration file"),
        ("export", ["--K", "0"], "--K: expected a whole number above 0, found '0'"),
        ("export", ["-o", "x.nnp", "--format", "onnx"], "--format onnx was typed, but -o names x.nnp"),
        ("demo", ["--debug", "7"], "--debug: expected 0, 1, 2, 3 or 4, found '7'"),
    ],
)
def test_a_mistake_in_a_commands_own_options_is_one_line(refused: Any, name: str, typed: list[str], said: str) -> None:
    assert said in refused(name, *typed)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--K", "0"], "--K: expected a whole number above 0, found '0'"),
        (["--test_scales", "0"], "--test_scales: expected numbers above 0 with commas between, such as 0.5,1,1.5, found '0'"),
        (["--batch_size", "0"], "--batch_size: expected a whole number above 0, found '0'"),
        (["--set", "test.k=0"], "test.k: found 0 (int), expected greater than 0"),
        (["--set", "test.scales=[0.0]"], "test.scales.0: found 0.0 (float), expected greater than 0"),
        (["--set", "train.batch_size=0"], "train.batch_size: found 0 (int), expected greater than 0"),
        (["--input_res", "100"], "input size 100x100 (height x width): expected multiples of 32"),
    ],
)
def test_a_value_out_of_range_is_one_line(trained: Any, refused: Any, typed: list[str], said: str) -> None:
    assert said in refused("test", "--checkpoint", trained.model, "--data_dir", trained.data, "--extension_module", "cpu", *typed)


@pytest.mark.parametrize("script", [*SCRIPTS, "convert_parameter_format.py"])
def test_a_script_run_from_anywhere_says_the_same_without_a_traceback(tmp_path: Path, script: str) -> None:
    words = [sys.executable, str(SOURCES / script), "--num_layer", "18"]
    ended = subprocess.run(words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": ""}, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert f"`{script} --help` lists the options" in line


def test_an_unknown_command_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.dispatch(["tran"]) == 2
    assert "error: 'tran' is not a command; did you mean 'train'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", [*FAMILY, "convert", "quickstart"])
def test_ctrl_c_ends_with_its_exit_code_and_without_a_traceback(command: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def interrupt(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"centernet.cli.{name}.main", interrupt)
    ended = command(name)
    assert ended.code == 130
    assert ended.err == "interrupted\n"
