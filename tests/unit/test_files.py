"""Files are complete or not there."""

from __future__ import annotations

import os

import pytest

from mmflow_bench.errors import StoreError
from mmflow_bench.files import (
    is_special,
    refusing,
    replace_file,
    replacing,
    try_writing_file,
)


def test_a_file_is_replaced_as_a_whole_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "deep" / "file"
    for content in ("é\n", b"\xff"):
        replace_file(path, content)
        assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_stops_the_writing_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("old")

    def write() -> None:
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise error

    with pytest.raises(type(error)):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_system_refuses_is_said_in_words(tmp_path):
    (tmp_path / "file").write_text("no folder")
    place = tmp_path / "file" / "inside"
    with (
        pytest.raises(StoreError, match=r"^a folder, got .*\(.*inside\); choose another$"),
        refusing(StoreError, "a folder", place, "choose another"),
    ):
        replace_file(place, "")


def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert is_special(pipe)
    for write in (lambda: replace_file(pipe, "x"), lambda: try_writing_file(pipe)):
        with pytest.raises(FileExistsError, match="a device or a pipe"):
            write()
    assert list(tmp_path.iterdir()) == [pipe]


def test_trying_leaves_nothing_but_folders(tmp_path):
    kept = tmp_path / "file"
    kept.write_text("kept")
    try_writing_file(kept)
    try_writing_file(tmp_path / "new" / "file")
    assert kept.read_text() == "kept"
    assert list((tmp_path / "new").iterdir()) == []
    for wrong in (tmp_path, kept / "below"):
        with pytest.raises(OSError, match=r"directory|exists"):
            try_writing_file(wrong)
