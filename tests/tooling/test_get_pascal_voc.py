"""src/tools: the VOC archives are fetched, continued, checked and turned into COCO-style JSON, here with two tiny ones."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "src" / "tools"

OBJECT = """<object><name>{name}</name><pose>Left</pose><truncated>0</truncated><difficult>{difficult}</difficult>
<bndbox><xmax>{xmax}</xmax><xmin>{xmin}</xmin><ymin>{ymin}</ymin><ymax>{ymax}</ymax></bndbox>
<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part></object>"""
CAR = OBJECT.format(name="car", difficult=0, xmin=156, ymin=97, xmax=351, ymax=270)
BIRD = OBJECT.format(name="bird", difficult=1, xmin=1, ymin=1, xmax="10.5", ymax=20)


def devkit_files(year: int, images: dict[str, tuple[str, str]]) -> dict[str, bytes]:
    """{path in the archive: content} of one year's devkit; `images` is {name: (image set, the XML of its objects)}."""
    base = f"VOCdevkit/VOC{year}"
    files = {}
    for name, (_, objects) in images.items():
        xml = f"<annotation><size><width>500</width><height>333</height><depth>3</depth></size>{objects}</annotation>"
        files[f"{base}/Annotations/{name}.xml"] = xml.encode()
        files[f"{base}/JPEGImages/{name}.jpg"] = name.encode() * 20_000  # larger than the buffers on the way
    for image_set in {image_set for image_set, _ in images.values()}:
        names = [name for name, (belongs, _) in images.items() if belongs == image_set]
        files[f"{base}/ImageSets/Main/{image_set}.txt"] = "".join(f"{name}\n" for name in names).encode()
    return files


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVES = {
    "voc2007/seven.tar": tar_of(devkit_files(2007, {"000012": ("train", CAR), "000017": ("val", ""), "000001": ("test", BIRD + CAR)})),
    "voc2012/twelve.tar": tar_of(devkit_files(2012, {"2008_000008": ("train", CAR + BIRD), "2008_000015": ("val", CAR)})),
}


