"""Train an experiment: everything a configuration names, put together and run."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import nnabla as nn

from centernet import config as configuration
from centernet import plugins
from centernet.engine import checkpoint as checkpoints
from centernet.engine import communicator as communicators
from centernet.engine import launcher, pending
from centernet.engine.batch_norm import synchronised
from centernet.engine.budget import Costs
from centernet.engine.checkpoint import Checkpoint, Checkpointer
from centernet.engine.communicator import Communicator
from centernet.engine.context import Device, Extension, check_libraries, has_gpu_extension, resolve
from centernet.engine.endings import ending_all
from centernet.engine.moving_average import MovingAverage
from centernet.engine.precision import LossScaler
from centernet.engine.schedule import for_global_batch, learning_rate
from centernet.engine.solver import Solver
from centernet.engine.step import TrainStep
from centernet.engine.trainer import Monitor, Trainer
from centernet.errors import ConfigError, DeviceError
from centernet.experiment import held_out, monitors
from centernet.experiment.assembly import Assembly, assemble
from centernet.experiment.backbone_file import begin_with_backbone, nothing_found
from centernet.experiment.batches import Data, load, open_splits
from centernet.experiment.budget import measure, within_budget
from centernet.experiment.checkpoints import parameters_for
from centernet.experiment.fine_tune import begin_with, frozen_names, plan, stages_of
from centernet.experiment.inference_graph import Machine
from centernet.experiment.output import default_folder, output_folder
from centernet.experiment.schema import ExperimentConfig
from centernet.weights import published

LOG = logging.getLogger(__name__)
MEASURING = 3600.0  # seconds that a first look at all held-out images may take
CHECKPOINTS = "checkpoints"  # below the output folder, as the predecessor names them


@dataclass(frozen=True, kw_only=True)
class Start:
    """What training starts from; at most one is given. resume_from: a checkpoint's number, or `latest`, in the output folder.

    checkpoint: a parameter file of the whole network, or a PyTorch checkpoint, of which allow_partial takes what fits. Without
    either, `model.pretrained_model_dir` counts.
    """

    resume_from: str | None = None
    checkpoint: Path | None = None
    allow_partial: bool = False


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where training runs: NNabla's device, what is to be said of its libraries, this process among the others, and what runs the
    network in validation.
    """

    device: Device
    libraries: Sequence[str]
    communicator: Communicator
    machine: Machine


def train(
    config: ExperimentConfig,
    *,
    output: Path | None = None,
    start: Start | None = None,
    extension: Extension = "auto",
    gpu: int | None = 0,
) -> int:
    """Train and return the exit code: 0, or 128 + the signal that ended training early.

    Args:
        output: folder for checkpoints, monitors and the resolved configuration; default: a new one below `exp`.
        extension, gpu: see `engine.context.resolve`.

    Raises:
        CenterNetError: whatever the configuration, the files or the machine have wrong.
    """
    start = start or Start()
    if start.resume_from and (start.checkpoint or output is None):
        raise ConfigError("--resume-from needs the output folder of the training to go on with (-o), and excludes --checkpoint")
    precision, timeout = config.train.precision, config.train.distributed.timeout_seconds
    if has_gpu_extension():
        communicators.connect(timeout=timeout)
    device = resolve(extension, gpu=gpu, type_config="half" if precision.compute == "half" else "float")
    if precision.channel_last and not device.is_gpu:
        raise DeviceError(
            f"train.precision.channel_last: NNabla's CPU convolution has no NHWC, and training runs on {device.description}; "
            "use the _fp configuration, or --set train.precision.channel_last=false"
        )
    libraries = check_libraries(device, gpu=gpu or 0, num_processes=launcher.num_started()) if device.is_gpu else []
    communicator = communicators.create(device.context, timeout=timeout)
    threads = 1 if communicator.size > 1 else None
    machine = Machine(precision="float32", extension=device.extension, gpu=gpu, threads=threads)
    with ending_all(communicator), nn.context_scope(device.context):
        folder = communicator.broadcast(output or default_folder(configuration.to_tree(config)))
        return _train(config, folder, start, Place(device=device, libraries=libraries, communicator=communicator, machine=machine))


