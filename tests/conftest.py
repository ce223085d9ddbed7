"""What all tests share: where the reference numbers and the real data are, and a clean NNabla for each test."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

# How long an example takes says nothing on a machine that others use too.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def _outside(variable: str, default: Path, what: str) -> Path:
    folder = Path(os.environ.get(variable) or default)
    if not folder.is_dir():
        pytest.skip(f"no {what}: set {variable}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """A shell that starts the tests in the background has Ctrl-C ignored, also by all that they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of golden numbers made by running the original systems."""
    return _outside("CENTERNET_REFERENCE", ROOT.parent / "shared" / "reference", "reference numbers")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that holds the real data set `bccd`."""
    return _outside("CENTERNET_DATA", ROOT.parent / "shared" / "data", "real data")


@pytest.fixture(autouse=True)
def clean_nnabla() -> Iterator[None]:
    """NNabla keeps parameters in a global store; no test may see another's."""
    yield
    if "nnabla" in sys.modules:
        import nnabla as nn

        nn.clear_parameters()
