from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from centernet.data.datasets.base import DetectionDataset
from centernet.experiment.explain.charts import curves, small_curve
from centernet.experiment.explain.explanation import CLASSES, Explanation, with_classes
from centernet.experiment.explain.findings import MISTAKES, Findings, find
from centernet.experiment.explain.oracles import Explained, ExplainingMetric
from centernet.experiment.explain.page import as_tree, demo_option, html, table
from centernet.imaging.io import write_image
from centernet.metrics.coco_ap import CocoAP
from centernet.metrics.detection_errors import Judgement, judge
from centernet.structures import Annotations, ClassTable, Detections, Normalization

NAMES = ("cat", "<b>&dog", "owl")
BOX = [10.0, 10.0, 30.0, 30.0]
FAR = [60.0, 60.0, 90.0, 90.0]
# [image, class, box...] of each object; three images, the last without one.
TRUTH = np.array([[0, 0, *BOX], [0, 1, *FAR], [1, 0, *BOX]])
# image -> [class, score, box...]: right, missed dog; a cat taken for a dog, and something on the background.
FOUND = {0: [[0, 0.9, *BOX]], 1: [[1, 0.8, *BOX], [0, 0.35, *FAR]], 2: [[0, 0.1, *FAR]]}


@pytest.fixture
def dataset(tmp_path: Path) -> DetectionDataset:
    for i in range(2):  # the third cannot be read
        write_image(tmp_path / f"{i}.png", np.full((100, 120, 3), 90, np.uint8))
    annotations = Annotations(
        image_ids=np.array([7, 8, 9]),
        image_sizes=np.full((3, 2), (100, 120)),
        file_names=["0.png", "1.png", "2.png"],
        image_index=TRUTH[:, 0].astype(int),
        boxes=TRUTH[:, 2:],
        class_ids=TRUTH[:, 1].astype(int),
        areas=np.full(3, 400.0),
        is_crowd=np.zeros(3, bool),
        is_difficult=np.zeros(3, bool),
    )
    plain = Normalization(mean=(0, 0, 0), std=(1, 1, 1))
    return DetectionDataset(annotations=annotations, classes=ClassTable(NAMES), image_folder=tmp_path, normalization=plain)


@pytest.fixture
def judgement(dataset: DetectionDataset) -> Judgement:
    rows = {image: np.array(found) for image, found in FOUND.items()}
    found = [(image, Detections(row[:, 2:], row[:, 1], row[:, 0])) for image, row in rows.items()]
    return judge(found, dataset.annotations, need_not_be_found=np.zeros(3, bool))


@pytest.fixture
def findings(judgement: Judgement, dataset: DetectionDataset) -> Findings:
    return find(judgement, dataset)


def test_mistakes_are_counted_among_what_reaches_its_class_s_threshold(findings: Findings) -> None:
    assert findings.thresholds == {"": 0.9, "cat": 0.9}
    assert (findings.num_shown, findings.num_right, findings.num_objects, findings.num_found) == (1, 1, 3, 1)
    assert {one.kind: one.count for one in findings.mistakes} == {**dict.fromkeys(MISTAKES, 0), "missed": 2}
    assert [one.num_objects for one in findings.classes] == [2, 1, 0]
    assert [one.num_found for one in findings.classes] == [1, 0, 0]
    assert [one.mistakes["missed"] for one in findings.classes] == [1, 1, 0]
    assert [one.ap50 for one in findings.classes] == [pytest.approx(0.5), 0.0, -1.0]
    assert findings.confusions == ()


def test_the_worst_images_come_first_and_those_without_mistakes_not_at_all(findings: Findings) -> None:
    assert [(one.index, one.num_mistakes) for one in findings.worst] == [(0, 1), (1, 1)]
    assert findings.worst[0].missed == (1,)
    assert findings.worst[0].rows == (0,)


def test_with_perfect_classes_the_confused_detection_finds_its_object(judgement: Judgement, dataset: DetectionDataset) -> None:
    before = CocoAP(dataset.annotations, dataset.classes)
    after = with_classes(judgement, CocoAP(dataset.annotations, dataset.classes))
    assert after.compute()["per_class"]["cat"]["AP50"] == pytest.approx(1)
    assert before.compute()["per_class"]["cat"]["AP50"] == 0
    assert len(after.detections_json()) == 4


