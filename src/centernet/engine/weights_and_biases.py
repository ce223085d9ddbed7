"""Weights & Biases: a run in the output folder, uploaded as training goes on or, with `wandb sync`, at any later time."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from pydantic.dataclasses import dataclass

from centernet.engine.checkpoint import Progress
from centernet.engine.rows import Rows
from centernet.errors import STRICT, ConfigError
from centernet.weights.store import write_atomically

PICTURES = "pictures"  # the key that pictures have; the others are KIND/NAME, as in the table of the monitor `csv`
STATE = "centernet.json"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class WandbConfig:
    """The run at Weights & Biases.

    project: it belongs to. name: of the run; null: the output folder's. mode: offline only writes it into the output folder;
    online uploads it meanwhile, which needs an API key.
    """

    project: str = "centernet"
    name: str | None = None
    mode: Literal["offline", "online"] = "offline"


class Wandb(Rows):
    """A monitor whose rows and pictures make a run, over iterations.

    What was written last is noted beside the run, so that a resumed training goes on with the run of the same id and repeats nothing:
    W&B does not forget what it was given. A new training begins a new run.

    Args:
        folder: the output folder; the run goes to `wandb` in it.
        facts: what W&B shows as the run's configuration.
    """

    def __init__(self, folder: Path, config: WandbConfig, *, facts: Mapping[str, Any], every: int = 50) -> None:
        super().__init__(every=every)
        self._folder = folder
        self._state = folder / "wandb" / STATE
        self._config = config
        self._facts = dict(facts)
        self._id = ""
        self._written: dict[str, int] = {}  # kind of row -> iteration of the last one
        self._run: Any = None

    def started(self, progress: Progress) -> None:
        """Begin the run or go on with it.

        Raises:
            ConfigError: W&B cannot.
        """
        import wandb

        super().started(progress)
        state = json.loads(self._state.read_text()) if progress.iteration and self._state.is_file() else {}
        self._id, self._written = state.get("id") or secrets.token_hex(4), state.get("written", {})
        self._state.parent.mkdir(parents=True, exist_ok=True)  # else W&B takes a folder of the system's
        settings = {"console": "off", "silent": True, "disable_git": True, "disable_code": True, "save_code": False}
        try:
            self._run = wandb.init(
                id=self._id,
                resume="allow" if self._config.mode == "online" else None,
                reinit="create_new",
                dir=str(self._folder),
                project=self._config.project,
                name=self._config.name or self._folder.absolute().name,
                mode=self._config.mode,
                config=self._facts,
                settings=wandb.Settings(**settings),
            )
        except wandb.Error as error:
            raise ConfigError(
                f"train.monitors: wandb: W&B cannot begin a run: {error}; train.wandb.mode: offline needs no server"
            ) from error

    def write(self, kind: str, epoch: int, numbers: Mapping[str, float]) -> None:
        """A value of the run for each number, with the epoch."""
        self._log(kind, {"epoch": epoch, **{f"{kind}/{name}": value for name, value in numbers.items()}})

    def pictured(self, epoch: int, png: bytes) -> None:
        """A picture of the run."""
        import wandb
        from PIL import Image

        self._log(PICTURES, {PICTURES: wandb.Image(Image.open(BytesIO(png)), caption=f"epoch {epoch + 1}")})

    def ended(self, text: str) -> None:
        """Complete the run."""
        self._run.summary["ended"] = text
        self._run.finish()

    def _log(self, kind: str, values: Mapping[str, Any]) -> None:
        iteration = self._progress.iteration
        if iteration <= self._written.get(kind, -1):
            return
        self._run.log(dict(values), step=iteration)
        self._written[kind] = iteration
        write_atomically(self._state, json.dumps({"id": self._id, "written": self._written}).encode())


def check_login(config: WandbConfig) -> None:
    """ConfigError where the run is to be uploaded and W&B knows no API key here."""
    import wandb

    if config.mode == "online" and not wandb.api.api_key:
        raise ConfigError("train.wandb.mode: online needs an API key: run `wandb login`, or set WANDB_API_KEY; offline needs none")
