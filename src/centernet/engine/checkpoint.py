"""Checkpoints: everything a training needs to go on as if it had never stopped, written so that a crash ruins nothing.

A folder holds, for epoch N, `params_N.h5` (kept for ever), `states_N.h5` and `checkpoint_N.json` (kept for the last
few); the same three called `interrupted` where a signal ended training inside an epoch; `params_best.h5` and
`best.json`. A checkpoint of the same name is replaced as a whole, or not at all: see `pending`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import time
from typing import Any

import h5py
import numpy as np

from centernet.engine import pending
from centernet.engine.solver import STEPS
from centernet.engine.step import TrainStep
from centernet.errors import OutputError, WeightsError
from centernet.structures import Array
from centernet.weights.store import read_parameters, write_atomically, write_parameters

INTERRUPTED = "interrupted"
OWN = "centernet"  # key of what the predecessor's JSON does not have


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far training is.

    epoch: the one to train next, from 0. batch: global batches of it already trained. iteration: steps since the start.
    sums: loss terms added up over the `steps` good steps of this epoch. best, best_epoch: the best metric so far and
    when. seconds: of training so far. mark, num_stale: the metric that early stopping waits to be exceeded, and for how many
    measurements it has.
    """

    epoch: int = 0
    batch: int = 0
    iteration: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    best: float | None = None
    best_epoch: int | None = None
    seconds: float = 0.0
    mark: float | None = None
    num_stale: int = 0


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a checkpoint on the disk says; `scaler` is empty and `facts` too where the predecessor wrote it.

    facts: whatever the writer wanted to find again (seed, global batch, configuration hash).
    average: the moving average of the parameters after so many updates; None: none was kept.
    """

    path: Path
    progress: Progress
    parameters: dict[str, Array]
    states: dict[str, dict[str, Array]]
    scaler: dict[str, float]
    facts: dict[str, Any]
    average: tuple[dict[str, Array], int] | None = None


class Checkpointer:
    """Writes the checkpoints of one training (on rank 0 only: the caller sees to it).

    Args:
        description: what goes into every parameter file so that it explains itself.
        facts: JSON values to find again when resuming.
        keep_states: solver states are kept for so many epochs.
    """

    def __init__(
        self,
        folder: Path,
        *,
        description: dict[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
        keep_states: int = 3,
    ) -> None:
        self.folder = folder
        self._description = description
        self._facts = dict(facts or {})
        self._keep_states = keep_states

    def save(self, step: TrainStep, progress: Progress) -> Path:
        """Write the checkpoint of the epoch just finished, or of an interrupted one; returns the parameters' path.

        Raises:
            OutputError: the folder is not writable or the disk is full; earlier checkpoints are untouched.
        """
        name = INTERRUPTED if progress.batch or not progress.epoch else str(progress.epoch - 1)
        trained = [self.folder / f"trained_{name}.h5"] if step.average is not None else []
        paths = [self.folder / f"params_{name}.h5", self.folder / f"states_{name}.h5", *trained, self.folder / f"checkpoint_{name}.json"]
        new = [pending.beside(path) for path in paths]
        _make_folder(self.folder)
        try:
            pending.finish(self.folder)
            with step.averaged():
                self._write_parameters(new[0], step)
            write_atomically(new[1], _states_to_hdf5(step.solver.states()))
            if trained:
                self._write_parameters(new[2], step)
            write_atomically(new[-1], json.dumps(self._record(step, progress, name), indent=1).encode())
            pending.finish(self.folder)
        except OSError as error:
            raise OutputError(f"{self.folder}: checkpoint {name} cannot be written: {error.strerror}") from error
        finally:
            if not new[-1].exists():  # else they are the checkpoint
                for path in new:
                    path.unlink(missing_ok=True)
        self._remove_old(name)
        return paths[0]

    def save_best(self, step: TrainStep, *, epoch: int, metrics: Mapping[str, float]) -> Path:
        """Write `params_best.h5` and, beside it, which epoch and what numbers it is."""
        _make_folder(self.folder)
        path = self.folder / "params_best.h5"
        self._write_parameters(path, step)
        write_atomically(self.folder / "best.json", json.dumps({"epoch": epoch, "metrics": dict(metrics)}, indent=1).encode())
        return path

    def _write_parameters(self, path: Path, step: TrainStep) -> None:
        parameters = step.parameters()
        need_grad = {name: parameter.need_grad for name, parameter in parameters.items()}
        arrays = {name: np.asarray(parameter.d, np.float32) for name, parameter in parameters.items()}
        write_parameters(path, arrays, description=self._description, need_grad=need_grad)

    def _record(self, step: TrainStep, progress: Progress, name: str) -> dict[str, Any]:
        names = [key for key, parameter in step.parameters().items() if parameter.need_grad]
        own = {"progress": asdict(progress), "scaler": step.scaler.state(), "facts": self._facts, "saved": time()}
        if step.average is not None:
            own["average"] = {"num_updates": step.average.num_updates, "trained_path": f"trained_{name}.h5"}
        return {
            "": {"states_path": f"states_{name}.h5", "params_names": names, "num_update": progress.iteration},
            "params_path": f"params_{name}.h5",
            "current_iter": progress.epoch - 1,
            OWN: own,
        }

    def _remove_old(self, written: str) -> None:
        """Drop states that are too old to be kept, and the interrupted checkpoint once training is past it."""
        epochs = sorted(int(tag) for tag in _tags(self.folder) if tag != INTERRUPTED)
        past = [str(epoch) for epoch in epochs[: -self._keep_states]] if written != INTERRUPTED else []
        for tag in past:
            if tag != written:
                _unlink(self.folder, f"checkpoint_{tag}.json", f"states_{tag}.h5", f"trained_{tag}.h5")
        if written != INTERRUPTED:
            _unlink(
                self.folder, f"checkpoint_{INTERRUPTED}.json", *(f"{kind}_{INTERRUPTED}.h5" for kind in ("states", "trained", "params"))
            )


def load(folder: Path, which: str | int = "latest") -> Checkpoint:
    """Read a checkpoint, also one of the predecessor.

    Args:
        which: the epoch's number, `interrupted`, or `latest`: the one written last.

    Raises:
        WeightsError: there is none, a file of it is missing or corrupt.
    """
    records = {tag: _read_record(folder / f"checkpoint_{tag}.json") for tag in _tags(folder)}
    if not records:
        raise WeightsError(f"{folder}: no checkpoint_*.json to resume from")
    tag = max(records, key=lambda key: _age(records[key])) if which == "latest" else str(which)
    if tag not in records:
        there = ", ".join(sorted(records, key=lambda key: (not key.isdigit(), key.zfill(9))))
        raise WeightsError(f"{folder}: no checkpoint of epoch {tag} to resume from; there are: {there} (states are kept for the last few)")
    path, record = folder / f"checkpoint_{tag}.json", records[tag]
    own = record.get(OWN, {})
    shown = read_parameters(_beside(path, record["params_path"])).parameters
    average = own.get("average")
    return Checkpoint(
        path=path,
        progress=Progress(**own["progress"]) if own else Progress(epoch=record["current_iter"] + 1, iteration=record[""]["num_update"]),
        parameters=read_parameters(_beside(path, average["trained_path"])).parameters if average else shown,
        states=_read_states(_beside(path, record[""]["states_path"])),
        scaler=own.get("scaler", {}),
        facts=own.get("facts", {}),
        average=(shown, average["num_updates"]) if average else None,
    )


def restore(checkpoint: Checkpoint, step: TrainStep) -> None:
    """Put a checkpoint's values into the step: its parameters, solver states and loss scale.

    Raises:
        WeightsError: a parameter of the network is not in the checkpoint, or has another shape.
    """
    scope = step.parameters()
    wrong = [f"{name} {_found(checkpoint, name)}, expected {p.shape}" for name, p in scope.items() if _found(checkpoint, name) != p.shape]
    if wrong:
        raise WeightsError(f"{checkpoint.path}: {len(wrong)} parameters do not fit this network: {'; '.join(wrong[:5])}")
    for name, parameter in scope.items():
        parameter.d[...] = checkpoint.parameters[name]
    if step.average is not None and checkpoint.average is not None:
        step.average.restore(*checkpoint.average, what=str(checkpoint.path))
    step.restore(checkpoint.states, checkpoint.scaler or step.scaler.state(), what=str(checkpoint.path))


def _found(checkpoint: Checkpoint, name: str) -> tuple[int, ...] | str:
    return checkpoint.parameters[name].shape if name in checkpoint.parameters else "missing"


def _tags(folder: Path) -> list[str]:
    found = (path.stem.removeprefix("checkpoint_") for path in pending.descriptions(folder))
    return [tag for tag in found if tag.isdigit() or tag == INTERRUPTED]


def _age(record: dict[str, Any]) -> tuple[float, int]:
    return record.get(OWN, {}).get("saved", 0.0), record["current_iter"]


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(pending.current(path, description=path).read_text())
        if record.get(OWN):
            Progress(**record[OWN]["progress"])
            _ = record[OWN].get("average", {"trained_path": "", "num_updates": 0})["trained_path"]
        _ = record["params_path"], record["current_iter"] + 1, record[""]["states_path"], record[""]["num_update"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path}: not a checkpoint description: {error!r}") from error
    return dict(record)


def _beside(path: Path, name: str) -> Path:
    """The predecessor's paths are relative to wherever it was started; the files lie beside the JSON."""
    return pending.current(path.parent / Path(name).name, description=path)


