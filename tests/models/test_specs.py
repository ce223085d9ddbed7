from __future__ import annotations

from dataclasses import replace

from centernet.models.specs import HeadSpec, InputSizes, scaled


def test_width_one_leaves_any_channel_count_alone() -> None:
    assert [scaled(channels, 1.0) for channels in (3, 16, 100)] == [3, 16, 100]


def test_scaled_channels_are_multiples_of_eight_and_at_least_eight() -> None:
    assert [scaled(channels, 0.25) for channels in (16, 64, 256, 80)] == [8, 16, 64, 16]
    assert scaled(64, 1.5) == 96
    assert scaled(16, 0.01) == 8


def test_input_sizes_are_multiples() -> None:
    sizes = InputSizes(32)
    assert [sizes.takes(side) for side in (0, 31, 32, 33, 64)] == [False, False, True, False, True]
    assert [sizes.nearest(side) for side in (1, 40, 48, 60)] == [32, 32, 64, 64]
    assert str(sizes) == "multiples of 32"


def test_input_sizes_may_be_one_less() -> None:
    sizes = InputSizes(128, or_one_less=True)
    assert [sizes.takes(side) for side in (126, 127, 128, 129, 511)] == [False, True, True, False, True]
    assert [sizes.nearest(side) for side in (1, 130, 191, 192, 500, 513)] == [127, 128, 128, 255, 511, 512]
    assert str(sizes) == "multiples of 128, or one less"


def test_layers_of_a_head_are_named_by_their_stack_where_there_are_several() -> None:
    head = HeadSpec(scope="hm", channels=3, kind="heatmap")
    assert head.layer("final") == "hm_final"
    assert replace(head, stack=1).layer("final") == "hm/1/final"
