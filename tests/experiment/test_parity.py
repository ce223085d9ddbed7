from __future__ import annotations

from dataclasses import replace

import numpy as np

from centernet.experiment.accuracy import AveragePrecision, RuntimePrecision
from centernet.experiment.parity import FLOOR, TOLERANCES, Difference, Expected, Parity, _compared, table
from centernet.structures import Detections

ROW = Difference(runtime="ONNX Runtime 9, float32", input_size=(64, 96), maps=1e-5, boxes=0.01, scores=1e-5, compared=50, apart=0)
GOOD = Parity(
    reference="NNabla 9", precision="float32", images=("a.jpg", "b.jpg"), differences=(ROW,), ap=None, max_drop=1.0
)  # fmt: skip
AP = AveragePrecision(metric="coco", images=9, before=0.5, before_runtime="OpenVINO 9", after=0.4875, after_runtime="OpenVINO 9, int8")


def with_row(**changes: object) -> Parity:
    return replace(GOOD, differences=(replace(ROW, **changes),))  # type: ignore[arg-type]


def test_what_is_within_tolerance_has_no_faults() -> None:
    assert GOOD.faults == []
    assert with_row(maps=None).faults == []
    assert with_row(not_run="no such CPU", compared=0).faults == []


def test_nothing_compared_is_no_proof() -> None:
    (fault,) = with_row(maps=None, compared=0).faults
    assert "ONNX Runtime 9, float32: nothing could be compared: in none of 2 images the network finds anything" in fault
    assert with_row(compared=0).faults == [], "but the maps were compared"


def test_every_kind_of_difference_is_a_fault_with_its_number() -> None:
    assert with_row(maps=0.5).faults == ["ONNX Runtime 9, float32: maps differ by 0.5, allowed 0.001"]
    assert with_row(scores=float("nan")).faults == ["ONNX Runtime 9, float32: scores differ by nan, allowed 0.001"]
    (fault,) = with_row(boxes=7.0, apart=2).faults
    assert "2 of 50 boxes are not there or off by more than 0.05 pixels (largest 7), allowed 0%" in fault


def test_ap_may_fall_by_so_many_points() -> None:
    assert replace(GOOD, ap=AP, max_drop=1.5).faults == []
    (fault,) = replace(GOOD, ap=AP).faults
    assert fault == "AP falls by 1.25 points, from 0.5000 to 0.4875; --max-drop is 1"
    assert replace(GOOD, ap=replace(AP, after=0.9)).faults == []


def test_eight_bits_are_judged_by_ap_alone() -> None:
    eight = replace(with_row(maps=9.0, boxes=99.0, scores=0.5, apart=50), precision="int8")
    assert eight.faults == []
    assert len(replace(eight, ap=AP).faults) == 1


def test_the_table_has_a_row_for_each_run_and_ap_in_words() -> None:
    lines = table(replace(GOOD, differences=(ROW, replace(ROW, runtime="b", not_run="no such CPU")), ap=AP)).splitlines()
    assert lines[0] == "compared with NNabla 9 on 2 images (a.jpg, b.jpg), largest differences:"
    assert lines[2].split() == ["ONNX", "Runtime", "9,", "float32", "64x96", "1e-05", "0.01", "1e-05", "0", "of", "50"]
    assert lines[3].endswith("not run: no such CPU")
    assert lines[4].split() == ["allowed", "0.001", "0.05", "0.001", "0%"]
    assert lines[5] == "AP (coco, 9 images): 0.5000 with OpenVINO 9; 0.4875 with OpenVINO 9, int8"
    assert lines[6] == "AP changes by -1.25 points, may fall by 1"
    assert "give a validation set with --data_dir" in table(GOOD).splitlines()[-1]


def test_a_map_that_is_not_a_number_is_not_lost_among_others() -> None:
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ("a",))
    good, bad = np.zeros((1, 2, 2)), np.full((1, 2, 2), np.nan)
    for maps in ({"heatmap": good, "size": bad}, {"heatmap": bad, "size": good}):
        want = dict.fromkeys(maps, good)
        row = _compared("one", (64, 64), [Expected(nothing, want, nothing)], [(nothing, maps)], TOLERANCES["float32"])
        assert row.maps is not None
        assert np.isnan(row.maps)


def test_eight_bits_that_no_data_set_judges_keep_to_limits() -> None:
    eight = replace(with_row(maps=1.5, boxes=9.0, scores=0.2), precision="int8", limits=FLOOR)
    assert eight.faults == []
    broken = replace(with_row(maps=30.0, boxes=99.0, scores=0.6, apart=30), precision="int8", limits=FLOOR)
    maps, scores, boxes, cure = broken.faults
    assert "maps differ by 30, allowed 8" in maps
    assert "scores differ by 0.6, allowed 0.4" in scores
    assert "30 of 50 boxes are not there or off by more than 16 pixels" in boxes
    assert cure == "without a validation set only that can be judged: --data_dir lets AP decide (--max-drop)"
    assert broken.as_tree()["tolerance"]["maps"] == 8.0


def test_eight_bits_that_no_data_set_judges_are_not_proved_in_one_line_and_in_the_file() -> None:
    eight = replace(GOOD, precision="int8", limits=FLOOR)
    told = "int8: not proved without a data set; give --data_dir DIR, whose validation split measures AP (--max-drop)"
    assert table(eight).splitlines()[-1] == f"warning: {told}"
    assert eight.as_tree()["warnings"] == [told]
    assert GOOD.as_tree()["warnings"] == replace(eight, limits=None, ap=AP).as_tree()["warnings"] == []


def test_of_eight_bits_with_a_data_set_the_table_says_what_the_rule_is() -> None:
    lines = table(replace(GOOD, precision="int8", ap=AP, max_drop=2.0)).splitlines()
    assert "allowed: whatever keeps AP, which may fall by 2 points (--max-drop)" in lines
    assert not any("100%" in line for line in lines)


def test_a_file_that_nothing_here_runs_has_not_passed() -> None:
    unknown = with_row(not_run="no such CPU", compared=0)
    assert unknown.as_tree()["passed"] is None
    assert table(unknown).splitlines()[-1] == "warning: not compared: no runtime here runs the file"
    assert GOOD.as_tree()["passed"] is True


def test_ap_may_fall_in_no_runtime_that_reads_the_file() -> None:
    others = (
        RuntimePrecision(runtime="ONNX Runtime 9", after=0.48),
        RuntimePrecision(runtime="NNabla 9", not_measured="9 images would take about 90 minutes"),
    )
    both = replace(GOOD, ap=replace(AP, others=others), max_drop=1.5)
    assert both.faults == ["ONNX Runtime 9: AP falls by 2.00 points, from 0.5000 to 0.4800; --max-drop is 1.5"]
    assert table(both).splitlines()[-2:] == [
        "AP with ONNX Runtime 9: 0.4800, -2.00 points",
        "AP with NNabla 9: not measured: 9 images would take about 90 minutes",
    ]
