from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from centernet.engine.checkpoint import Progress
from centernet.engine.pictures import PictureFiles, Pictures


class Album:
    def __init__(self) -> None:
        self.pages: list[tuple[int, bytes]] = []

    def pictured(self, epoch: int, png: bytes) -> None:
        self.pages.append((epoch, png))


def epochs(folder: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("epoch_")) for path in folder.iterdir())


def test_a_picture_is_drawn_once_a_measurement_and_handed_to_all() -> None:
    drawn: list[int] = []

    def draw(epoch: int) -> bytes:
        drawn.append(epoch)
        return b"%d" % epoch

    albums = [Album(), Album()]
    pictures = Pictures(draw, albums)
    for epoch in (0, 5):
        pictures.epoch_ended(epoch, {}, learning_rate=1.0)
        pictures.validated(epoch, {}, {})
    assert drawn == [0, 5]
    assert [album.pages for album in albums] == [[(0, b"0"), (5, b"5")]] * 2


def test_a_long_training_leaves_few_files_the_first_and_the_last_and_more_of_the_last_ones(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path / "pictures", most=6)
    files.started(Progress())
    for epoch in range(0, 120, 5):
        files.pictured(epoch, b"%d" % epoch)
        found = epochs(tmp_path / "pictures")
        assert len(found) <= 6
        assert (found[0], found[-1]) == (0, epoch)
    steps = [later - earlier for earlier, later in pairwise(found)]
    assert steps == sorted(steps, reverse=True)
    assert (tmp_path / "pictures" / "epoch_115.png").read_bytes() == b"115"


def test_a_resumed_training_keeps_the_pictures_before_and_drops_those_to_come(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path)
    for epoch in (0, 1, 2, 10):
        files.pictured(epoch, b"")
    (tmp_path / "epoch_map.png").write_bytes(b"of the user")
    PictureFiles(tmp_path).started(Progress(epoch=2, batch=3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_0.png", "epoch_1.png", "epoch_map.png"]