def _train(config: ExperimentConfig, folder: Path, start: Start, place: Place) -> int:
    communicator = place.communicator
    if communicator.rank == 0:
        monitors.check(config.train)
        _warn_of_overwriting(folder, start)
    training, validation = open_splits(config.data)
    assembly = assemble(config, training.classes, training.normalization)
    frozen = frozen_names(config.train.freeze, assembly.network)
    parts = plan(config.train.solver, frozen, assembly.network)
    data = load(config, assembly, training, validation, communicator, on_gpu=place.device.is_gpu)
    with output_folder(folder), assembly.network.parameter_scope(), closing(data):
        network_start = _initialise(config, assembly, start) if communicator.rank == 0 else ""  # who gives all others his parameters
        step = _step(config, assembly, communicator, frozen)
        found = _resume(folder, start, step, data) if start.resume_from else None
        config, plan_facts, chosen = within_budget(
            config, resumed=found.facts if found else None, measured=lambda: _measured(config, assembly, data, frozen, place)
        )
        data.plan(config)
        if communicator.rank == 0:
            configuration.write_yaml(configuration.to_tree(config), folder / "config.yaml")
            _announce(config, assembly, data, place, [network_start, *parts, *chosen, f"output: {folder}"])
        trainer = _trainer(config, assembly, data, step, folder, place, plan_facts)
        result = trainer.fit(found.progress if found else None)
        data.tell_losses(communicator)
    return result.exit_code


def _warn_of_overwriting(folder: Path, start: Start) -> None:
    if not start.resume_from and pending.descriptions(folder / CHECKPOINTS):
        LOG.warning("%s: holds a training, which is overwritten; --resume-from latest would go on with it", folder)


def _initialise(config: ExperimentConfig, assembly: Assembly, start: Start) -> str:
    """Give the parameters their first values; returns what was done, in lines."""
    network, folder = assembly.network, config.model.pretrained_model_dir
    network.parameters()
    if start.checkpoint is not None:
        file = parameters_for(network, start.checkpoint, allow_partial=start.allow_partial)
        return f"{start.checkpoint}: {begin_with(assembly, file, what=start.checkpoint)}"
    if start.resume_from is not None:
        return "parameters: from the checkpoint"
    drawn = f"parameters: drawn with seed {config.train.seed}"
    if folder is None:
        return drawn
    return begin_with_backbone(network, published.resolve(folder)) or f"{drawn}; {nothing_found(network, folder)}"


def _step(config: ExperimentConfig, assembly: Assembly, communicator: Communicator, frozen: Collection[str]) -> TrainStep:
    batch_stat = False if config.train.freeze_batch_norm else None
    normalise = synchronised(communicator) if config.train.sync_batch_norm else None
    recompute = config.train.recompute

    def build_losses(inputs: dict[str, nn.Variable]) -> dict[str, nn.Variable]:
        return assembly.losses(inputs, training=True, batch_stat=batch_stat, frozen=frozen, recompute=recompute, normalise=normalise)

    return TrainStep(
        build_losses,
        loss_weights=assembly.task.loss_weights,
        solver=Solver(config.train.solver, stages=stages_of(assembly.network) if config.train.solver.layer_decay != 1 else ()),
        scaler=LossScaler(config.train.precision.loss_scaling),
        communicator=communicator,
        counts=assembly.task.counts,
        gradient_clip=config.train.gradient_clip,
        accumulate=config.train.accumulate,
        frozen=frozen,
        average=MovingAverage(config.train.moving_average) if config.train.moving_average else None,
    )


def _measured(config: ExperimentConfig, assembly: Assembly, data: Data, frozen: Collection[str], place: Place) -> tuple[Costs, float]:
    """What a step and a look at the held-out images take, and how long it took to find out; with a step and a graph of its own."""
    began, communicator = perf_counter(), place.communicator
    if communicator.rank == 0:
        print(f"budget {config.train.budget}: measuring how long a step takes", flush=True)
    validations: list[Callable[[], object]] = []
    if config.train.validate_losses:
        validations.append(held_out.validation_losses(assembly, data, communicator))
    if config.train.validate_ap:
        metrics = held_out.metrics(config, assembly, data, communicator, place.machine, is_told=False)
        validations.append(lambda: metrics(0))
    with communicator.doing("measuring how long training takes", extra=MEASURING):
        step = _step(config, assembly, communicator, frozen)
        costs = measure(config, step=step, parameters=assembly.network.parameters(), loader=data.train_loader, validations=validations)
    del step
    gc.collect()  # the memory of its graph
    return costs, communicator.broadcast(perf_counter() - began)


