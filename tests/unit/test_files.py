"""Files are complete or not there."""

from __future__ import annotations

import pytest

from mmflow_bench.errors import StoreError
from mmflow_bench.files import refusing, replace_file, replacing


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
