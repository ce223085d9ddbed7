"""Every file in `cfg/` is called by its network and data, its network can be built for its input, and its AP is that of the table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from centernet import config
from centernet.experiment import family
from centernet.experiment.assembly import assemble
from centernet.experiment.choice import Choice, experiment
from centernet.models import architectures, catalogue
from centernet.structures import ClassTable, Normalization

CFG = Path(__file__).resolve().parents[2] / "cfg"
FILES = sorted(path for path in CFG.glob("*.yaml") if not path.stem.startswith("quickstart"))
TRIPLETS = {"large_hourglass": "hourglass_104_coco_triplet", "small_hourglass": "hourglass_52_coco_triplet"}
VARIANTS = {"2x": None, "512": (512, 512)}  # of a published network: trained longer, or at another input size


def words_of(path: Path) -> tuple[str, str, tuple[int, int] | None, str]:
    """(architecture, data, input size where the name says it, precision or task) as a file's name says them."""
    arch, dataset, variant, last = re.fullmatch(r"(.+)_(coco|pascal)(?:_(2x|512))?_(fp|mp|triplet)", path.stem).groups()  # type: ignore[union-attr]
    return arch, dataset, VARIANTS.get(variant), last


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_configuration_builds_the_network_it_is_called_by(path: Path) -> None:
    arch, dataset, _, last = words_of(path)
    found = experiment(Choice(yaml=path, words={"arch": arch, "dataset": dataset, "mixed_precision": last == "mp"}))
    assembly = assemble(found, ClassTable(tuple("abc")), Normalization((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)))
    assert assembly.network.parameter_shapes()
    assert assembly.description.input_size == found.data.input_size
    one = architectures.get(arch)
    named = architectures.find(config.to_tree(found)["model"])
    assert named is not None
    assert named is one or (last == "triplet" and (named.backbone, named.neck) == (one.backbone, one.neck))
    assert found.model.head.hidden_channels == one.hidden_channels


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_configuration_says_what_its_words_mean(path: Path) -> None:
    """But for what a file has to decide: where backbones lie, and its batch and rate."""
    arch, dataset, input_size, last = words_of(path)
    choice = Choice(task=last if last == "triplet" else None, words={"arch": arch, "dataset": dataset}, input_size=input_size)
    typed, written = experiment(choice), experiment(Choice(yaml=path))
    assert (written.task, written.data) == (typed.task, typed.data)
    assert (written.model.backbone, written.model.neck, written.model.head) == (typed.model.backbone, typed.model.neck, typed.model.head)
    assert written.train.schedule.kind == typed.train.schedule.kind == ("cosine" if family.is_predecessors_word(arch) else "step")


def test_every_file_says_which_ap_to_expect_and_the_table_says_the_same() -> None:
    """In its head, `28.1` or that none was published; a row of the table has the same numbers."""
    rows = {name: row for row in (CFG / "README.md").read_text().splitlines() for name in re.findall(r"^\| `(\w+)\.yaml`", row)}
    assert set(rows) == {path.stem for path in CFG.glob("*.yaml")}
    for path in FILES:
        expected = "".join(re.findall(r"^# (AP to expect.*?)\n\w", path.read_text(), re.MULTILINE | re.DOTALL))
        numbers = re.findall(r"\b\d\d\.\d+", expected)
        assert numbers or "none was published" in expected, path
        assert [number for number in numbers if number not in rows[path.stem]] == [], path
        assert numbers or "not published" in rows[path.stem], path


def test_the_aps_are_those_that_the_catalogue_of_networks_has() -> None:
    for name, published in catalogue.PUBLISHED.items():
        stems = (TRIPLETS.get(name, ""), f"{name}_coco_2x_fp", f"{name}_coco_fp")
        stem = next(stem for stem in stems if (CFG / f"{stem}.yaml").exists())
        text = (CFG / f"{stem}.yaml").read_text()
        assert published.weights is None or published.weights in text
        assert all(f" {ap}" in text for ap in (published.ap, published.flip_ap, published.scales_ap) if ap is not None)
