"""A training that is started from a program: `Trainer`."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from centernet import config as configuration
from centernet.engine.context import Extension
from centernet.engine.monitors import read_csv
from centernet.errors import ConfigError
from centernet.experiment import devices, train
from centernet.experiment.detector import Detector
from centernet.experiment.model_files import load
from centernet.experiment.monitors import TABLE
from centernet.experiment.notebook.reading import Settings, Source, read
from centernet.experiment.output import default_folder


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training that ended. folder: what it wrote. exit_code: 0, or 128 + the number of the signal that ended it early."""

    folder: Path
    exit_code: int

    @property
    def is_complete(self) -> bool:
        return not self.exit_code

    @property
    def parameters(self) -> Path:
        """The best model by AP; where AP was never measured, the last one."""
        checkpoints = self.folder / train.CHECKPOINTS
        best = checkpoints / "params_best.h5"
        return best if best.is_file() else max(checkpoints.glob("params_*.h5"), key=lambda path: path.stat().st_mtime_ns)

    def detector(self, **settings: Any) -> Detector:
        """`centernet.load` of those parameters."""
        return load(self.parameters, **settings)

    def history(self) -> list[dict[str, float | str]]:
        """The rows of `metrics.csv`, numbers as numbers, without what a row does not have; ConfigError where there is no such file."""
        table = self.folder / TABLE
        if not table.is_file():
            raise ConfigError(f"{table}: was not written; train.monitors must name csv")
        return [{name: _number(text) for name, text in row.items() if text} for row in read_csv(table)]


class Trainer:
    """What `centernet train` does, with its settings; under mpirun every process calls `fit`."""

    def __init__(
        self,
        config: Source,
        *,
        data_dir: str | Path | None = None,
        settings: Settings | None = None,
        output: str | Path | None = None,
        resume_from: str | int | None = None,
        checkpoint: str | Path | None = None,
        allow_partial: bool = False,
        extension: Extension = "auto",
        gpus: Sequence[int] | None = None,
    ) -> None:
        """
        Args:
            config, data_dir, settings: see `reading.read`.
            output: folder for checkpoints, monitors and the resolved configuration; default: a new one below `exp`.
            resume_from: a checkpoint's number, or "latest", in the output folder.
            checkpoint: a parameter file to begin with, of which allow_partial takes what fits.
            extension, gpus: as `--extension_module` and `--gpus`.

        Raises:
            ConfigError: the configuration is wrong.
        """
        self.config = read(config, data_dir=data_dir, settings=settings)
        self.output = None if output is None else Path(output)
        self.start = train.Start(
            resume_from=None if resume_from is None else str(resume_from),
            checkpoint=None if checkpoint is None else Path(checkpoint),
            allow_partial=allow_partial,
        )
        self.extension, self.gpus = extension, gpus

    def fit(self) -> Training:
        """Train to the end, or until Ctrl-C or "interrupt" in a notebook: then the step is finished and a checkpoint written.

        Raises:
            CenterNetError: whatever the configuration, the files or the machine have wrong.
        """
        check_is_main()
        folder = self.output or default_folder(configuration.to_tree(self.config))
        code = train.train(self.config, output=folder, start=self.start, extension=self.extension, gpu=devices.take(self.gpus))
        return Training(folder=folder, exit_code=code)


def check_is_main() -> None:
    """ConfigError in a worker process that runs the program a second time, because the program does not tell the two apart."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise ConfigError(
            "a loader's worker process has run this program again, as Python does with all of a program's own lines; put those that "
            "train or load below `if __name__ == '__main__':`, or set data.workers to 0"
        )


def _number(text: str) -> float | str:
    with suppress(ValueError):
        return float(text)
    return text