def _states_to_hdf5(states: Mapping[str, Mapping[str, Array]]) -> bytes:
    """`<parameter>/<key>` datasets and `<parameter>/t`, as NNabla's `Solver.save_states` lays them out."""
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        for index, (name, arrays) in enumerate(states.items()):
            group = file.create_group(name)
            group.attrs["index"] = index
            for position, (key, array) in enumerate(arrays.items()):
                group.create_dataset(key, data=array)
                if key != STEPS:
                    group[key].attrs["index"] = position
        file.flush()
        image: bytes = file.id.get_file_image()
        return image


def _read_states(path: Path) -> dict[str, dict[str, Array]]:
    states: dict[str, dict[str, Array]] = {}

    def visit(name: str, node: h5py.Dataset | h5py.Group) -> None:
        if isinstance(node, h5py.Dataset):
            parameter, _, key = name.rpartition("/")
            states.setdefault(parameter, {})[key] = node[...]

    try:
        with h5py.File(io.BytesIO(path.read_bytes()), "r") as file:
            file.visititems(visit)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file; solver states are kept for the last few epochs only") from error
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise WeightsError(f"{path}: not a file of solver states, or a damaged one: {error}") from error
    return states


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: the output folder cannot be made: {error.strerror}") from error


def _unlink(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)
