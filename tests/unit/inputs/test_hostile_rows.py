"""Question files of others: a row is a sample or is counted, and never ends or stalls a run."""

from __future__ import annotations

import io
import json
import os
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmflow_bench.errors import ImageError, MMFlowError
from mmflow_bench.inputs import questions as reading
from mmflow_bench.inputs.images import open_image
from mmflow_bench.inputs.json_lines import FIELDS
from mmflow_bench.inputs.questions import QuestionFile, read_questions
from mmflow_bench.inputs.samples import Sample

GOOD: dict[str, Any] = {
    "question_id": "1",
    "image_id": "42",
    "task": "own",
    "question": "Is it red or blue?",
    "answer": "red",
    "boxes": [[1, 1, 10, 10]],
}
OTHER = GOOD | {"question_id": "2"}
FEW = settings(max_examples=40, derandomize=True, deadline=None, database=None)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A question folder, a folder of images beside it, and a picture outside of both."""
    for name in ("questions", "images"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "images" / "42.png")
    Image.new("RGB", (40, 30)).save(tmp_path / "questions" / "beside.png")
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.png")
    return tmp_path


def read(place: Path, *rows: object, name: str = "q.jsonl") -> QuestionFile:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    text = f"[{','.join(lines)}]" if name.endswith(".json") else "\n".join(lines)
    path = place / "questions" / name
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return read_questions(path, images=place / "images")


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("/etc/passwd", "image-outside"),
        ("{place}/secret.png", "image-outside"),
        ("../secret.png", "image-outside"),
        ("../images/../secret.png", "image-outside"),
        ("../images/link.png", "image-outside"),
        ("link.png", "missing-image"),
        ("loop.png", "missing-image"),
        ("a\0b", "image-outside"),
        ("http://example.org/x.png", "missing-image"),
        ("file://{place}/secret.png", "missing-image"),
        ("~/x.png", "missing-image"),
        ("x" * 5000, "missing-image"),
        (".", "missing-image"),
        (5, "malformed-row"),
        (["42.png"], "malformed-row"),
    ],
)
def test_an_image_outside_of_its_folders_is_refused_as_its_row_s_reason(place, image, reason):
    os.symlink(place / "secret.png", place / "images" / "link.png")
    os.symlink("loop.png", place / "images" / "loop.png")
    given_as = image.replace("{place}", str(place)) if isinstance(image, str) else image
    file = read(place, GOOD | {"image": given_as}, OTHER)
    assert [one.question_id for one in file.samples] == ["2"]
    assert [one.reason for one in file.unscored] == [reason]


@pytest.mark.parametrize(
    "image", ["42.png", "beside.png", "../images/42.png", "{place}/images/42.png"]
)
def test_an_image_within_a_folder_that_the_user_has_named_is_found(place, image):
    file = read(place, GOOD | {"image": image.replace("{place}", str(place))})
    assert [one.question_id for one in file.samples] == ["1"]


def test_an_image_that_would_fill_the_memory_is_refused_before_it_is_read(place, monkeypatch):
    monkeypatch.setattr(reading, "LARGEST_IMAGE", 10)
    assert [one.reason for one in read(place, GOOD).unscored] == ["image-too-large"]


WRONG = {
    "a box of 10^400": ("[1, 1, 10, 10]", f"[1, 1, 1{'0' * 400}, 3]", "malformed-row"),
    "5,000 digits": ("[1, 1, 10, 10]", f"[1, 1, {'9' * 5000}, 3]", "malformed-row"),
    "no number": ("[1, 1, 10, 10]", "[1, 1, NaN, 3]", "box-outside-image"),
    "an infinity": ("[1, 1, 10, 10]", "[1, 1, Infinity, 3]", "box-outside-image"),
    "beyond numbers": ("[1, 1, 10, 10]", "[1, 1, 1e999, 3]", "box-outside-image"),
    "a negative box": ("[1, 1, 10, 10]", "[-9, -9, -10, 3]", "box-outside-image"),
    "many boxes": ("[1, 1, 10, 10]", ",".join(["[1,1,2,2]"] * 1001), "malformed-row"),
    "a size of 300 digits": ("}", f', "image_width": 1{"0" * 300}}}', "malformed-row"),
    "a negative size": ("}", ', "image_width": -3}', "malformed-row"),
    "an id of 10 MB": ('"1"', f'"{"x" * 10**7}"', "malformed-row"),
    "a task of 10 MB": ('"own"', f'"{"x" * 10**7}"', "malformed-row"),
    "a question of 10 MB": ("Is it", "x" * 10**7, "malformed-row"),
    "a field of 1 MB": ('"answer"', f'"{"z" * 10**6}"', "unknown-field"),
    "no task": ('"own"', '""', "missing-field"),
    "no id": ('"1"', '" "', "missing-field"),
    "a lone surrogate": ('"red"', '"\\ud800"', "malformed-row"),
    "a zero byte": ('"red"', '"a\\u0000"', "malformed-row"),
    "an escape in an id": ('"1"', '"\\u001b[31m"', "malformed-row"),
    "a line in a task": ('"own"', '"a\\n::error::b"', "malformed-row"),
    "a record for an id": ('"1"', '{"a": "b"}', "malformed-row"),
}


@pytest.mark.parametrize("name", ["q.jsonl", "q.json"])
@pytest.mark.parametrize(("old", "new", "reason"), WRONG.values(), ids=WRONG)
def test_a_wrong_row_is_counted_and_spoils_no_other(place, name, old, new, reason):
    file = read(place, json.dumps(GOOD).replace(old, new, 1), OTHER, name=name)
    assert [one.question_id for one in file.samples] == ["2"]
    (bad,) = file.unscored
    assert bad.reason == reason
    assert max(map(len, (bad.question_id, bad.image_id, bad.task))) <= 1000
    assert len(bad.message) < 5000


def test_brackets_too_deep_to_be_followed_are_one_bad_line(place):
    file = read(place, "[" * 10**5, OTHER)
    assert [one.question_id for one in file.samples] == ["2"]
    assert [one.reason for one in file.unscored] == ["malformed-row"]


def test_an_id_of_many_digits_is_an_id(place):
    (sample,) = read(place, json.dumps(GOOD).replace('"1"', "9" * 40)).samples
    assert sample.question_id == "9" * 40


HEAD = (
    "question_id,img_id,question,answer,image_w,image_h,"
    "object1 name,object1 x,object1 y,object1 w,object1 h"
)


@pytest.mark.parametrize("cell", ["inf", "nan", "1e999", "-5", "9" * 5000, "x", "0x10"])
def test_a_number_of_a_csv_file_that_is_none_is_its_row_s_reason(place, cell):
    rows = (
        f"1,42,Which?,red,{cell},30,cup,1,1,5,5",
        f"2,42,Which?,red,40,30,cup,1,{cell},5,5",
        "3,42,Which?,red,40,30,cup,1,1,5,5",
    )
    file = read(place, HEAD, *rows, name="CompareAttr.csv")
    assert [one.question_id for one in file.samples] == ["3"]
    assert {one.reason for one in file.unscored} <= {"malformed-row", "box-outside-image"}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["42", "42.png", "../secret.png", "\ud800", "ChooseAttr", "own"]),
    lambda one: st.lists(one, max_size=4) | st.dictionaries(st.text(max_size=3), one, max_size=2),
    max_leaves=6,
)
ROWS = st.dictionaries(st.sampled_from(FIELDS), JSON).map(lambda given: GOOD | given) | JSON


@FEW
@given(rows=st.lists(ROWS, max_size=4), name=st.sampled_from(["q.jsonl", "q.json", "q.ndjson"]))
def test_every_row_of_any_shape_is_a_sample_or_is_counted(tmp_path_factory, rows, name):
    place = tmp_path_factory.mktemp("any")
    for folder in ("questions", "images"):
        (place / folder).mkdir()
    file = read(place, *rows, OTHER | {"image_id": "none"}, name=name)
    assert len(file.samples) + len(file.unscored) == len(rows) + 1
    for one in file.unscored:
        assert one.reason
        assert len(one.message) < 5000


@FEW
@given(st.data())
def test_a_table_of_any_columns_is_read_or_refused(tmp_path_factory, data):
    columns = data.draw(st.dictionaries(st.sampled_from([*FIELDS, "img_id", "object1 x"]), JSON))
    try:
        table = pa.table({name: [value, value] for name, value in columns.items()})
        path = tmp_path_factory.mktemp("any") / "q.parquet"
        pq.write_table(table, path)
    except (pa.ArrowException, ValueError, OverflowError, TypeError):
        return
    try:
        file = read_questions(path)
    except MMFlowError:
        return
    assert len(file.samples) + len(file.unscored) == 2


class Content:
    """An image file that lies in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read_bytes(self) -> bytes:
        return self._content


def pictures() -> list[bytes]:
    found = []
    for mode in ("RGB", "L", "P", "CMYK", "RGBA", "LA", "1", "I;16", "YCbCr"):
        for kind in ("PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP", "PPM"):
            buffer = io.BytesIO()
            try:
                Image.new(mode, (24, 20)).save(buffer, kind)
            except (OSError, KeyError, ValueError):
                continue
            found.append(buffer.getvalue())
    return found


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_picture_is_a_reason_and_nothing_else():
    draw, kinds = random.Random(12), pictures()
    assert len(kinds) > 25
    for _ in range(400):
        content = bytearray(draw.choice(kinds))
        for _ in range(draw.randrange(5)):
            content[draw.randrange(min(len(content), draw.choice((40, 10**6))))] = draw.randrange(
                256
            )
        whole = content[: draw.choice((len(content), draw.randrange(len(content))))]
        sample = Sample(
            question_id="1", image_id="1", task="t", question="?", answer="a",
            image=Content(bytes(whole)),
        )  # fmt: skip
        with suppress(ImageError):
            assert open_image(sample).mode == "RGB"