@pytest.fixture
def explanation(findings: Findings, judgement: Judgement, dataset: DetectionDataset) -> Explanation:
    protocol = {"flip": False, "scales": [1.0], "metric": "coco"}
    return Explanation(
        results={"AP": 0.25, "AP50": 0.5, "model": "a<b>.h5", "protocol": protocol},
        perfect={"heatmap": {"AP": 0.5, "AP50": 0.75}, CLASSES: {"AP": 0.3, "AP50": 0.5}},
        not_known="",
        ignored="Crowds.",
        findings=findings,
        judgement=judgement,
        dataset=dataset,
    )


def test_names_are_text_on_the_page_and_images_that_cannot_be_read_are_left_out(explanation: Explanation) -> None:
    page = html(explanation)
    assert "<b>&dog" not in page
    assert "&lt;b&gt;&amp;dog" in page
    assert "a&lt;b&gt;.h5" in page
    assert page.count("<figure>") == 2
    assert page.count('class="missed" x=') == 4  # a box and a word for each
    assert page.count("data:image/jpeg;base64,") == 2


def test_the_table_says_what_changes_and_what_to_type(explanation: Explanation) -> None:
    lines = table(explanation).splitlines()
    assert any(line.split() == ["heatmap", "0.5000", "+0.2500"] for line in lines)
    assert any(line.split() == ["missed", "2", "100.0%", "+0.2500"] for line in lines)
    assert lines[-1] == "--vis_thresh 0.9,cat=0.9"


def test_the_tree_holds_plain_values(explanation: Explanation) -> None:
    tree = as_tree(explanation)
    assert tree["worst"][0] == {
        "image": explanation.dataset.name(0), "image_id": 7, "mistakes": {**dict.fromkeys(MISTAKES, 0), "missed": 1}
    }  # fmt: skip
    assert tree["classes"]["cat"]["point"]["threshold"] == 0.9
    assert tree["classes"]["owl"]["point"] is None
    assert len(tree["classes"]["cat"]["precision"]) == 101
    assert tree["overlaps"] == {"foreground": 0.5, "background": 0.1}


def test_names_that_the_option_cannot_take_are_left_out_and_others_quoted() -> None:
    assert demo_option({"": 0.2, "a,b": 0.3, "traffic light": 0.4}) == "--vis_thresh '0.2,traffic light=0.4'"


def test_curves_end_where_the_recall_ends(findings: Findings) -> None:
    drawing = curves(findings.classes)
    assert drawing.count("<polyline") == 3  # two classes have objects; and the mean
    assert drawing.count("<circle") == 1
    cat = drawing.split('points="')[1].split('"')[0].split(" ")
    assert len(cat) == 52  # to recall 0.5, and down
    assert small_curve(findings.classes[2]) == ""
    assert curves(findings.classes[2:]) == "<p>No class has objects.</p>"


def test_a_data_set_without_objects_and_detections_is_explained(dataset: DetectionDataset) -> None:
    nothing = Annotations(
        image_ids=np.array([7]), image_sizes=np.zeros((1, 2)), file_names=["0.png"], image_index=np.zeros(0, int),
        boxes=np.zeros((0, 4)), class_ids=np.zeros(0, int), areas=np.zeros(0), is_crowd=np.zeros(0, bool), is_difficult=np.zeros(0, bool),
    )  # fmt: skip
    found = find(judge([], nothing, need_not_be_found=np.zeros(0, bool)), dataset)
    assert found.thresholds == {"": 0.2}
    assert (found.num_shown, found.num_objects, found.worst, found.confusions) == (0, 0, (), ())
    assert sum(one.share for one in found.mistakes) == 0


def test_the_metrics_of_what_is_perfect_travel_between_processes(dataset: DetectionDataset) -> None:
    def make() -> ExplainingMetric:
        return ExplainingMetric(lambda: CocoAP(dataset.annotations, dataset.classes))

    def right(image: int) -> Detections:
        rows = TRUTH[TRUTH[:, 0] == image]
        return Detections(rows[:, 2:], np.full(len(rows), 0.9), rows[:, 1])

    nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0))
    shares = [make(), make()]
    for image in range(2):
        perfect = {"size": right(image), "both/parts": right(image)}
        shares[image].update(image, Explained(nothing.boxes, nothing.scores, nothing.class_ids, (), perfect))
    main = make()  # whose process had no image at all
    main.merge([main.state(), *(share.state() for share in shares)])
    assert main.compute()["AP"] == 0
    assert main.detections_json() == []
    assert {name: metric.compute()["AP"] for name, metric in main.perfect.items()} == pytest.approx({"size": 1, "both/parts": 1})
