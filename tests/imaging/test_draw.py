"""Pictures for people: what is drawn is where it should be, and inputs stay as they are."""

from __future__ import annotations

import numpy as np
import pytest

from centernet.imaging.draw import class_color, contact_sheet, draw_boxes, draw_detections, heatmap_overlay
from centernet.structures import Array, Detections

NAMES = ("circle", "square")


def grey_image(height: int, width: int) -> Array:
    return np.full((height, width, 3), 90, np.uint8)


def detections(*rows: tuple[float, ...]) -> Detections:
    table = np.array(rows).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(int), NAMES)


@pytest.mark.parametrize(("height", "width"), [(128, 128), (480, 640), (1080, 1920)])
def test_a_detection_is_drawn_along_its_box_in_its_classes_colour(height: int, width: int) -> None:
    image = grey_image(height, width)
    box = (0.25 * width, 0.5 * height, 0.75 * width, 0.9 * height)
    picture = draw_detections(image, detections((*box, 0.9, 1)))
    assert (image == 90).all()
    assert picture.shape == image.shape
    for x, y in ((box[0], 0.7 * height), (box[2], 0.7 * height), (0.5 * width, box[3])):
        assert tuple(picture[int(y), int(x)]) == class_color(1)
    assert (picture[int(0.6 * height) : int(0.8 * height), int(0.4 * width) : int(0.6 * width)] == 90).all()  # hollow


@pytest.mark.parametrize("height", [128, 512, 2160])
def test_the_label_stands_on_its_box_and_is_at_least_ten_pixels_high(height: int) -> None:
    picture = draw_detections(grey_image(height, height), detections((0.3 * height, 0.5 * height, 0.8 * height, 0.9 * height, 0.5, 0)))
    x = int(0.3 * height) + 1
    column = (picture[: int(0.5 * height), x] == class_color(0)).all(axis=1)
    assert column.sum() >= max(10, 0.015 * height)
    assert column[-4:].any()


@pytest.mark.parametrize("box", [
    (0, 0, 30, 30), (90, 90, 128, 128), (-50, -50, 300, 300), (100, 0, 128, 20), (0, 110, 20, 128), (60, 60, 60, 60),
])  # fmt: skip
def test_boxes_at_every_edge_are_drawn_with_a_whole_label(box: tuple[float, ...]) -> None:
    picture = draw_detections(grey_image(128, 128), detections((*box, 0.77, 1)))
    label = (picture == class_color(1)).all(axis=2)
    assert label.sum() > 200  # the label alone has about 60 x 12 pixels, less its letters


@pytest.mark.parametrize("box", [(-50, 10, -5, 40), (200, 10, 240, 40), (10, 130, 40, 150)])
def test_boxes_outside_are_left_out(box: tuple[float, ...]) -> None:
    assert (draw_detections(grey_image(128, 128), detections((*box, 0.9, 0))) == 90).all()


def test_no_detections_and_those_below_the_threshold_leave_the_picture_alone() -> None:
    image = grey_image(64, 64)
    assert (draw_detections(image, detections()) == image).all()
    assert (draw_detections(image, detections((5, 5, 50, 50, 0.29, 0)), threshold=0.3) == image).all()
    assert (draw_detections(image, detections((5, 5, 50, 50, 0.31, 0)), threshold=0.3) != image).any()


def test_the_best_detection_is_on_top_whatever_the_order() -> None:
    weak, strong = (20.0, 20.0, 100.0, 100.0, 0.3, 0), (20.0, 20.0, 100.0, 100.0, 0.9, 1)
    for rows in ([weak, strong], [strong, weak]):
        picture = draw_detections(grey_image(128, 128), detections(*rows))
        assert tuple(picture[100, 60]) == class_color(1)


def test_tracked_objects_have_the_colour_of_their_number() -> None:
    found = detections((20, 40, 100, 100, 0.5, 1), (150, 40, 230, 100, 0.9, 1), (260, 40, 340, 100, 0.7, 1))
    picture = draw_detections(grey_image(256, 400), found, track_ids=np.array([5, 0, 7]))
    for x, color in ((60, 5), (190, 1), (300, 7)):
        assert tuple(picture[100, x]) == class_color(color)


