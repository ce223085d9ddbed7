"""Every file in `cfg/` is called by its network and data, and its network can be built for its input."""

from __future__ import annotations

from pathlib import Path

import pytest

from centernet import config
from centernet.experiment import family
from centernet.experiment.assembly import assemble
from centernet.experiment.choice import Choice, experiment
from centernet.models import architectures
from centernet.structures import ClassTable, Normalization

CFG = Path(__file__).resolve().parents[2] / "cfg"
FILES = sorted(path for path in CFG.glob("*.yaml") if path.stem != "quickstart")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_configuration_builds_the_network_it_is_called_by(path: Path) -> None:
    arch, dataset, precision = path.stem.rsplit("_", 2)
    found = experiment(Choice(yaml=path, words={"arch": arch, "dataset": dataset, "mixed_precision": precision == "mp"}))
    assembly = assemble(found, ClassTable(tuple("abc")), Normalization((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)))
    assert assembly.network.parameter_shapes()
    assert assembly.description.input_size == found.data.input_size
    one = architectures.get(arch)
    assert architectures.find(config.to_tree(found)["model"]) is one
    assert found.model.head.hidden_channels == one.hidden_channels


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_configuration_says_what_its_words_mean(path: Path) -> None:
    """But for what a file has to decide: where backbones lie, and its batch and rate."""
    arch, dataset, _ = path.stem.rsplit("_", 2)
    typed, written = experiment(Choice(words={"arch": arch, "dataset": dataset})), experiment(Choice(yaml=path))
    assert (written.task, written.data) == (typed.task, typed.data)
    assert (written.model.backbone, written.model.neck, written.model.head) == (typed.model.backbone, typed.model.neck, typed.model.head)
    assert written.train.schedule.kind == typed.train.schedule.kind == ("cosine" if family.is_predecessors_word(arch) else "step")
