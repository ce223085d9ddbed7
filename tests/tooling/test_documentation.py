"""What the documentation says is so: links lead somewhere, YAML examples are valid, the table of configurations agrees with the files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from centernet import config, plugins
from centernet.experiment.schema import ExperimentConfig

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "cfg" / "README.md", ROOT / "recipes" / "README.md"]
CONFIGURATIONS = sorted((ROOT / "cfg").glob("*.yaml"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


def test_examples_of_own_data_are_complete_experiments(tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(# my_\w+\.yaml\n.*?)```", (ROOT / "docs" / "own-data.md").read_text(), re.DOTALL)
    assert len(examples) == 2
    for number, text in enumerate(examples):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        config.validate(ExperimentConfig, config.read_yaml(path), source=str(path))


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_the_table_of_configurations_says_what_is_in_the_files(path: Path) -> None:
    lines = (ROOT / "cfg" / "README.md").read_text().splitlines()
    (row,) = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith(f"| `{path.name}` |"))
    network, data, size, epochs, batch, rate, precision, *_ = row[1:]  # protocol and AP: tests/contracts/test_configurations.py
    experiment = config.validate(ExperimentConfig, config.read_yaml(path), source=path.name)
    train = experiment.train
    assert network.split("-")[0].lower() == plugins.name_of(experiment.model.backbone)
    assert {"COCO": "coco", "VOC": "voc", "rendered": "shapes"}[data.split()[0]] == plugins.name_of(experiment.data.dataset)
    assert size == "x".join(map(str, experiment.data.input_size))
    assert int(epochs) == train.epochs
    assert int(batch.split()[0]) == (train.batch_size or train.global_batch_size)
    assert float(rate) == train.schedule.base_lr
    assert precision == {"float": "float32", "half": "mixed"}[train.precision.compute]
