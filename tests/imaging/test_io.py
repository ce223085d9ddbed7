"""Image files as they come in real life, each made here as a real file."""

from __future__ import annotations

import os
import stat
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from centernet.errors import DataError, OutputError
from centernet.imaging.io import EncodedImage, decode_image, find_image, image_size, limit_threads, list_images, read_image, write_image
from centernet.structures import Array

# Four quarters, told apart by their colours: red, green / black, blue (RGB).
QUARTERS = np.zeros((40, 60, 3), np.uint8)
QUARTERS[:20, :30, 0] = QUARTERS[:20, 30:, 1] = QUARTERS[20:, 30:, 2] = 250
QUARTERS_BGR = QUARTERS[..., ::-1]


def noise(height: int = 50, width: int = 70) -> Array:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def assert_same(image: Array, expected: Array, tolerance: int = 0) -> None:
    """Equal up to `tolerance` grey levels, but for a rim of two pixels around the colour edges that JPEG blurs."""
    assert image.dtype == np.uint8
    assert image.shape == expected.shape
    difference = np.abs(image.astype(int) - expected.astype(int))
    if tolerance:
        height, width = expected.shape[:2]
        difference = difference[2 : height // 2 - 2, 2 : width // 2 - 2], difference[height // 2 + 2 :, width // 2 + 2 :]
        assert max(part.max() for part in difference) <= tolerance
    else:
        assert not difference.any()


def oriented(pixels: Array, orientation: int) -> Array:
    """What a viewer shows of stored pixels, per EXIF 2.32, tag 274."""
    views = {1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1], 5: pixels.swapaxes(0, 1)}
    views |= {6: np.rot90(pixels, -1), 7: np.rot90(pixels, 2).swapaxes(0, 1), 8: np.rot90(pixels)}
    return views[orientation]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_and_known_without_decoding(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = tmp_path / f"photo.{suffix}"
    exif = Image.Exif()
    exif[274] = orientation
    options = {"jpg": {"quality": 98, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
    Image.fromarray(QUARTERS).save(path, exif=exif, **options)
    expected = oriented(QUARTERS_BGR, orientation)
    assert_same(read_image(path), expected, tolerance=4 if suffix == "jpg" else 0)
    assert image_size(path) == expected.shape[:2]


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_grey_images_get_three_equal_channels(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"grey.{suffix}"
    Image.fromarray(QUARTERS).convert("L").save(path)
    image = read_image(path)
    assert image.shape == (40, 60, 3)
    assert (image == image[..., :1]).all()
    assert image_size(path) == (40, 60)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_become_eight(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep.{suffix}"
    cv2.imwrite(str(path), (QUARTERS_BGR.astype(np.uint16) << 8) | 77)
    assert np.abs(read_image(path).astype(int) - QUARTERS_BGR).max() <= 1
    grey = tmp_path / f"deep_grey.{suffix}"
    cv2.imwrite(str(grey), np.full((5, 6), 0x8040, np.uint16))
    assert np.abs(read_image(grey).astype(int) - 0x80).max() <= 1


def test_transparency_is_dropped_and_the_colour_behind_it_kept(tmp_path: Path) -> None:
    path = tmp_path / "alpha.png"
    alpha = np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))
    Image.fromarray(np.dstack([QUARTERS, alpha])).save(path)
    assert_same(read_image(path), QUARTERS_BGR)


def test_grey_with_alpha_and_palette_images_are_read(tmp_path: Path) -> None:
    Image.fromarray(QUARTERS).convert("LA").save(tmp_path / "la.png")
    Image.fromarray(QUARTERS).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "p.png")
    assert read_image(tmp_path / "la.png").shape == (40, 60, 3)
    assert_same(read_image(tmp_path / "p.png"), QUARTERS_BGR)


def test_cmyk_jpegs_are_converted(tmp_path: Path) -> None:
    path = tmp_path / "print.jpg"
    Image.fromarray(QUARTERS).convert("CMYK").save(path, quality=98)
    with Image.open(path) as stored:
        assert stored.mode == "CMYK"
    assert_same(read_image(path), QUARTERS_BGR, tolerance=4)
    assert image_size(path) == (40, 60)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("sides", [(160, 240), (163, 245)])
@pytest.mark.parametrize("reduction", [2, 4, 8])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_decoded_smaller_from_its_top_left_corner(mode: str, sides: tuple[int, int], reduction: int, orientation: int) -> None:
    y, x = np.mgrid[: sides[0], : sides[1]]
    waves = (128 + 100 * np.stack([np.sin(x / 30), np.cos(y / 40), np.sin((x + y) / 50)], axis=-1)).astype(np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    file = BytesIO()
    Image.fromarray(waves).convert(mode).save(file, format="JPEG", quality=98, exif=exif)
    picture = EncodedImage(file.getvalue(), "waves.jpg")
    small, whole = picture.decode(reduction), picture.decode()
    assert picture.size == whole.shape[:2]
    if orientation > 1 and sides[0] % reduction:
        assert small.shape == whole.shape  # the cut squares would lie at the top or on the left
        return
    assert small.shape[:2] == tuple(-(-side // reduction) for side in picture.size)
    height, width = (side // reduction for side in picture.size)
    means = whole[: height * reduction, : width * reduction].reshape(height, reduction, width, reduction, 3).mean(axis=(1, 3))
    assert np.abs(small[:height, :width] - means).max() < 6


def test_other_formats_are_not_decoded_smaller_and_only_once_if_their_size_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = EncodedImage(cv2.imencode(".bmp", noise())[1].tobytes(), "a.bmp")
    assert picture.size == (50, 70)
    monkeypatch.setattr(cv2, "imdecode", None)
    assert_same(picture.decode(4), noise())
    monkeypatch.undo()
    assert_same(EncodedImage(cv2.imencode(".png", noise())[1].tobytes(), "a.png").decode(8), noise())


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.98])
def test_a_truncated_jpeg_is_an_error_that_names_the_file(tmp_path: Path, share: float, progressive: bool) -> None:
    path = tmp_path / "cut.jpg"
    Image.fromarray(noise(200, 300)).save(path, progressive=progressive, exif=exif_with_preview())
    data = path.read_bytes()
    assert read_image(path).shape == (200, 300, 3)
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match=r"cut\.jpg: the file is cut off: a JPEG without its end-of-image marker"):
        read_image(path)


def exif_with_preview() -> bytes:
    """EXIF data that holds a whole small JPEG, end marker and all, as cameras store it."""
    preview = cv2.imencode(".jpg", noise(20, 30))[1].tobytes()
    return b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00" + preview


def test_a_jpeg_followed_by_other_data_is_complete(tmp_path: Path) -> None:
    data = cv2.imencode(".jpg", noise())[1].tobytes()
    video_behind_it = np.random.default_rng(1).bytes(50_000)  # phones append a short film
    assert decode_image(data + video_behind_it, "motion.jpg").shape == (50, 70, 3)
    with pytest.raises(DataError, match="cut off"):
        decode_image(data[: len(data) // 2] + bytes(10_000), "download.jpg")  # the rest never arrived: zeros


@pytest.mark.parametrize(("suffix", "what"), [("png", "PNG without its IEND"), ("webp", "WebP of"), ("tif", "not an image")])
def test_other_truncated_formats_are_errors_too(suffix: str, what: str) -> None:
    data = cv2.imencode(f".{suffix}", noise())[1].tobytes()
    with pytest.raises(DataError, match=what):
        decode_image(data[: len(data) * 3 // 4], f"cut.{suffix}")


def test_a_damaged_png_is_an_error() -> None:
    data = bytearray(cv2.imencode(".png", noise())[1].tobytes())
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(DataError, match=r"bad\.png: not an image that can be decoded"):
        decode_image(bytes(data), "bad.png")


@pytest.mark.parametrize("content", [b"hello", b"<html>404</html>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xd9", b"", b"\x00" * 100])
def test_a_file_that_is_no_image_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "text.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"text\.jpg: "):
        read_image(path)
    with pytest.raises(DataError, match=r"text\.jpg: "):
        image_size(path)


@pytest.mark.parametrize(("stored", "asked"), [("a.JPG", "a.jpg"), ("a.jpg", "a.JPG"), ("a.Jpg", "a.jpg"), ("a.jpeg", "a.JPEG")])
def test_a_suffix_in_the_wrong_case_is_found(tmp_path: Path, stored: str, asked: str) -> None:
    write_image(tmp_path / "a.png", noise())
    (tmp_path / stored).write_bytes(cv2.imencode(".jpg", noise())[1].tobytes())
    assert read_image(tmp_path / asked).shape == (50, 70, 3)
    assert image_size(tmp_path / asked) == (50, 70)
    assert find_image(tmp_path / asked).name.lower() == stored.lower()


def test_the_content_not_the_suffix_decides_the_format(tmp_path: Path) -> None:
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(cv2.imencode(".png", QUARTERS_BGR)[1].tobytes())
    assert_same(read_image(path), QUARTERS_BGR)


def test_a_missing_file_folder_or_a_folder_in_its_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jpg: no such image file$"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(DataError, match=r"the folder .*gone does not exist either"):
        read_image(tmp_path / "gone" / "none.jpg")
    with pytest.raises(DataError, match="is a folder, expected an image file"):
        read_image(tmp_path)
    with pytest.raises(DataError, match="no such image file"):
        list_images(tmp_path / "gone")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    write_image(path, noise())
    path.chmod(0)
    with pytest.raises(DataError, match=r"secret\.png: cannot be read: Permission denied"):
        read_image(path)
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)


@pytest.mark.parametrize("name", ["plain.png", "with space.png", "ümläut-写真.png", "no_suffix_dots.v1.PNG"])
def test_lossless_images_survive_writing_and_reading_under_any_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "new" / "folder" / name
    write_image(path, noise())
    assert_same(read_image(path), noise())
    assert image_size(path) == (50, 70)


def test_an_image_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"no image format has the suffix '\.xyz'; expected one of \.bmp"):
        write_image(tmp_path / "a.xyz", noise())
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/a\.png: cannot be written: "):
        write_image(tmp_path / "file" / "a.png", noise())


def test_listing_a_folder_gives_its_images_by_name_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "c.webp", "notes.txt", "._a.JPG"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.JPG", "b.png", "c.webp"]
    assert list_images(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]


def test_listing_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match="holds no images; expected files that end in"):
        list_images(tmp_path)


def test_the_number_of_opencv_threads_is_set() -> None:
    before = cv2.getNumThreads()
    limit_threads(1)
    assert cv2.getNumThreads() == 1
    limit_threads(before)
    with pytest.raises(ValueError, match="num_threads is 0"):
        limit_threads(0)


def test_a_name_that_no_file_can_have_is_an_error_like_a_missing_file() -> None:
    with pytest.raises(DataError, match="no such image file"):
        read_image("a\0b.jpg")