def test_labels_give_way_to_each_other() -> None:
    picture = draw_boxes(grey_image(300, 300), np.array([[100, 100, 200, 200], [102, 102, 200, 200]]), np.array([0, 1]), NAMES)
    assert all((picture == class_color(class_id)).all(axis=2).sum() > 250 for class_id in (0, 1))


def test_a_label_does_not_hide_a_small_box_at_the_upper_edge() -> None:
    image = grey_image(300, 300)
    picture = draw_boxes(image, np.array([[100, 2, 118, 20]]), np.array([0]), NAMES)
    assert (picture[6:16, 104:114] == 90).all()


def test_a_class_without_a_name_shows_its_number_and_names_may_be_in_any_script() -> None:
    image, boxes = grey_image(100, 200), np.array([[20.0, 40, 90, 80]])
    numbered = draw_boxes(image, boxes, np.array([7]))
    assert (numbered == draw_boxes(image, boxes, np.array([7]), NAMES)).all()
    pictures = [draw_boxes(image, boxes, np.array([0]), [name]) for name in ("Straße", "Strasse", "кошка", "собака")]
    assert len({picture.tobytes() for picture in pictures}) == 4


def test_drawing_at_another_height_enlarges_the_picture_and_moves_the_boxes() -> None:
    picture = draw_boxes(grey_image(100, 50), np.array([[10, 40, 40, 90]]), np.array([1]), NAMES, height=400)
    assert picture.shape == (400, 200, 3)
    assert tuple(picture[300, 40]) == tuple(picture[300, 160]) == class_color(1)


def test_class_colours_are_stable_and_differ() -> None:
    colors = [class_color(i) for i in range(80)]
    assert len(set(colors)) == 80
    assert colors == [class_color(i) for i in range(80)]
    assert all(0 <= channel <= 255 for color in colors for channel in color)


@pytest.mark.parametrize("theme", ["white", "black"])
def test_a_heatmap_glows_where_it_is_high_and_fades_the_rest(theme) -> None:  # type: ignore[no-untyped-def]
    heatmap = np.zeros((16, 16), np.float32)
    heatmap[4, 12] = 1
    overlay = heatmap_overlay(grey_image(64, 64), heatmap, class_id=2, theme=theme)
    assert overlay.shape == (64, 64, 3)
    near = overlay[17:20, 49:52].reshape(-1, 3).astype(int)
    assert np.abs(near - class_color(2)).sum(axis=1).min() < 60
    far = overlay[50, 10]
    assert (far > 90).all() if theme == "white" else (far < 90).all()


def test_all_classes_share_one_overlay_each_in_its_colour() -> None:
    heatmaps = np.zeros((2, 8, 8), np.float32)
    heatmaps[0, :4], heatmaps[1, 4:] = 1, 1
    overlay = heatmap_overlay(grey_image(64, 64), heatmaps)
    assert tuple(overlay[8, 32]) == class_color(0)
    assert tuple(overlay[56, 32]) == class_color(1)


@pytest.mark.parametrize("theme", ["white", "black"])
def test_a_contact_sheet_holds_every_tile_enlarged(theme) -> None:  # type: ignore[no-untyped-def]
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    tiles = [np.full((32, 48, 3), color, np.uint8) for color in colors]
    sheet = contact_sheet([[("a", tiles[0]), ("b", tiles[1])], [("c", tiles[2])]], tile_height=64, title="Title", theme=theme)
    for color in colors:
        assert (sheet == color).all(axis=2).sum() == 64 * 96
    assert (sheet[-1, -1] == (255 if theme == "white" else 24)).all()


def test_an_empty_contact_sheet_and_captions_wider_than_their_tile_do_no_harm() -> None:
    assert contact_sheet([]).ndim == 3
    tile = np.zeros((64, 64, 3), np.uint8)
    long, short = contact_sheet([[("word " * 40, tile)]], tile_height=64), contact_sheet([[("w", tile)]], tile_height=64)
    assert long.shape == short.shape
