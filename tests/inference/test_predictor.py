from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centernet.errors import DataError
from centernet.imaging.io import write_image
from centernet.inference.predictor import STAGES, Predictor, as_image
from centernet.inference.preprocess import InputSpec
from centernet.structures import Array, Detections, Normalization

PLAIN = Normalization(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
SPEC = InputSpec(size=(32, 32), normalization=PLAIN)


class BrightestSquare:
    """A "network" that finds the bounding box of everything brighter than half, as a detection of class 1."""

    summary = "a test"
    parallel_runs = 1

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []

    def run(self, image: Array) -> dict[str, Array]:
        self.batches.append(image.shape)
        boxes = []
        for one in image:
            rows, columns = np.nonzero(one[:, :, 0] > 127)
            boxes.append([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]] if len(rows) else [[0, 0, 0, 0]])
        return {"boxes": np.array(boxes, np.float32), "scores": np.array([[0.5 if b[0][2] else 0.0] for b in boxes])}


def read(outputs: dict[str, Array]) -> list[Detections]:
    return [Detections(boxes, scores, np.ones(len(boxes))) for boxes, scores in zip(outputs["boxes"], outputs["scores"], strict=True)]


def square(height: int = 64, width: int = 64, box: tuple[int, int, int, int] = (16, 24, 32, 48)) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = 255
    return image


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(BrightestSquare(), read, SPEC, class_names=("circle", "square"), batch_size=2)


def test_the_box_is_in_pixels_of_the_image(predictor) -> None:
    found = predictor.predict(square(64, 128, (32, 16, 64, 48)))
    np.testing.assert_allclose(found.boxes, [[32, 16, 64, 48]], atol=4)  # one input pixel is four of the image
    (detection,) = found
    assert detection.class_name == "square"
    assert detection.score == 0.5


def test_a_list_comes_back_in_order_in_batches(predictor) -> None:
    corners = [0, 16, 32, 40, 8]
    found = predictor.predict([square(box=(x, 8, x + 16, 24)) for x in corners])
    assert [round(float(d.boxes[0, 0])) for d in found] == corners
    assert [shape[0] for shape in predictor.session.batches] == [2, 2, 1]


def test_images_of_different_sizes_share_a_batch(predictor) -> None:
    found = predictor.predict_batch([square(), square(32, 32, (4, 4, 12, 12)), square(96, 64, (0, 0, 32, 32))])
    assert len(found) == 3
    assert [shape[0] for shape in predictor.session.batches] == [3]


def test_images_with_different_input_sizes_run_apart_and_come_back_in_order() -> None:
    spec = InputSpec(size=(32, 32), normalization=PLAIN, keep_resolution=True)
    predictor = Predictor(BrightestSquare(), read, spec)
    boxes = [(4, 4, 12, 12), (8, 8, 40, 40), (2, 2, 20, 20)]
    found = predictor.predict_batch([square(32, 32, boxes[0]), square(64, 96, boxes[1]), square(30, 30, boxes[2])])
    assert predictor.session.batches == [(1, 64, 64, 3), (1, 96, 128, 3), (1, 32, 32, 3)]
    np.testing.assert_allclose(np.concatenate([d.boxes for d in found]), boxes, atol=1e-4)


def test_what_a_decoder_fills_up_with_is_no_detection(predictor) -> None:
    assert len(predictor.predict(np.zeros((64, 64, 3), np.uint8))) == 0
    assert [len(found) for found in predictor.predict_batch([square(), np.zeros((64, 64, 3), np.uint8)])] == [1, 0]


def test_no_images_give_no_detections(predictor) -> None:
    assert predictor.predict([]) == []
    assert predictor.predict_batch([]) == []


def test_files_and_folders_are_read_by_name(predictor, tmp_path: Path) -> None:
    for name, x in (("b.png", 32), ("a.png", 0), ("c.png", 16)):
        write_image(tmp_path / name, square(box=(x, 8, x + 16, 24)))
    assert [round(float(d.boxes[0, 0])) for d in predictor.predict(tmp_path)] == [0, 32, 16]
    assert isinstance(predictor.predict(str(tmp_path / "a.png")), Detections)
    mixed = predictor.predict([tmp_path / "b.png", square(box=(8, 8, 24, 24)), Image.fromarray(square())])
    assert [round(float(d.boxes[0, 0])) for d in mixed] == [32, 8, 16]


