from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from centernet.data import voc_xml
from centernet.data.voc_xml import ImageSet, read_voc, with_classes
from centernet.errors import DataError
from centernet.imaging import io

OBJECT = "<object><name>{name}</name>{extra}<bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"


def _object(name: str, box: tuple[object, ...], extra: str = "") -> str:
    return OBJECT.format(*box, name=name, extra=extra)


def _write(root: Path, stem: str, *objects: str, size: str = "<size><width>60</width><height>40</height></size>") -> None:
    (root / "Annotations").mkdir(parents=True, exist_ok=True)
    (root / "Annotations" / f"{stem}.xml").write_text(f"<annotation>{size}{''.join(objects)}</annotation>")


def _list(root: Path, name: str, text: str) -> None:
    folder = root / "ImageSets" / "Main"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text(text)


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    root = tmp_path / "VOC2007"
    extra = "<pose>Left</pose><truncated>1</truncated><difficult>1</difficult>"
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    _write(root, "000012", _object("person", (1, 2, 30, 40), extra + part), _object("cat", ("3.5", "4.5", "6", "7")))
    _write(root, "000007")
    _list(root, "train", "000012\n000007 \n\n")
    return tmp_path


def test_objects_keep_the_numbers_of_the_file_and_parts_are_not_objects(devkit: Path) -> None:
    table = read_voc(devkit, [ImageSet("VOC2007", "train")])
    assert table.image_ids.tolist() == [12, 7]
    assert table.image_sizes.tolist() == [[40, 60], [40, 60]]
    assert list(table.category_names) == ["cat", "person"]
    assert table.boxes.tolist() == [[1, 2, 30, 40], [3.5, 4.5, 6, 7]]
    assert [table.category_names[i] for i in table.category_of] == ["person", "cat"]
    assert table.is_difficult.tolist() == [True, False]
    assert not table.is_crowd.any()
    assert table.areas.tolist() == [29 * 38, 2.5 * 2.5]
    assert table.image_index.tolist() == [0, 0]


def test_lists_of_several_devkits_follow_each_other(devkit: Path) -> None:
    _write(devkit / "VOC2012", "2012_000001", _object("cat", (1, 1, 5, 5)))
    _list(devkit / "VOC2012", "cat_train", "2012_000001  1\n")
    table = read_voc(devkit, [ImageSet("VOC2007", "train"), ImageSet("VOC2012", "cat_train")])
    assert list(table.file_names) == [
        "VOC2007/JPEGImages/000012.jpg", "VOC2007/JPEGImages/000007.jpg", "VOC2012/JPEGImages/2012_000001.jpg",
    ]  # fmt: skip
    assert table.image_ids.tolist() == [1, 2, 3]  # not all names are numbers
    assert table.image_index.tolist() == [0, 0, 2]


def test_an_image_of_another_format_is_found(devkit: Path) -> None:
    (devkit / "VOC2007" / "JPEGImages").mkdir()
    io.write_image(devkit / "VOC2007" / "JPEGImages" / "000007.png", np.zeros((2, 2, 3), np.uint8))
    assert read_voc(devkit, [ImageSet("VOC2007", "train")]).file_names[1] == "VOC2007/JPEGImages/000007.png"


def test_the_size_may_be_missing_and_flat_boxes_are_kept_and_noted(devkit: Path) -> None:
    _write(devkit / "VOC2007", "000007", _object("cat", (5, 5, 5, 9)), size="")
    table = read_voc(devkit, [ImageSet("VOC2007", "train")])
    assert table.image_sizes[1].tolist() == [0, 0]
    assert len(table.boxes) == 3
    assert list(table.notes) == ["1 boxes have no area; they are never trained on"]


def test_declaring_more_classes_renumbers_the_categories(devkit: Path) -> None:
    table = with_classes(read_voc(devkit, [ImageSet("VOC2007", "train")]), ["dog", "ant", "cat"])
    assert list(table.category_names) == ["ant", "cat", "dog", "person"]
    assert table.category_ids.tolist() == [1, 2, 3, 4]
    assert [table.category_names[i] for i in table.category_of] == ["person", "cat"]


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        ("<annotation><object>", "not a readable XML file"),
        ("<a><object><bndbox/></object></a>", "object 1 has no name"),
        ("<a><object><name>cat</name></object></a>", r"object 1 \('cat'\): bndbox/xmin must be a number, found nothing"),
        (f"<a>{_object('cat', (1, 'x', 2, 3))}</a>", r"object 1 \('cat'\): bndbox/ymin must be a number, found 'x'"),
        (f"<a>{_object('cat', (1, 2, 'inf', 3))}</a>", "bndbox/xmax must be a number, found 'inf'"),
        ("<a><size><width>wide</width></size></a>", "size/width must be a number, found 'wide'"),
    ],
)
def test_a_broken_file_is_named_with_the_object(xml: str, expected: str, devkit: Path) -> None:
    path = devkit / "VOC2007" / "Annotations" / "000007.xml"
    path.write_text(xml)
    with pytest.raises(DataError, match=expected) as caught:
        read_voc(devkit, [ImageSet("VOC2007", "train")])
    assert str(caught.value).startswith(str(path))


def test_a_missing_list_is_named_with_those_there_are(devkit: Path) -> None:
    with pytest.raises(DataError, match=r"test\.txt: the list of images does not exist; found in .*Main: train$"):
        read_voc(devkit, [ImageSet("VOC2007", "test")])
    with pytest.raises(DataError, match="no such folder"):
        read_voc(devkit, [ImageSet("VOC2010", "test")])


def test_a_listed_image_without_annotation_and_one_listed_twice_are_named(devkit: Path) -> None:
    _list(devkit / "VOC2007", "train", "000012\n000013\n")
    with pytest.raises(DataError, match=r"000013\.xml: the annotation file does not exist, but .*train\.txt lists it"):
        read_voc(devkit, [ImageSet("VOC2007", "train")])
    _list(devkit / "VOC2007", "train", "000012\n000012\n")
    with pytest.raises(DataError, match=r"train\.txt: image '000012' is listed twice"):
        read_voc(devkit, [ImageSet("VOC2007", "train")])


def test_many_files_come_from_the_cache_until_one_changes(devkit: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voc_xml, "CACHE_ABOVE_FILES", 2)
    first = read_voc(devkit, [ImageSet("VOC2007", "train")])
    assert len(list(cache_folder.glob("*.npz"))) == 1
    with monkeypatch.context() as patch:
        patch.setattr(voc_xml, "_parse", lambda *_: pytest.fail("parsed again"))
        np.testing.assert_array_equal(read_voc(devkit, [ImageSet("VOC2007", "train")]).boxes, first.boxes)
    _write(devkit / "VOC2007", "000007", _object("cat", (5, 5, 8, 9)))
    assert len(read_voc(devkit, [ImageSet("VOC2007", "train")]).boxes) == 3
