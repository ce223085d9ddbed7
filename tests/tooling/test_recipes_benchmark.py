"""benchmarks/recipes.py: what it calls better, what it trains again, and that it measures what the files in recipes/ say."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from centernet import config
from centernet.experiment.choice import Choice, experiment

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("recipes")


@pytest.fixture
def report(recipes: ModuleType) -> ModuleType:
    return importlib.import_module("recipes_report")


def runs(*values: float) -> list[dict[str, object]]:
    return [
        {"AP": [0.0, value], "AP50": [0.0, 2 * value], "epochs": [1, 4], "seconds": 7, "experiment": "x", "keys": {}} for value in values
    ]


def test_the_files_in_recipes_are_what_is_measured(recipes: ModuleType) -> None:
    base = ROOT / "cfg" / "resnet_18_coco_fp.yaml"
    assert {path.stem for path in (ROOT / "recipes").glob("*.yaml")} == {*recipes.RECIPES} - {recipes.BASELINE}
    for name, keys in recipes.RECIPES.items():
        path = base if name == recipes.BASELINE else ROOT / "recipes" / f"{name}.yaml"
        assignments = [f"{key}={value}" for key, value in keys.items()]
        assert config.to_tree(experiment(Choice(yaml=path))) == config.to_tree(experiment(Choice(yaml=base, assignments=assignments))), name


def test_every_recipe_is_a_valid_experiment_of_both_data_sets(recipes: ModuleType, tmp_path: Path) -> None:
    for data, text in recipes.EXPERIMENTS.items():
        path = tmp_path / f"{data}.yaml"
        path.write_text(text)
        for name, keys in recipes.KNOWN.items():
            assert experiment(Choice(yaml=path, assignments=[f"{key}={value}" for key, value in keys.items()])), name


def test_better_is_what_is_better_with_every_seed(report: ModuleType) -> None:
    baseline = runs(0.10, 0.20, 0.30)
    assert report.verdict(runs(0.11, 0.21, 0.31), baseline) == "better"
    assert report.verdict(runs(0.09, 0.19, 0.29), baseline) == "worse"
    assert report.verdict(runs(0.50, 0.60, 0.29), baseline) == "no difference beyond the seeds'"
    assert report.verdict(runs(0.12), runs(0.10)) == "+2.0 AP with the one seed"


def test_the_table_has_the_mean_and_half_the_range_in_points(report: ModuleType) -> None:
    measured = {"published": runs(0.05, 0.10, 0.20), "ema": runs(0.10, 0.20, 0.30)}
    assert report.table(measured)[2] == "| published | 23.3 ± 15.0 | 11.7 ± 7.5 |  |"
    assert report.table(measured)[3] == "| ema | 40.0 ± 20.0 | 20.0 ± 10.0 | better |"
    assert report.last("AP", runs(0.1)) == "10.0"


def test_what_was_trained_is_not_trained_again_unless_something_else_is_asked_for(
    recipes: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []

    def stop(*command: object, **_: object) -> None:
        started.append(command)
        raise SystemExit

    monkeypatch.setattr(recipes.subprocess, "run", stop)
    plan = recipes.Plan(data="bccd", recipe="ema", seed=1, epochs=2, every=3)
    kept = {**runs(0.5)[0], "experiment": recipes.EXPERIMENTS["bccd"], "keys": plan.keys}
    (tmp_path / plan.file).write_text(json.dumps(kept))
    assert recipes.train(plan, data_dir=tmp_path, keep=tmp_path) == kept
    (tmp_path / plan.file).write_text(json.dumps({**kept, "experiment": "another"}))
    with pytest.raises(SystemExit):
        recipes.train(plan, data_dir=tmp_path, keep=tmp_path)
    assert len(started) == 1


def test_what_was_measured_is_written_where_it_is_read(report: ModuleType, tmp_path: Path) -> None:
    for name in ("docs/images", "recipes"):
        (tmp_path / name).mkdir(parents=True)
    page, file = tmp_path / "docs" / "recipes.md", tmp_path / "recipes" / "ema.yaml"
    page.write_text("before\n<!-- bccd: benchmarks/recipes.py writes it -->\nold\n<!-- end of bccd -->\nafter\n")
    file.write_text("# What it is.\n# bccd, old\n# shapes, old\ntask: {name: ctdet}\n")
    for _ in range(2):  # the second time finds what the first one wrote
        report.write(tmp_path, "bccd", "bccd, 4 epochs, 2 seeds", {"published": runs(0.1, 0.2), "ema": runs(0.2, 0.3)})
    assert "before\n" in page.read_text()
    assert "\n| ema | 50.0 ± 10.0 | 25.0 ± 5.0 | better |\n" in page.read_text()
    assert "old" not in page.read_text()
    said = "# bccd, 4 epochs, 2 seeds: AP50 50.0 ± 10.0 (published 30.0 ± 10.0), AP 25.0 ± 5.0 (published 15.0 ± 5.0): better."
    assert file.read_text().splitlines()[1:3] == [said, "# shapes, old"]
    assert (tmp_path / "docs" / "images" / "recipes_bccd.png").read_bytes().startswith(b"\x89PNG")
    tree = json.loads((tmp_path / "docs" / "images" / "recipes_bccd.json").read_text())
    assert [run["AP"] for run in tree["recipes"]["ema"]] == [[0.0, 0.2], [0.0, 0.3]]


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "images").glob("recipes_*.json")), ids=lambda path: path.stem)
def test_the_heads_of_the_recipes_and_the_page_have_what_was_measured_last(report: ModuleType, path: Path) -> None:
    tree = json.loads(path.read_text())
    for line in report.table(tree["recipes"]):
        assert line in (ROOT / "docs" / "recipes.md").read_text().splitlines()
    for name, found in tree["recipes"].items():
        file = ROOT / "recipes" / f"{name}.yaml"
        said = report.effect(tree["title"], found, tree["recipes"][report.BASELINE])
        assert not file.is_file() or said in file.read_text().splitlines(), file


def test_blood_cells_keep_their_boxes_as_coco_json(recipes: ModuleType, real_data: Path, tmp_path: Path) -> None:
    root = recipes.prepare("bccd", real_data / "bccd", tmp_path)
    tree = json.loads((root / "train.json").read_text())
    assert (len(tree["images"]), [category["name"] for category in tree["categories"]]) == (205, ["Platelets", "RBC", "WBC"])
    assert (root / "images" / tree["images"][0]["file_name"]).is_file()


def test_without_the_data_set_it_is_skipped_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "recipes.py"), "--data_dir", str(tmp_path / "missing")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [f"skipped: no data set in {tmp_path / 'missing'}; name its folder with --data_dir"]
