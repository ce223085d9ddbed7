from __future__ import annotations

from centernet.models.specs import scaled


def test_width_one_leaves_any_channel_count_alone() -> None:
    assert [scaled(channels, 1.0) for channels in (3, 16, 100)] == [3, 16, 100]


def test_scaled_channels_are_multiples_of_eight_and_at_least_eight() -> None:
    assert [scaled(channels, 0.25) for channels in (16, 64, 256, 80)] == [8, 16, 64, 16]
    assert scaled(64, 1.5) == 96
    assert scaled(16, 0.01) == 8
