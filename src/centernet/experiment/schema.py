"""The whole configuration of an experiment: the sections of a YAML file, each validated by the part that reads it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.dataclasses import dataclass

from centernet.data.augment import AugmentConfig
from centernet.data.image_cache import CacheConfig, CacheSection
from centernet.engine.budget import seconds_of
from centernet.engine.early_stopping import EarlyStoppingConfig
from centernet.engine.moving_average import MovingAverageConfig
from centernet.engine.precision import LossScalingConfig
from centernet.engine.schedule import ScheduleConfig
from centernet.engine.solver import SolverConfig
from centernet.engine.weights_and_biases import WandbConfig
from centernet.errors import STRICT
from centernet.geometry.nms import SoftNms
from centernet.plugins import plugin_config
from centernet.tasks.base import MetricProtocol


def _duration(text: str) -> str:
    seconds_of(text)
    return text


Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]

BackboneSection: Any = plugin_config("centernet.models.backbones")
NeckSection: Any = plugin_config("centernet.models.necks")
HeadSection: Any = plugin_config("centernet.models.heads")
DatasetSection: Any = plugin_config("centernet.data.datasets")
TaskSection: Any = plugin_config("centernet.tasks")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModelConfig:
    """The network. pretrained_model_dir: the folder of the backbone's published ImageNet files, or one file, or the name of one
    in `centernet weights list`; null trains without.
    """

    backbone: BackboneSection
    neck: NeckSection
    head: HeadSection
    pretrained_model_dir: str | None = "weights/backbone"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataConfig:
    """The data set, and how its images reach the network.

    root: folder the data set's paths are relative to (`--data_dir`). input_size: (height, width) of the network input.
    metric: coco, or voc; null: that of the data set's makers, and COCO's for data of one's own in COCO's form.
    train_sizes: training uses these instead, one in an epoch, all of them in turn in random order; listed twice, twice as often.
    augment: null switches all of it off. color_on: where colours are varied and normalised: by the workers, or by the network's
    device, to which batches then travel as bytes; auto: on a GPU by the device (NNabla's functions for the CPU take several
    times as long as OpenCV's).
    workers: processes that prepare batches, per process that trains; 0 prepares them in between; null: enough for the cores.
    start_method: of the workers; fork starts at once, but not in a process that has threads or uses a GPU. prefetch: batches
    prepared ahead. sample_seconds: how long a worker may be at one image before it is taken to hang.
    on_bad_image: an image that cannot be read, or at which a worker fails, hangs or dies, ends the run, or the next sample takes
    its place. cache: where images are kept once they have been read: none, ram or disk, or a section.
    """

    dataset: DatasetSection
    root: str | None = None
    metric: MetricProtocol | None = None
    input_size: tuple[Positive, Positive]
    train_sizes: tuple[tuple[Positive, Positive], ...] = ()
    augment: AugmentConfig | None = AugmentConfig()
    color_on: Literal["auto", "host", "device"] = "auto"
    workers: Annotated[int, Field(ge=0)] | None = None
    start_method: Literal["forkserver", "spawn", "fork"] = "forkserver"
    prefetch: Positive = 2
    sample_seconds: Annotated[float, Field(gt=0)] = 120.0
    on_bad_image: Literal["stop", "skip"] = "stop"
    cache: CacheSection = CacheConfig()


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PrecisionConfig:
    """compute: half runs convolutions in float16, with float32 parameters, batch-norm statistics and losses.

    float32 is another word for float. channel_last: NHWC, which Tensor Cores want (GPU). pad_input_to: image channels; the
    fourth is zero. loss_scaling: null, or not given: dynamic from 4 on with half, none with float.
    """

    compute: Annotated[Literal["float", "half"], BeforeValidator(lambda word: "float" if word == "float32" else word)] = "float"
    channel_last: bool = False
    pad_input_to: Literal[3, 4] = 3
    loss_scaling: LossScalingConfig | None = None

    def __post_init__(self) -> None:
        if self.loss_scaling is None:
            default = LossScalingConfig(scale=4, dynamic=True) if self.compute == "half" else LossScalingConfig()
            object.__setattr__(self, "loss_scaling", default)  # so that what is written down says what is done


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DistributedConfig:
    """Training in several processes.

    timeout_seconds: time for all to join, and after which one that shows no sign of life ends all. check_every: steps between
    comparisons of all processes' parameters, which must be equal to the bit.
    """

    timeout_seconds: Annotated[float, Field(ge=5)] = 45.0
    check_every: Positive = 1000


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainConfig:
    """How to train.

    budget: a time such as 2h, 1h30m or 45m instead of `epochs`: a few steps and a look at the held-out images are measured, then
    the number of epochs is chosen, and the schedule made for `epochs` is stretched to it.
    batch_size: images that go through a process's network at once; global_batch_size: of one step over all processes; exactly
    one is given. accumulate: times each process does so in one step; it multiplies the global batch of a given batch_size, and
    divides what a given global_batch_size leaves for a process.
    recompute: keep of the backbone only each stage's output for backward and compute the rest again: less memory, more time.
    gradient_clip: largest global norm of the gradient. freeze: patterns of names of parameters that are not trained (`res1/*`),
    and whose batch norm keeps its statistics; freeze_batch_norm: all statistics. sync_batch_norm: batch norm with the statistics
    of what all processes have in their networks at once, instead of each its own.
    moving_average: of the parameters, beside those that are trained: it is what is measured, kept as the best and written to
    `params_*.h5`; null: none is kept. early_stopping: when AP does not rise any more; null: never.
    validate_every, save_every: in epochs; the last always counts.
    keep_states: for how many of the newest checkpoints the solver's states stay on disk (the parameters always do).
    monitors: nnabla (its monitor files, and curves), csv (`metrics.csv`), tensorboard and wandb (extras of this package), each in the
    output folder. wandb: the run at Weights & Biases. log_every: steps between rows of the last three.
    pictures: held-out images that are drawn at every measurement, the same each time, chosen by seed; 0: none.
    """

    epochs: Positive = 140
    budget: Annotated[str, AfterValidator(_duration)] | None = None
    batch_size: Positive | None = None
    global_batch_size: Positive | None = None
    accumulate: Positive = 1
    seed: Annotated[int, Field(ge=0)] = 317
    schedule: ScheduleConfig = ScheduleConfig()
    solver: SolverConfig = SolverConfig()
    precision: PrecisionConfig = PrecisionConfig()
    recompute: bool = False
    distributed: DistributedConfig = DistributedConfig()
    gradient_clip: Annotated[float, Field(gt=0)] | None = None
    moving_average: MovingAverageConfig | None = None
    early_stopping: EarlyStoppingConfig | None = None
    freeze: tuple[str, ...] = ()
    freeze_batch_norm: bool = False
    sync_batch_norm: bool = False
    validate_every: Positive = 5
    validate_ap: bool = True
    validate_losses: bool = True
    save_every: Positive = 5
    keep_states: Positive = 2
    monitors: tuple[Literal["nnabla", "csv", "tensorboard", "wandb"], ...] = ("nnabla", "csv")
    wandb: WandbConfig = WandbConfig()
    log_every: Positive = 10
    pictures: Annotated[int, Field(ge=0, le=32)] = 4

    def __post_init__(self) -> None:
        if (self.batch_size is None) == (self.global_batch_size is None):
            raise ValueError("give exactly one of batch_size (per process) and global_batch_size (over all processes)")
        if self.early_stopping and not self.validate_ap:
            raise ValueError("early_stopping: goes by AP, which validate_ap: false does not measure")
        if self.sync_batch_norm and self.freeze_batch_norm:
            raise ValueError("sync_batch_norm: excludes freeze_batch_norm, as frozen statistics are not those of any batch")
        if self.sync_batch_norm and self.recompute:
            raise ValueError("sync_batch_norm: excludes recompute, as batch norm computed again would count each batch twice")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TestConfig:
    """How to test. k: detections per image and scale. max_detections: kept per image after merging scales.

    keep_resolution: the image's own size, padded to a multiple of what the network takes, instead of `data.input_size`.
    scales: image scales whose detections are merged.
    flip_test: also look at the mirror image; the task merges what both say.
    nms: suppress also at a single scale; with several it is always done.
    soft_nms: how to suppress; null merges scales without, as the predecessor does. soft_nms_reference: as the official code
    does it, faults included, to reproduce its numbers.
    """

    __test__ = False  # not a test case, whatever pytest thinks of the name

    k: Positive = 100
    max_detections: Positive = 128
    keep_resolution: bool = False
    scales: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (1.0,)
    flip_test: bool = False
    nms: bool = False
    soft_nms: SoftNms | None = SoftNms()
    soft_nms_reference: bool = False
    batch_size: Positive = 8

    def __post_init__(self) -> None:
        if self.soft_nms is None and (self.nms or self.soft_nms_reference):
            raise ValueError("nms and soft_nms_reference need to know how to suppress: soft_nms must not be null")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ExperimentConfig:
    """One complete experiment: the content of a file in `cfg/`."""

    task: TaskSection
    data: DataConfig
    model: ModelConfig
    train: TrainConfig
    test: TestConfig = TestConfig()
