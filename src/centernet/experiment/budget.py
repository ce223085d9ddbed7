"""Training that is given a time instead of a number of epochs: a few steps are measured, then epochs and schedule chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count, islice
from time import perf_counter
from typing import Any

import nnabla as nn

from centernet import config as configuration
from centernet.data.loader import Batch, Loader
from centernet.engine.budget import RESERVE, Costs, duration_text, epochs_within, seconds_of, stretched
from centernet.engine.schedule import ScheduleConfig
from centernet.engine.step import TrainStep
from centernet.errors import ConfigError
from centernet.experiment.schema import ExperimentConfig

MEASURED = 10  # steps, or as many as a share of the time allows
SHARE = 0.05
PLAN = "plan"  # the entry among a checkpoint's facts


def budget_seconds(text: str) -> float:
    """What a budget comes to; ValueError where it is no time."""
    return seconds_of(text)


def within_budget(
    config: ExperimentConfig, *, resumed: Mapping[str, Any] | None, measured: Callable[[], tuple[Costs, float]]
) -> tuple[ExperimentConfig, dict[str, Any], list[str]]:
    """The experiment with its budget turned into epochs and a schedule, what a checkpoint is to keep of that, and what to say of it.

    Args:
        resumed: the facts of the checkpoint training goes on with, if it does.
        measured: does so, the same on all ranks; also the seconds it took. Called only for a budget that begins now.

    Raises:
        ConfigError: the budget is too short, or not the one training began with.
    """
    text = config.train.budget
    if text is None:
        return config, {}, []
    if resumed is not None:
        config, line = as_chosen(config, resumed.get(PLAN))
    else:
        costs, spent = measured()
        config, line = choose(config, costs, spent=spent)
    return config, {PLAN: plan_of(config, text)}, [line]


def measure(
    config: ExperimentConfig,
    *,
    step: TrainStep,
    parameters: Mapping[str, nn.Variable],
    loader: Loader,
    validations: Sequence[Callable[[], object]],
) -> Costs:
    """Train and validate for a moment, then put the parameters and the loader back; collective.

    Inputs of several sizes, one in an epoch, are all measured.

    Args:
        step: of no use afterwards.
        parameters: all of the network.
        validations: each measures the held-out images once.
    """
    kept = {name: parameter.d.copy() for name, parameter in parameters.items()}
    emptied, waited = loader.num_emptied, loader.wait_seconds
    train, sizes = config.train, len(config.data.train_sizes) or 1
    assert train.budget is not None
    limit = SHARE * seconds_of(train.budget) / sizes
    warm = config.data.prefetch + 1  # batches that are ready before the first step is say nothing of the time to make one
    rate = train.schedule.base_lr / 100  # as a warm-up begins
    try:
        means = [_seconds_per_step(step, loader, epoch, rate=rate, warm=warm, limit=limit) for epoch in range(sizes)]
        began = perf_counter()
        for validate in validations:
            validate()
        validation = perf_counter() - began
    finally:
        for name, values in kept.items():
            parameters[name].d[...] = values
        loader.num_emptied, loader.wait_seconds = emptied, waited
    slowest = [max(times) for times in zip(*step.communicator.gather((sum(means) / sizes, validation)), strict=True)]
    return Costs(step=slowest[0], validation=slowest[1], batches_per_epoch=loader.batches_per_epoch, validate_every=train.validate_every)


def choose(config: ExperimentConfig, costs: Costs, *, spent: float) -> tuple[ExperimentConfig, str]:
    """The experiment with the epochs that fit into its budget and the schedule that goes with them, and what to say of it.

    Args:
        spent: seconds that measuring has taken.

    Raises:
        ConfigError: not even one epoch fits.
    """
    train = config.train
    assert train.budget is not None
    number = epochs_within(seconds_of(train.budget) - spent, costs)
    measured = f"{costs.step:.3g} s for a step with its data, {duration_text(costs.validation)} for the held-out images"
    if not number:
        raise ConfigError(
            f"train.budget: {train.budget} is too short for one epoch: {costs.batches_per_epoch} steps; measured {measured}, "
            f"together {duration_text((costs.seconds(1) / (1 - RESERVE)) + spent)} with what measuring took; give more, or fewer images"
        )
    schedule = stretched(train.schedule, num_epochs=number, made_for=train.epochs)
    steps = f", lr_steps {', '.join(map(str, schedule.lr_steps))}" if schedule.kind == "step" else ""
    text = (
        f"budget {train.budget}: {number} epochs of {costs.batches_per_epoch} steps, {costs.num_validations(number)} looks at the held-out "
        f"images, about {duration_text(costs.seconds(number))}; measured {measured}; "
        f"schedule {schedule.kind}, {schedule.warmup_epochs} epochs of warm-up{steps}"
    )
    return replace(config, train=replace(train, budget=None, epochs=number, schedule=schedule)), text


def plan_of(config: ExperimentConfig, text: str) -> dict[str, Any]:
    """What a checkpoint keeps of the choice that was made for the budget `text`."""
    return {"budget": text, "epochs": config.train.epochs, "schedule": configuration.to_tree(config.train.schedule)}


def as_chosen(config: ExperimentConfig, plan: Mapping[str, Any] | None) -> tuple[ExperimentConfig, str]:
    """The experiment as it was chosen when this training began, and what to say of it.

    Raises:
        ConfigError: it began without a budget, or with another.
    """
    text = config.train.budget
    found = plan["budget"] if plan else "none"
    if plan is None or found != text:
        raise ConfigError(
            f"train.budget: {text}, but the training to go on with began with {found}, and its schedule cannot be chosen again; "
            + (f"give {found}" if plan else "leave it out; train.epochs says how long")
        )
    schedule = configuration.validate(ScheduleConfig, plan["schedule"], source="checkpoint")
    train = replace(config.train, budget=None, epochs=plan["epochs"], schedule=schedule)
    return replace(config, train=train), f"budget {text}: goes on with the {train.epochs} epochs chosen when training began"


def _seconds_per_step(step: TrainStep, loader: Loader, epoch: int, *, rate: float, warm: int, limit: float) -> float:
    """Mean over ten steps, waiting for data included; over fewer, but three, where they take longer than `limit` seconds."""
    began, number = perf_counter(), 0
    for done, batch in enumerate(islice(_again(loader, epoch), warm + MEASURED), start=1):
        step.run(batch.arrays, rate)
        if done == warm:
            began = perf_counter()
        number = done - warm
        if number >= 3 and step.communicator.any(perf_counter() - began > limit):
            break
    return (perf_counter() - began) / number


def _again(loader: Loader, epoch: int) -> Iterator[Batch]:
    """The batches of an epoch, and from its start again."""
    return chain.from_iterable(loader.epoch(epoch) for _ in count())
