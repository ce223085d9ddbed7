from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centernet.data import json_stream
from centernet.errors import DataError

texts = st.text(alphabet='ab\\"\n{[]},:é𝄞', max_size=6)  # what could confuse a scanner
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None, max_examples=80)
@given(
    value=st.dictionaries(st.sampled_from(["images", "info", "z"]), json_values),
    chunk=st.integers(1, 30),
    indent=st.sampled_from([None, 3]),
    ascii_only=st.booleans(),
)
def test_pieces_put_together_are_what_the_json_module_reads(
    value: dict[str, object], chunk: int, indent: int | None, ascii_only: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(json.dumps(value, indent=indent, ensure_ascii=ascii_only), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "CHUNK_CHARACTERS", chunk)
        pairs = list(json_stream.iterate(path, lists=["images"]))
    found: dict[str, object] = {}
    for key, item in pairs:
        if key == "images" and isinstance(value[key], list):
            if key in found:
                found[key].append(item)  # type: ignore[attr-defined]
            else:
                assert item is None
                found[key] = []
        else:
            found[key] = item
    assert found == value


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}', encoding="utf-8-sig")
    assert list(json_stream.iterate(path, lists=[])) == [("a", 1)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "an object"),
        ("[1]", "an object"),
        ('{"images": [{"id": 1}, {"id"', "cut short"),
        ('{"images": [{"id": 1}', "cut short"),
        ('{"images": [1 2]}', "',' or ']'"),
        ('{"a" 1}', "':'"),
        ("{3: 1}", "a key in quotes"),
        ('{"a": nonsense}', "found 'nonsense}'"),
    ],
)
def test_broken_json_is_named_with_its_place(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"a\.json: not valid JSON at character \d+") as caught:
        list(json_stream.iterate(path, lists=["images"]))
    assert expected in str(caught.value)


def test_the_place_of_an_error_counts_from_the_start_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "CHUNK_CHARACTERS", 4)
    path = tmp_path / "a.json"
    text = '{"images": [' + "1234, " * 20 + "?]}"
    path.write_text(text)
    with pytest.raises(DataError, match=f"character {text.index('?')}:"):
        list(json_stream.iterate(path, lists=["images"]))


def test_a_missing_file_and_one_that_is_not_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.json: the annotation file does not exist"):
        list(json_stream.iterate(tmp_path / "gone.json", lists=[]))
    (tmp_path / "a.json").write_bytes(b'{"a": "\xff\xfe"}')
    with pytest.raises(DataError, match=r"a\.json: the annotation file cannot be read"):
        list(json_stream.iterate(tmp_path / "a.json", lists=[]))
