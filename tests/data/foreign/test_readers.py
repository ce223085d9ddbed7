"""Every format that is converted: one box, read to the same pixels, and what is said of mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from centernet.data.foreign import csv_boxes, labelme_json, xml_files, yolo_text
from centernet.data.foreign.image_index import ImageIndex
from centernet.data.tables import AnnotationTable
from centernet.errors import DataError

Put = Callable[..., ImageIndex]
BOX = [6.0, 4.0, 30.0, 20.0]  # of an image of 40x60


def only_object(table: AnnotationTable) -> tuple[str, list[float]]:
    assert len(table.boxes) == 1
    return table.category_names[int(table.category_of[0])], table.boxes[0].round(4).tolist()


@pytest.mark.parametrize(
    "line",
    [
        "1 0.3 0.3 0.4 0.4",
        "1 0.3 0.3 0.4 0.4 0.97",  # with a score
        "1 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5",  # a polygon
        "1.0 0.3 0.3 0.4 0.4\n\n",
        "1, 0.3, 0.3, 0.4, 0.4",
    ],
)
def test_a_line_of_yolo_is_an_object(put: Put, tmp_path: Path, line: str) -> None:
    put("a.jpg", "b.jpg")
    (tmp_path / "a.txt").write_text(line)
    table = yolo_text.read_yolo(tmp_path, {"a.jpg": "a.txt", "b.jpg": None}, ["cat", "dog"], source="x")
    assert only_object(table) == ("dog", BOX)
    assert table.image_sizes.tolist() == [[40, 60], [40, 60]]
    assert list(table.category_names) == ["cat", "dog"]


def test_without_names_yolos_classes_are_numbers_in_order(put: Put, tmp_path: Path) -> None:
    put("a.jpg")
    (tmp_path / "a.txt").write_text("2 0.3 0.3 0.4 0.4\n0 0.3 0.3 0.4 0.4")
    table = yolo_text.read_yolo(tmp_path, {"a.jpg": "a.txt"}, None, source="x")
    assert list(table.category_names) == ["0", "1", "2"]
    assert table.category_of.tolist() == [2, 0]
    assert "no file names the classes" in table.notes[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("7 0.3 0.3 0.4 0.4", "class 7, but there are names for 0 to 1"),
        ("dog 0.3 0.3 0.4 0.4", "a.txt:1: expected numbers, found 'dog 0.3"),
        ("1 0.3 0.3", "a.txt:1: expected 'class x y width height' or a polygon, found 3 numbers"),
        ("1 320 240 40 50", "a.txt:1: expected fractions of the image in [0, 1]"),
        ("-1 0.3 0.3 0.4 0.4", "expected a class number from 0 on"),
        ("1 nan 0.3 0.4 0.4", "finite numbers"),
    ],
)
def test_a_line_that_is_not_yolos_is_named(put: Put, tmp_path: Path, line: str, said: str) -> None:
    put("a.jpg")
    (tmp_path / "a.txt").write_text(line)
    with pytest.raises(DataError) as error:
        yolo_text.read_yolo(tmp_path, {"a.jpg": "a.txt"}, ["cat", "dog"], source="x")
    assert said in str(error.value)


def test_of_many_mistakes_the_first_are_named_and_the_rest_counted(put: Put, tmp_path: Path) -> None:
    put("a.jpg")
    (tmp_path / "a.txt").write_text("x\n" * 9)
    with pytest.raises(DataError, match=r"a\.txt:5: .*\n\.\.\. and 4 more like these") as error:
        yolo_text.read_yolo(tmp_path, {"a.jpg": "a.txt"}, None, source="x")
    assert len(str(error.value).splitlines()) == 6


@pytest.mark.parametrize(
    ("text", "is_label"), [("", True), ("0 0.1 0.2 0.3 0.4\n", True), ("images/a.jpg\n", False), ("1.5 2 3 4 5", False)]
)
def test_a_label_file_is_told_from_other_text(text: str, is_label: bool) -> None:
    assert yolo_text.is_label(text) == is_label


@pytest.mark.parametrize(
    "text",
    [
        "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,60,40,dog,6,4,30,20\n",
        "image_id;label;x1;y1;x2;y2\na;dog;6;4;30;20\n",
        "/home/me/a.jpg,6,4,30,20,dog\n",
        "image_path,bbox_x,bbox_y,bbox_width,bbox_height,class_name\nimages/a.jpg,6,4,24,16,dog\n",
        'image_id,width,height,bbox,source,class\na,60,40,"[6, 4, 24, 16]",x,dog\n',
        "ImageID,LabelName,XMin,XMax,YMin,YMax\na,dog,0.1,0.5,0.1,0.5\n",
        "Label,File,X,Y,W,H\ndog,a.jpg,6,4,24,16\n",
    ],
)
def test_a_csv_file_is_read_whatever_its_columns_are_called(put: Put, tmp_path: Path, text: str) -> None:
    images = put("images/a.jpg")
    (tmp_path / "boxes.csv").write_text(text)
    assert csv_boxes.is_boxes(tmp_path / "boxes.csv")
    assert only_object(csv_boxes.read_csv(tmp_path, "boxes.csv", images)) == ("dog", BOX)


def test_a_line_without_a_box_is_an_image_without_objects(put: Put, tmp_path: Path) -> None:
    images = put("a.jpg", "b.jpg")
    (tmp_path / "boxes.csv").write_text("b.jpg,,,,,\na.jpg,6,4,30,20,dog\n")
    table = csv_boxes.read_csv(tmp_path, "boxes.csv", images)
    assert list(table.file_names) == ["b.jpg", "a.jpg"]
    assert table.image_index.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("filename,class\na.jpg,dog\n", "its columns are not recognised: filename, class; expected filename, class, xmin, ymin"),
        ("filename,xmin,ymin,xmax,ymax\na.jpg,1,2,x,4\n", "boxes.csv:2: expected four numbers, found 1, 2, x, 4"),
        ("filename,xmin,ymin,xmax,ymax\nb.jpg,1,2,3,4\n", "boxes.csv:2: the image 'b.jpg' is not there"),
        ('filename,bbox\na.jpg,"[1, 2]"\n', "boxes.csv:2: expected [x, y, width, height], found '[1, 2]'"),
    ],
)
def test_a_csv_file_that_cannot_be_read_is_named(put: Put, tmp_path: Path, text: str, said: str) -> None:
    images = put("a.jpg")
    (tmp_path / "boxes.csv").write_text(text)
    with pytest.raises(DataError) as error:
        csv_boxes.read_csv(tmp_path, "boxes.csv", images)
    assert said in str(error.value)


XML = "<annotation><filename>{name}</filename><size><width>60</width><height>40</height></size>{objects}</annotation>"
OBJECT = "<object><name>dog</name><bndbox><xmin>6</xmin><ymin>4</ymin><xmax>30</xmax><ymax>20</ymax></bndbox></object>"


@pytest.mark.parametrize(("file", "name"), [("a.xml", "old name.jpg"), ("other.xml", "a.jpg")])
def test_an_xml_file_goes_with_the_image_of_its_name_or_the_one_it_names(put: Put, tmp_path: Path, file: str, name: str) -> None:
    images = put("a.jpg")
    (tmp_path / file).write_text(XML.format(name=name, objects=OBJECT))
    table = xml_files.read_xml_files(tmp_path, [file], images, source="x")
    assert only_object(table) == ("dog", BOX)
    assert list(table.file_names) == ["a.jpg"]


def test_broken_xml_and_a_missing_image_are_named_together(put: Put, tmp_path: Path) -> None:
    images = put("a.jpg")
    (tmp_path / "a.xml").write_text("<annotation>")
    (tmp_path / "b.xml").write_text(XML.format(name="gone.jpg", objects=""))
    with pytest.raises(DataError) as error:
        xml_files.read_xml_files(tmp_path, ["a.xml", "b.xml"], images, source="x")
    assert "a.xml: not a readable XML file" in str(error.value)
    assert "b.xml: its image is not there: neither one of that name nor 'gone.jpg'" in str(error.value)


@pytest.mark.parametrize(
    "shape",
    [
        '<box label="dog" xtl="6" ytl="4" xbr="30" ybr="20"/>',
        '<polygon label="dog" points="6,4;30,4;18,20"/>',
        '<mask label="dog" left="6" top="4" width="24" height="16"/>',
        '<points label="dog" points="1,1"/><box label="dog" xtl="6" ytl="4" xbr="30" ybr="20"/>',
    ],
)
def test_cvats_shapes_become_boxes(put: Put, tmp_path: Path, shape: str) -> None:
    labels = "<labels><label><name>cat</name></label><label><name>dog</name></label></labels>"
    image = f'<image id="0" name="folder/a.jpg" width="60" height="40">{shape}</image>'
    (tmp_path / "annotations.xml").write_text(f"<annotations><meta><job>{labels}</job></meta>{image}</annotations>")
    table = xml_files.read_cvat(tmp_path, "annotations.xml", put("a.jpg"))
    assert only_object(table) == ("dog", BOX)
    assert list(table.category_names) == ["cat", "dog"]


@pytest.mark.parametrize(
    ("kind", "points"),
    [("rectangle", [[30, 4], [6, 20]]), ("polygon", [[6, 4], [30, 4], [18, 20]]), ("circle", None)],
)
def test_labelmes_shapes_become_boxes(put: Put, tmp_path: Path, kind: str, points: list[list[float]] | None) -> None:
    shape = {"label": "dog", "shape_type": kind, "points": points or [[18, 12], [18, 20]]}
    content = {"shapes": [shape, {"label": "dog", "shape_type": "point", "points": [[1, 1]]}], "imagePath": "a.jpg"}
    (tmp_path / "a.json").write_text(json.dumps(content | {"imageHeight": 40, "imageWidth": 60}))
    table = labelme_json.read_labelme(tmp_path, ["a.json"], put("a.jpg"), source="x")
    assert only_object(table) == ("dog", BOX if points else [10.0, 4.0, 26.0, 20.0])


@pytest.mark.parametrize("text", ["{", "[]", '{"shapes": 3, "imagePath": "a.jpg"}', '{"shapes": [{}], "imagePath": "a.jpg"}'])
def test_json_that_is_not_labelmes_is_named(put: Put, tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"a\.json: not LabelMe's JSON"):
        labelme_json.read_labelme(tmp_path, ["a.json"], put("a.jpg"), source="x")
