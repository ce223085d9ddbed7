"""Who is told how a training goes: the monitors that an experiment names, and those that every training has."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from centernet import config as configuration
from centernet.engine.curves import Curves
from centernet.engine.lenient import Lenient
from centernet.engine.monitors import CsvFile, SeriesFiles
from centernet.engine.pictures import PictureFiles, Pictures
from centernet.engine.progress import ProgressBar
from centernet.engine.reports import MemoryReport, TypesReport
from centernet.engine.step import TrainStep
from centernet.engine.tensorboard import TensorBoard
from centernet.engine.trainer import Monitor
from centernet.engine.weights_and_biases import Wandb, check_login
from centernet.errors import ConfigError
from centernet.experiment.assembly import Assembly
from centernet.experiment.batches import Data
from centernet.experiment.detector import options_of
from centernet.experiment.inference_graph import Machine
from centernet.experiment.schema import ExperimentConfig, TrainConfig
from centernet.experiment.validation_pictures import ValidationPictures

TABLE, SERIES, PICTURES = "metrics.csv", "tmp.monitor", "pictures"  # below the output folder; the second as the predecessor names it

# Packages that are not installed with this one, by the monitor that needs them, and how they are.
EXTRAS = {"tensorboard": ("tensorboardX.record_writer", "tensorboardX>=2.6"), "wandb": ("wandb", "wandb>=0.20")}


def check(train: TrainConfig) -> None:
    """ConfigError where a monitor needs a package that is not installed, with the command that installs it, or a key."""
    for name in (name for name in EXTRAS if name in train.monitors):
        module, requirement = EXTRAS[name]
        try:
            import_module(module)
        except ImportError as error:
            package = module.partition(".")[0]
            raise ConfigError(
                f"train.monitors: {name} needs the package {package} ({error}); install it: pip install '{requirement}', "
                f"or `make setup EXTRAS={name}`"
            ) from None
    if "wandb" in train.monitors:
        check_login(train.wandb)


def monitors(
    config: ExperimentConfig, assembly: Assembly, data: Data, step: TrainStep, folder: Path, machine: Machine, *, is_gpu: bool
) -> list[Monitor]:
    """The monitors of a training that writes to `folder`; is_gpu: whether it runs on one."""
    train = config.train
    writing = _writing(config, assembly.task.published_names, folder)
    pictures: list[Monitor] = []
    if train.pictures:
        drawn = ValidationPictures(assembly, data.validation, machine, options_of(config.test), num_images=train.pictures, seed=train.seed)
        files = Lenient(PictureFiles(folder / PICTURES), name=str(folder / PICTURES))
        pictures = [files, Lenient(Pictures(drawn.draw, [files, *writing]), name="train.pictures")]
    bar = ProgressBar(num_epochs=train.epochs, batches_per_epoch=data.train_loader.batches_per_epoch)
    return [*writing, *pictures, bar, TypesReport(step, folder / "function_types.csv"), MemoryReport(is_gpu=is_gpu)]


def _writing(config: ExperimentConfig, names: Mapping[str, str], folder: Path) -> list[Lenient]:
    """Those of `train.monitors`."""
    train = config.train
    found: dict[str, Monitor] = {}
    if "nnabla" in train.monitors:
        found[SERIES] = SeriesFiles(folder / SERIES, published_names=names)
        found["curves.png"] = Curves(folder / "curves.png", folder=folder / SERIES, terms=list(names.values()))
    if "csv" in train.monitors:
        found[TABLE] = CsvFile(folder / TABLE, every=train.log_every)
    if "tensorboard" in train.monitors:
        found["tensorboard"] = TensorBoard(folder / "tensorboard", every=train.log_every)
    if "wandb" in train.monitors:
        found["wandb"] = Wandb(folder, train.wandb, facts=configuration.to_tree(config), every=train.log_every)
    return [Lenient(monitor, name=str(folder / name)) for name, monitor in found.items()]
