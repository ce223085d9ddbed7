"""Average precision from a program: `evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from centernet.errors import ConfigError, WeightsError
from centernet.experiment import choice as choices
from centernet.experiment import published, report
from centernet.experiment.choice import Choice
from centernet.experiment.description import Description
from centernet.experiment.detector import Detector, detector, options_of
from centernet.experiment.evaluate import measure
from centernet.experiment.explain import page
from centernet.experiment.explain.explanation import measure as measure_and_explain
from centernet.experiment.inference_graph import Machine
from centernet.experiment.model_files import load, own_description, with_settings
from centernet.experiment.notebook.model import Model
from centernet.experiment.notebook.reading import Settings, Source, keys, read
from centernet.experiment.output import output_folder
from centernet.experiment.processes import join
from centernet.experiment.schema import ExperimentConfig

AnyModel = Union[str, Path, Detector, Model]  # noqa: UP007 - evaluated


def evaluate(
    model: AnyModel,
    *,
    data_dir: str | Path | None = None,
    config: Source | None = None,
    settings: Settings | None = None,
    output: str | Path | None = None,
    explain: str | Path | None = None,
    **how: Any,
) -> dict[str, Any]:
    """Average precision on the validation split, as `centernet test` measures it; under mpirun the images are shared.

    Args:
        model: a model file, what `centernet.load` opened, or what `centernet.build` made.
        config: the experiment whose `data` and `test` count; default: the model's own. data_dir, settings: see `reading.read`.
        output: folder for `results.json` and `detections.json`; default: they are not written.
        explain: folder for `explain.html` and `explain.json`, which say where the AP is lost; default: that is not looked for. What
            `centernet.load` opened must have been opened `with_maps=True`.
        how: of what is not opened yet, as `centernet.load` takes them: `flip_test=True`, `runtime="nnabla"`. Without them as the
            configuration says, in float32.

    Returns:
        What `results.json` holds: `AP`, `AP50`, ... in [0, 1], `per_class`, and `protocol`, which says how they came about.

    Raises:
        ConfigError: a setting does not fit. DataError: the data set cannot be read, or has other classes than the model.
    """
    processes = join()
    if explain is not None and not isinstance(model, Detector):
        how = {"with_maps": True, **how}
    with processes.ending_all(), ExitStack() as folders:
        opened, experiment = _opened(model, how, threads=processes.threads_each, data=_Data(config, keys(data_dir, settings)))
        written, explained = (
            None if folder is None or processes.rank else folders.enter_context(output_folder(Path(folder))) for folder in (output, explain)
        )
        explanation = None
        if explain is None:
            results, detections = measure(opened, experiment.data, processes.communicator)
        else:
            results, detections, explanation = measure_and_explain(opened, experiment.data, processes.communicator)
        if written is not None:
            report.write_json(written / "results.json", results)
            report.write_json(written / "detections.json", detections)
        if explained is not None and explanation is not None:
            page.write(explanation, explained)
        return results


@dataclass(frozen=True)
class _Data:
    """Which experiment's data and test count: that of `config`, or, where that is None, a model's own; `settings` on top."""

    config: Source | None
    settings: Mapping[str, Any]

    def experiment(self, described: Description, *, source: str) -> ExperimentConfig:
        if self.config is not None:
            return read(self.config, settings=self.settings)
        return choices.from_description(Choice(keys=self.settings), described.experiment, source=source)


def _opened(model: AnyModel, how: Mapping[str, Any], *, threads: int | None, data: _Data) -> tuple[Detector, ExperimentConfig]:
    if isinstance(model, Detector):
        if how:
            raise ConfigError(f"evaluate: {min(how)}: the detector is open already; give it to centernet.load")
        return model, data.experiment(model.description, source="the detector")
    machine = Machine(precision="float32", threads=threads, performance="throughput")
    if isinstance(model, Model):
        experiment = data.experiment(model.assembly.description, source="the model")
        machine, options = with_settings(machine, options_of(experiment.test), how)
        return detector(model.assembly, machine, options), experiment
    path = Path(model)
    described = own_description(path)
    if described is None:
        if data.config is None:
            raise WeightsError(f"{path}: says nothing about its network; name it: config='cfg/FILE.yaml'")
        described = published.described(read(data.config, settings=data.settings))
    experiment = data.experiment(described, source=str(path))
    return load(path, described=described, machine=machine, options=options_of(experiment.test), **how), experiment
