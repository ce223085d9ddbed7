from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import openvino
import openvino.opset13 as ops
import pytest

from centernet.errors import ConfigError, DeviceError
from centernet.inference import openvino_session as sessions
from centernet.inference.openvino_session import OpenVinoSession, fastest_precision, has_amx
from centernet.inference.session import NnablaSession


def images(batch: int, height: int = 8, width: int = 12) -> np.ndarray:
    return np.random.default_rng(batch).normal(size=(batch, 3, height, width)).astype(np.float32)


def test_openvino_asks_for_a_model_of_each_shape_where_it_may(build, make_onnx) -> None:
    shapes: list[tuple[int, ...]] = []

    def make(shape: tuple[int, ...]) -> bytes:
        shapes.append(shape)
        return make_onnx(shape)

    session = OpenVinoSession(make, threads=1)
    assert session.input_shape is None
    for size in ((8, 12), (4, 4), (8, 12)):
        np.testing.assert_allclose(session.run(images(1, *size))["map"], NnablaSession(build).run(images(1, *size))["map"], atol=1e-5)
    assert shapes == [(1, 3, 8, 12), (1, 3, 4, 4)]


def test_float32_is_exact_even_where_the_cpu_would_rather_do_less(make_onnx) -> None:
    """On a CPU with AMX OpenVINO computes in bfloat16 unless told otherwise: 3 decimal digits instead of 7."""
    session = OpenVinoSession(make_onnx((1, 3, 8, 12)))
    session.run(images(1))
    requests, _ = session._compiled[(1, 3, 8, 12)]
    compiled = requests.get().get_compiled_model()
    assert compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"


@pytest.mark.parametrize("capabilities", [["FP32"], ["FP32", "BF16"]])
def test_bfloat16_is_taken_where_the_cpu_has_it_and_an_error_elsewhere(capabilities, make_onnx, monkeypatch) -> None:
    real = openvino.Core()

    class Core:
        def get_property(self, *_: str) -> list[str]:
            return capabilities

        def read_model(self, model: bytes) -> object:
            return real.read_model(model)

        def compile_model(self, _model: object, _device: str, settings: dict[str, str]) -> None:
            raise RuntimeError(settings["INFERENCE_PRECISION_HINT"])

    model = make_onnx((1, 3, 8, 12))
    monkeypatch.setattr(sessions, "openvino_core", Core)
    if "BF16" not in capabilities:
        with pytest.raises(DeviceError, match="no bfloat16 arithmetic"):
            OpenVinoSession(model, precision="bfloat16")
        return
    session = OpenVinoSession(model, precision="bfloat16")
    assert session.summary.endswith("bfloat16")
    with pytest.raises(RuntimeError, match="bf16"):
        session.run(images(1))


@pytest.mark.parametrize("performance", ["latency", "throughput"])
def test_runs_from_several_threads_do_not_meet(performance, build, make_onnx) -> None:
    session = OpenVinoSession(make_onnx, performance=performance)
    inputs = [images(1) + number for number in range(24)] + [images(1, 4, 4)] * 4
    expected = [NnablaSession(build).run(image)["map"] for image in inputs]
    barrier = Barrier(4)

    def run(image: np.ndarray) -> np.ndarray:
        if session._compiled._made == {}:
            barrier.wait()  # so that several threads ask for the first model at once
        return session.run(image)["map"]

    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(run, inputs), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_the_first_runs_of_a_process_may_be_in_several_threads(make_onnx, tmp_path) -> None:
    """Two first questions for an array's type waited for each other, now and then; in processes of their own, since they hung."""
    (tmp_path / "model.onnx").write_bytes(make_onnx((1, 3, 8, 12)))
    program = """
import sys
from threading import Barrier, Thread
import numpy as np
from centernet.inference.openvino_session import OpenVinoSession
sys.setswitchinterval(1e-6)
session, barrier = OpenVinoSession(sys.argv[1], performance="throughput"), Barrier(8)
def run():
    barrier.wait()
    session.run(np.zeros((1, 3, 8, 12), np.float32))
threads = [Thread(target=run) for _ in range(8)]
for thread in threads:
    thread.start()
"""
    command = [sys.executable, "-c", program, tmp_path / "model.onnx"]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    try:
        for process in processes:
            _, error = process.communicate(timeout=240)
            assert process.returncode == 0, error
    finally:
        for process in processes:
            process.kill()


@pytest.mark.parametrize(("performance", "threads", "cores", "runs"), [("latency", None, 4, 1), ("throughput", None, 4, 5),
    ("throughput", 2, 4, 3), ("throughput", 8, 4, 5), ("throughput", 1, 4, 1), ("throughput", None, 1, 1)])  # fmt: skip
def test_throughput_mode_wants_a_run_for_every_core_and_one_more(performance, threads, cores, runs, make_onnx, monkeypatch) -> None:
    monkeypatch.setattr(sessions, "num_cores", lambda: cores)
    session = OpenVinoSession(make_onnx, performance=performance, threads=threads)
    assert session.parallel_runs == runs
    assert session.summary.endswith("throughput mode") is (performance == "throughput")


def test_a_session_goes_on_after_a_run_that_failed(make_onnx) -> None:
    session = OpenVinoSession(lambda _: make_onnx((1, 3, 8, 12)))
    for _ in range(3):  # more often than there are requests
        with pytest.raises(RuntimeError):
            session.run(images(1, 4, 4))


def test_signals_are_handled_after_sessions_were_dropped_in_the_order_they_were_made(make_onnx, tmp_path) -> None:
    """OpenVINO's own clean-up left Python's signal handlers without a stack; in a process of its own, since it crashed."""
    (tmp_path / "model.onnx").write_bytes(make_onnx((1, 3, 8, 12)))
    program = """
import signal, sys
from centernet.inference.openvino_session import OpenVinoSession
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
sessions = [OpenVinoSession(sys.argv[1]) for _ in range(2)]
while sessions:
    del sessions[0]
signal.raise_signal(signal.SIGTERM)
"""
    ended = subprocess.run([sys.executable, "-c", program, tmp_path / "model.onnx"], capture_output=True, text=True, timeout=240)
    assert (ended.returncode, ended.stdout) == (0, "handled\n"), ended.stderr


@pytest.mark.parametrize(("flags", "expected"), [("fpu avx512f amx_bf16 avx amx_tile amx_int8", True), ("fpu avx512f avx512_bf16", False)])
def test_amx_is_read_from_the_cpus_flags(flags, expected, monkeypatch) -> None:
    monkeypatch.setattr(sessions.Path, "read_text", lambda *_, **__: f"flags\t\t: {flags}\n")
    assert has_amx() is expected
    assert fastest_precision() == ("bfloat16" if expected else "float32")


def test_a_system_without_cpuinfo_has_no_amx(monkeypatch) -> None:
    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(sessions.Path, "read_text", missing)
    assert not has_amx()


def test_damaged_weights_are_named_and_the_format_is_openvinos(tmp_path: Path) -> None:
    source = ops.parameter([1, 4], np.float32)
    model = openvino.Model([ops.matmul(source, np.eye(4, dtype=np.float32), False, False)], [source], "one")
    path = tmp_path / "one.xml"
    openvino.save_model(model, path, compress_to_fp16=False)
    path.with_suffix(".bin").write_bytes(b"1234")
    with pytest.raises(ConfigError) as caught:
        OpenVinoSession(path)
    assert str(caught.value).startswith(
        f"{path}: cannot be read as OpenVINO's format together with its weights in {tmp_path / 'one.bin'}: "
    )
    assert "ONNX" not in str(caught.value)