def _resume(folder: Path, start: Start, step: TrainStep, data: Data) -> Checkpoint:
    assert start.resume_from is not None
    is_reader = step.communicator.rank == 0  # other machines need not see the folder
    found = step.communicator.broadcast(checkpoints.load(folder / CHECKPOINTS, start.resume_from) if is_reader else None)
    assert found is not None
    checkpoints.restore(found, step)
    batch = found.facts.get("global_batch")
    if found.progress.batch and batch not in (None, data.train_loader.global_batch):
        raise ConfigError(
            f"{found.path}: stopped inside an epoch of global batches of {batch}, so it goes on only with that; "
            f"found {data.train_loader.global_batch} (batch size times processes)"
        )
    return found


def _trainer(
    config: ExperimentConfig, assembly: Assembly, data: Data, step: TrainStep, folder: Path, place: Place, facts: Mapping[str, Any]
) -> Trainer:
    settings = config.train
    length = data.train_loader.batches_per_epoch
    schedule = for_global_batch(settings.schedule, data.train_loader.global_batch)

    told: Sequence[Monitor] = ()
    if place.communicator.rank == 0:
        told = monitors.monitors(config, assembly, data, step, folder, place.machine, is_gpu=place.device.is_gpu)

    def rate(epoch: int, batch: int) -> float:
        return learning_rate(schedule, epoch=epoch, batch=batch, batches_per_epoch=length, num_epochs=settings.epochs)

    return Trainer(
        step=step,
        loader=data.train_loader,
        learning_rate=rate,
        num_epochs=settings.epochs,
        communicator=place.communicator,
        checkpointer=Checkpointer(
            folder / CHECKPOINTS,
            description=assembly.description.to_tree(),
            facts={"seed": settings.seed, "global_batch": data.train_loader.global_batch, **facts},
            keep_states=settings.keep_states,
        ),
        monitors=told,
        validation_losses=held_out.validation_losses(assembly, data, place.communicator) if settings.validate_losses else None,
        metrics=held_out.metrics(config, assembly, data, place.communicator, place.machine) if settings.validate_ap else None,
        validate_every=settings.validate_every,
        save_every=settings.save_every,
        data_seconds=config.data.sample_seconds,
        check_every=settings.distributed.check_every,
        early_stopping=settings.early_stopping,
    )


def _announce(config: ExperimentConfig, assembly: Assembly, data: Data, place: Place, more: Sequence[str]) -> None:
    model, batch, schedule = config.model, data.train_loader.global_batch, config.train.schedule
    scaled = f" ({schedule.base_lr:g} for {schedule.scale_lr_from} images, scaled linearly)" if schedule.scale_lr_from else ""
    rate = f"{for_global_batch(schedule, batch).base_lr:g}{scaled}"
    parts = f" in {config.train.accumulate} parts each" if config.train.accumulate > 1 else ""
    names = " + ".join(plugins.name_of(part) for part in (model.backbone, model.neck, model.head))
    num_parameters = sum(parameter.size for parameter in assembly.network.parameters().values())
    lines = [
        f"{assembly.task.name}: {names}, {num_parameters / 1e6:.2f} million parameters, {_input_text(config, assembly)}",
        f"data: {len(data.training)} images to train, {len(data.validation)} to validate, {len(data.training.classes)} classes",
        f"{place.device.description}; {place.communicator.size} process(es), global batch {batch}{parts}, rate {rate}",
        *place.libraries,
        *more,
    ]
    print("\n".join(lines), flush=True)


def _input_text(config: ExperimentConfig, assembly: Assembly) -> str:
    tested = f"{assembly.grid.height}x{assembly.grid.width}"
    trained = ", ".join(f"{height}x{width}" for height, width in config.data.train_sizes)
    return f"inputs {trained}, one in an epoch; measured at {tested}" if trained else f"input {tested}"