@dataclass
class Mirror:
    """A server on the loopback that cuts the first answers off half-way, `cuts` times, and knows or does not know Range."""

    cuts: int = 0
    ranges: bool = True
    address: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)  # (path, the Range header)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked_range = request.headers.get("Range", "")
        self.asked.append((request.path, asked_range))
        found = [content for path, content in ARCHIVES.items() if path.endswith(request.path)]
        if not found:
            request.send_error(404)
            return
        start = int(asked_range.removeprefix("bytes=").rstrip("-")) if asked_range and self.ranges else 0
        body = found[0][start:]
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(found[0]) - 1}/{len(found[0])}")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if self.cuts:
            self.cuts -= 1
            body = body[: len(body) // 2]
        request.wfile.write(body)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    serving = Mirror()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            serving.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield serving
    server.shutdown()
    server.server_close()
    thread.join()


class Download:
    """The script, its folder and the table of the tiny archives."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "voc data"  # a space, as users have them
        self.table = folder / "archives.txt"
        rows = [f"{hashlib.md5(content).hexdigest()} {len(content)} {path}" for path, content in ARCHIVES.items()]
        self.table.write_text("\n".join(rows) + "\n")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": "/usr/bin:/bin", "VOC_ARCHIVES": str(self.table), "VOC_ATTEMPTS": "2", "VOC_PAUSE": "0", "no_proxy": "*"}
        command = [TOOLS / "get_pascal_voc.sh", str(self.root), *arguments]
        return subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def assert_complete(self) -> None:
        train = json.loads((self.root / "annotations" / "pascal_trainval0712.json").read_text())
        test = json.loads((self.root / "annotations" / "pascal_test2007.json").read_text())
        assert [image["file_name"] for image in train["images"]] == ["2008_000008.jpg", "2008_000015.jpg", "000012.jpg", "000017.jpg"]
        assert [image["file_name"] for image in test["images"]] == ["000001.jpg"]
        for image in train["images"] + test["images"]:
            content = (self.root / "images" / image["file_name"]).read_bytes()
            assert content == Path(image["file_name"]).stem.encode() * 20_000


@pytest.fixture
def download(tmp_path: Path) -> Download:
    return Download(tmp_path)


def test_everything_is_fetched_unpacked_and_converted(mirror: Mirror, download: Download) -> None:
    result = download.run("--mirror", mirror.address)
    assert result.returncode == 0, result.stdout
    download.assert_complete()
    assert [path for path, _ in mirror.asked] == ["/seven.tar", "/twelve.tar"]


def test_a_second_run_fetches_nothing_even_where_the_archives_were_deleted(mirror: Mirror, download: Download) -> None:
    download.run("--mirror", mirror.address)
    for archive in (download.root / "downloads").glob("*.tar"):
        archive.unlink()
    mirror.asked.clear()
    result = download.run("--mirror", mirror.address)
    assert result.returncode == 0, result.stdout
    assert mirror.asked == []
    download.assert_complete()


def test_a_cut_connection_is_continued_where_it_stopped(mirror: Mirror, download: Download) -> None:
    mirror.cuts = 3  # more often than VOC_ATTEMPTS, but each brought something
    result = download.run("--mirror", mirror.address)
    assert result.returncode == 0, result.stdout
    download.assert_complete()
    half = len(ARCHIVES["voc2007/seven.tar"]) // 2
    assert mirror.asked[1] == ("/seven.tar", f"bytes={half}-")


def test_a_server_that_cannot_continue_a_file_sends_it_again(mirror: Mirror, download: Download) -> None:
    mirror.cuts, mirror.ranges = 1, False
    result = download.run("--mirror", mirror.address)
    assert result.returncode == 0, result.stdout
    download.assert_complete()


def test_without_network_it_says_which_files_to_put_where(download: Download) -> None:
    result = download.run("--mirror", "http://127.0.0.1:9")  # the discard port: nothing listens there
    assert result.returncode == 2
    for path, content in ARCHIVES.items():
        name = path.rsplit("/", 1)[1]
        assert f"{name}  ({len(content)} bytes, md5 {hashlib.md5(content).hexdigest()})" in result.stdout
    assert f"{download.root}/downloads" in result.stdout


def test_files_brought_by_hand_are_enough(download: Download) -> None:
    folder = download.root / "downloads"
    folder.mkdir(parents=True)
    for path, content in ARCHIVES.items():
        (folder / path.rsplit("/", 1)[1]).write_bytes(content)
    result = download.run("--unpack-only")
    assert result.returncode == 0, result.stdout
    download.assert_complete()


def test_half_a_file_brought_by_hand_is_continued(mirror: Mirror, download: Download) -> None:
    folder = download.root / "downloads"
    folder.mkdir(parents=True)
    (folder / "seven.tar").write_bytes(ARCHIVES["voc2007/seven.tar"][:1000])
    assert download.run("--mirror", mirror.address).returncode == 0
    assert mirror.asked[0] == ("/seven.tar", "bytes=1000-")
    download.assert_complete()


def test_a_damaged_archive_is_refused_and_put_aside(mirror: Mirror, download: Download) -> None:
    folder = download.root / "downloads"
    folder.mkdir(parents=True)
    (folder / "seven.tar").write_bytes(bytes(len(ARCHIVES["voc2007/seven.tar"])))
    result = download.run("--unpack-only")
    assert result.returncode == 2
    assert "seven.tar is damaged" in result.stdout
    assert download.run("--mirror", mirror.address).returncode == 0
    download.assert_complete()


def test_help_needs_no_folder_and_no_folder_is_an_error() -> None:
    shown = subprocess.run([TOOLS / "get_pascal_voc.sh", "--help"], capture_output=True, text=True)
    assert shown.returncode == 0
    assert "usage:" in shown.stdout
    refused = subprocess.run([TOOLS / "get_pascal_voc.sh"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert "usage:" in refused.stderr


def unpack(folder: Path) -> Path:
    for content in ARCHIVES.values():
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(folder)
    return folder / "VOCdevkit"


def convert(devkit: Path, image_set: str, output: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, TOOLS / "voc_to_coco.py", devkit, image_set, "-o", output], capture_output=True, text=True)


def test_the_json_holds_zero_based_boxes_ids_from_one_and_no_parts_of_objects(tmp_path: Path) -> None:
    devkit, output = unpack(tmp_path), tmp_path / "out" / "pascal_test2007.json"
    result = convert(devkit / "VOC2007", "test", output)
    assert result.returncode == 0, result.stderr
    data: dict[str, Any] = json.loads(output.read_text())
    assert data["type"] == "instances"
    assert data["images"] == [{"file_name": "000001.jpg", "height": 333, "width": 500, "id": 1}]
    assert [(c["id"], c["name"]) for c in data["categories"]][::19] == [(1, "aeroplane"), (20, "tvmonitor")]
    bird, car = data["annotations"]
    assert (bird["id"], bird["image_id"], bird["category_id"], bird["ignore"], bird["iscrowd"]) == (1, 1, 3, 1, 0)
    assert bird["bbox"] == [0, 0, 10.5, 20]
    assert (car["id"], car["category_id"], car["bbox"], car["area"], car["ignore"]) == (2, 7, [155, 96, 196, 174], 34104, 0)
    assert car["segmentation"] == [[155, 96, 155, 270, 351, 270, 351, 96]]


def test_images_of_2012_have_ids_apart_from_those_of_2007(tmp_path: Path) -> None:
    output = tmp_path / "train2012.json"
    convert(unpack(tmp_path) / "VOC2012", "train", output)
    assert [image["id"] for image in json.loads(output.read_text())["images"]] == [2008000008]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("<name>car</name>|<name>tram</name>", "class 'tram'"),
        ("<xmin>156</xmin>|", "bndbox/xmin"),
        ("</annotation>|", "no element found"),
    ],
)
def test_a_bad_xml_file_is_named(tmp_path: Path, damage: str, said: str) -> None:
    devkit = unpack(tmp_path) / "VOC2007"
    path = devkit / "Annotations" / "000012.xml"
    path.write_text(path.read_text().replace(*damage.split("|")))
    result = convert(devkit, "train", tmp_path / "out.json")
    assert result.returncode == 2
    assert str(path) in result.stderr
    assert said in result.stderr
    assert not (tmp_path / "out.json").exists()


def test_a_folder_that_is_no_devkit_is_named(tmp_path: Path) -> None:
    result = convert(tmp_path, "test", tmp_path / "out.json")
    assert result.returncode == 2
    assert "test.txt: no such file" in result.stderr


def test_merging_adds_the_running_total_to_the_ids(tmp_path: Path) -> None:
    def part(name: str, annotation_ids: list[int]) -> None:
        content = {
            "images": [{"id": name}],
            "type": "instances",
            "annotations": [{"id": i, "image_id": name} for i in annotation_ids],
            "categories": [{"id": 1, "name": "aeroplane"}],
            "info": "dropped",
        }
        (tmp_path / f"pascal_{name}.json").write_text(json.dumps(content))

    for name, ids in (("train2012", [1, 2]), ("val2012", [1]), ("train2007", [1, 2, 3]), ("val2007", [1])):
        part(name, ids)
    result = subprocess.run(
        [sys.executable, TOOLS / "merge_pascal_json.py", "-a", tmp_path, "-o", tmp_path / "out"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    merged = json.loads((tmp_path / "out" / "pascal_trainval0712.json").read_text())
    assert [image["id"] for image in merged["images"]] == ["train2012", "val2012", "train2007", "val2007"]
    assert [annotation["id"] for annotation in merged["annotations"]] == [1, 2, 3, 4, 5, 6, 7]
    assert set(merged) == {"images", "type", "annotations", "categories"}


def test_merging_says_which_files_it_needs(tmp_path: Path) -> None:
    result = subprocess.run([sys.executable, TOOLS / "merge_pascal_json.py", "-a", tmp_path], capture_output=True, text=True)
    assert result.returncode == 2
    assert "pascal_train2012.json" in result.stderr