def test_a_missing_file_is_a_data_error(predictor, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jpg"):
        predictor.predict(tmp_path / "none.jpg")


def test_the_time_of_every_stage_is_known_and_starts_anew(predictor, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", square())
    predictor.predict(tmp_path / "a.png")
    assert tuple(predictor.seconds) == STAGES
    assert all(seconds > 0 for seconds in predictor.seconds.values())
    predictor.predict_batch([square()])
    assert predictor.seconds["load"] == 0


def test_scales_are_run_one_after_the_other_and_merged() -> None:
    parts: list[list[Detections]] = []

    def merge(of_image: list[Detections]) -> Detections:
        parts.append(of_image)
        return of_image[-1]

    predictor = Predictor(BrightestSquare(), read, SPEC, scales=(1.0, 0.5), merge=merge, class_names=("circle", "square"))
    (found,) = predictor.predict_batch([square()])
    assert [len(of_image) for of_image in parts] == [2]
    for part in parts[0]:
        np.testing.assert_allclose(part.boxes, [[16, 24, 32, 48]], atol=4)
    assert found.class_names == ("circle", "square")


def test_several_scales_without_a_way_to_merge_are_refused() -> None:
    with pytest.raises(ValueError, match="2 test scales"):
        Predictor(BrightestSquare(), read, SPEC, scales=(1.0, 0.5))


def test_inspecting_keeps_what_the_network_saw_and_said(predictor) -> None:
    seen = predictor.inspect(square())
    assert seen.fitted.warped.shape == (32, 32, 3)
    assert set(seen.outputs) == {"boxes", "scores"}
    np.testing.assert_array_equal(seen.detections.boxes, predictor.predict(square()).boxes)


def test_a_grey_array_becomes_three_channels() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = as_image(grey)
    assert image.shape == (3, 4, 3)
    np.testing.assert_array_equal(image, np.stack([grey] * 3, -1))


def test_a_pillow_image_is_turned_upright_and_into_bgr() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    picture = Image.fromarray(rgb)
    picture.getexif()[0x0112] = 3  # upside down
    np.testing.assert_array_equal(as_image(picture), rgb[::-1, ::-1, ::-1])


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros((4,), np.uint8), np.zeros((0, 4, 3), np.uint8)]
)
def test_an_array_that_is_no_image_is_a_data_error(array) -> None:
    with pytest.raises(DataError, match="expected uint8"):
        as_image(array)


def test_something_else_is_a_data_error() -> None:
    with pytest.raises(DataError, match="cannot take a dict as an image"):
        as_image({})


@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("parallel_runs", [1, 3])
def test_a_stream_is_detected_in_order_whatever_runs_side_by_side(parallel_runs, batch_size) -> None:
    session = BrightestSquare()
    session.parallel_runs = parallel_runs
    predictor = Predictor(session, read, SPEC, batch_size=batch_size)
    corners = range(0, 40, 8)
    found = list(predictor.stream(iter(corners), lambda x: square(box=(x, 8, x + 16, 24))))
    assert [item for item, _ in found] == list(corners)
    assert [round(float(detections.boxes[0, 0])) for _, detections in found] == list(corners)
    assert predictor.seconds["net"] > 0
    assert predictor.predict([square(), square()])[1].boxes[0, 0] == 16


def test_a_session_that_runs_one_after_the_other_is_not_ahead_of_who_asks() -> None:
    predictor = Predictor(BrightestSquare(), read, SPEC)
    asked: list[int] = []
    results = predictor.stream((asked.append(number) or number for number in range(3)), lambda _: square())
    next(results)
    assert asked == [0]


def test_who_watches_sees_every_run_with_the_images_it_was_for(predictor) -> None:
    images = [square(), square(32, 32, (4, 4, 12, 12)), square(96, 64, (0, 0, 32, 32))]
    seen = []

    def watch(members, fitted, outputs) -> None:
        seen.append((list(members), [image.size for image in fitted], outputs))

    found = predictor.predict_batch(images, watch=watch)
    ((members, sizes, outputs),) = seen
    assert members == [0, 1, 2]
    assert sizes == [(32, 32)] * 3
    assert outputs["boxes"].shape == (3, 1, 4)
    for image, plain in zip(found, predictor.predict_batch(images), strict=True):
        np.testing.assert_array_equal(image.boxes, plain.boxes)
