"""`data init`: what a folder holds becomes an experiment whose samples are those of the folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from centernet import config
from centernet.errors import ConfigError, DataError, OutputError
from centernet.experiment.batches import open_splits
from centernet.experiment.data_init import Initialised, Request, init
from centernet.experiment.schema import ExperimentConfig

Truth = Callable[[int], Sequence[tuple[str, tuple[int, int, int, int]]]]
Lay = Callable[[str], Path]
COUNT = 20


def made(root: Path, **asked: object) -> tuple[Initialised, ExperimentConfig]:
    """Initialise, and read what was written."""
    done = init(Request(root=root, output=Path("own.yaml"), **asked))  # type: ignore[arg-type]
    return done, config.validate(ExperimentConfig, config.read_yaml(Path("own.yaml")), source="own.yaml")


def numbers(experiment: ExperimentConfig, truth: Truth) -> list[set[int]]:
    """The images of both splits by the numbers that they are called; every sample is compared with the truth."""
    found = []
    for dataset in open_splits(experiment.data):
        found.append(set())
        for index in range(len(dataset)):
            sample = dataset.sample(index)
            number = int(Path(sample.name).stem)
            found[-1].add(number)
            objects = [
                (dataset.classes.names[class_id], tuple(box.tolist()))
                for class_id, box in zip(sample.class_ids, sample.boxes.round(2), strict=True)
            ]
            assert sorted(objects) == sorted(truth(number)), sample.name
            assert sample.image.shape == (48, 64, 3)
    return found


def test_a_folders_own_split_is_kept(with_split: Path, truth: Truth) -> None:
    done, experiment = made(with_split)
    train, val = numbers(experiment, truth)
    assert val == {number for number in range(COUNT) if number % 5 == 0}
    assert train == {number for number in range(COUNT) if number % 5 > 1}
    assert done.split == "its own split: 12 and 4 images"
    assert done.num_images == (12, 4)
    assert done.counts == {"cat": (12, 4), "dog": (3, 1)}
    assert any("are left aside" in note or "are left out" in note for note in done.notes)  # those to test with


def test_without_one_every_fifth_image_is_held_out_of_each_class(without_split: Path, truth: Truth) -> None:
    done, experiment = made(without_split)
    train, val = numbers(experiment, truth)
    assert train | val == set(range(COUNT))
    assert not train & val
    assert done.num_images == (16, 4)
    assert done.counts == {"cat": (16, 4), "dog": (4, 1)}
    again, _ = made(without_split, force=True)
    assert again == done
    first = (without_split / "centernet" / "train.json").read_bytes()
    init(Request(root=without_split, output=Path("own.yaml"), seed=5, force=True))
    assert (without_split / "centernet" / "train.json").read_bytes() != first


def test_what_can_be_read_as_it_is_is_not_converted(lay: Lay) -> None:
    for name in ("roboflow_coco", "devkit"):
        done, _ = made(lay(name), force=True)
        assert done.files == [Path("own.yaml")]


def test_an_experiment_follows_its_data_to_another_folder(lay: Lay, tmp_path: Path, truth: Truth) -> None:
    root = lay("labelimg_yolo")
    made(root)
    shutil.move(root, tmp_path / "elsewhere")
    tree = config.override(config.read_yaml(Path("own.yaml")), [f"data.root={tmp_path / 'elsewhere'}"])
    numbers(config.validate(ExperimentConfig, tree, source="own.yaml"), truth)


def test_a_share_and_another_split_can_be_asked_for(lay: Lay, truth: Truth) -> None:
    root = lay("devkit")
    with pytest.raises(ConfigError, match=r"--val: .* has its own split; leave --val out, or give --resplit"):
        made(root, share=0.5)
    done, experiment = made(root, share=0.5, resplit=True)
    assert done.num_images == (8, 8)
    train, val = numbers(experiment, truth)
    assert not {number for number in train | val if number % 5 == 1}  # the images to test with stay aside


def test_converted_files_can_go_elsewhere(lay: Lay, tmp_path: Path, truth: Truth) -> None:
    root = lay("csv_file")
    done, experiment = made(root, converted=tmp_path / "mine")
    assert not (root / "centernet").exists()
    assert done.files == [tmp_path / "mine" / "train.json", tmp_path / "mine" / "val.json", Path("own.yaml")]
    numbers(experiment, truth)


@pytest.mark.parametrize("there", ["own.yaml", "centernet/val.json"])
def test_nothing_is_overwritten_or_half_written(lay: Lay, here: Path, there: str) -> None:
    root = lay("cvat")
    path = (here if there == "own.yaml" else root) / there
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    before = sorted(root.rglob("*"))
    with pytest.raises(OutputError, match=rf"{path.name}: there already; give --force"):
        made(root)
    assert path.read_text() == "mine"
    assert sorted(root.rglob("*")) == before
    made(root, force=True)


def test_several_kinds_are_named_and_one_can_be_chosen(lay: Lay, tmp_path: Path) -> None:
    root = lay("labelimg_yolo")
    for path in lay("labelimg_xml").glob("*.xml"):
        shutil.copy(path, root)
    with pytest.raises(DataError, match=r"holds several kinds .*\n  --format voc: Pascal VOC XML, 20 files: 0\.xml, .*\n  --format yolo"):
        made(root)
    assert made(root, kind="yolo")[0].kind == "yolo"
    with pytest.raises(DataError, match="holds no CSV; found:"):
        made(root, kind="csv", force=True)


def test_several_files_are_named_and_one_can_be_chosen(lay: Lay) -> None:
    root = lay("one_json")
    one = root / "annotations" / "instances_default.json"
    one.rename(one.with_name("a.json"))
    shutil.copy(one.with_name("a.json"), one.with_name("b.json"))
    with pytest.raises(DataError, match=r"several annotation files .*--annotations FILE.*\n.*annotations/a\.json, annotations/b\.json"):
        made(root)
    assert made(root, annotations=one.with_name("b.json"))[0].num_images == (16, 4)
    with pytest.raises(DataError, match="is not an annotation file with boxes"):
        made(root, annotations=root / "photos" / "0.jpg", force=True)
    with pytest.raises(DataError, match="no such file"):
        made(root, annotations=Path("gone.json"), force=True)


def test_images_that_are_not_there_are_left_out_and_said(lay: Lay) -> None:
    root = lay("one_json")
    for number in range(5):
        (root / "photos" / f"{number}.jpg").unlink()
    done, _ = made(root)
    assert sum(done.num_images) == 15
    assert any("5 images that annotations/instances_default.json lists are not there" in note for note in done.notes)
    for number in range(5, 12):
        (root / "photos" / f"{number}.jpg").unlink()
    with pytest.raises(DataError, match="12 of the 20 images it lists are not in"):
        made(root, force=True)


def test_images_without_annotations_are_said(lay: Lay) -> None:
    root = lay("labelimg_xml")
    (root / "0.xml").unlink()
    done, _ = made(root)
    assert "1 of 20 images have no annotation, or are in no split, and are left out, for example 0.jpg" in done.notes


def test_classes_without_an_object_are_left_out(lay: Lay, truth: Truth) -> None:
    root = lay("labelimg_yolo")
    (root / "classes.txt").write_text("cat\ndog\ncow\n")
    done, experiment = made(root)
    assert experiment.data.dataset.classes == ("cat", "dog")
    assert any("cow" in note for note in done.notes)
    numbers(experiment, truth)


def test_copies_of_an_image_are_never_on_both_sides(lay: Lay) -> None:
    root = lay("labelimg_xml")
    for number in range(8):
        shutil.copy(root / "0.jpg", root / f"10{number}.jpg")
        shutil.copy(root / "0.xml", root / f"10{number}.xml")
    done, experiment = made(root)
    assert any("8 images are copies or variants of others" in note for note in done.notes)
    sides = [{Path(dataset.name(index)).read_bytes() for index in range(len(dataset))} for dataset in open_splits(experiment.data)]
    assert not sides[0] & sides[1]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no images in this folder"),
        ({"notes.txt": "hello"}, r"no images in this folder or the folders in it \(1 files\)"),
    ],
)
def test_a_folder_without_images_is_said(tmp_path: Path, files: dict[str, str], said: str) -> None:
    (tmp_path / "empty").mkdir()
    for name, text in files.items():
        (tmp_path / "empty" / name).write_text(text)
    with pytest.raises(DataError, match=said):
        made(tmp_path / "empty")


def test_a_folder_without_annotations_or_objects_is_said(lay: Lay, tmp_path: Path) -> None:
    root = lay("labelimg_yolo")
    for path in root.glob("[0-9]*.txt"):
        path.write_text("")
    with pytest.raises(DataError, match="none of its 20 images has an object"):
        made(root)
    for path in root.glob("*.txt"):
        path.unlink()
    with pytest.raises(DataError, match="20 images, but no annotations; expected one of: COCO-style JSON, Pascal VOC XML"):
        made(root)
    with pytest.raises(DataError, match="no such folder"):
        made(tmp_path / "nowhere")


def test_where_the_last_file_cannot_be_written_none_is(lay: Lay, here: Path) -> None:
    root = lay("labelme")
    (here / "own.yaml").mkdir()
    before = sorted(root.rglob("*"))
    with pytest.raises(OutputError, match=r"own\.yaml: cannot be written: Is a directory"):
        made(root, force=True)
    assert sorted(root.rglob("*")) == before
    assert list(here.iterdir()) == [here / "own.yaml"]


def test_names_of_any_letters_are_kept(lay: Lay, tmp_path: Path, truth: Truth) -> None:
    root = lay("labelimg_yolo").rename(tmp_path / 'Kätzchen "neu", 猫')
    (root / "classes.txt").write_text("Kätzchen\n犬\n", encoding="utf-8")
    done, experiment = made(root)
    assert list(done.counts) == ["Kätzchen", "犬"]
    training, _ = open_splits(experiment.data)
    assert training.classes.names == ("Kätzchen", "犬")
    assert training.sample(0).image.shape == (48, 64, 3)
