"""Tables where the output is not UTF-8."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len
from run_folders import write_made_up_run

from mmflow_bench.mechanisms.numbers import BLOCKS
from mmflow_bench.reports.escaping import encodable, replace_in
from mmflow_bench.reports.signs import SIGNS

SYMBOLS = {verdict: sign.terminal for verdict, sign in SIGNS.items()}
ENCODINGS = ["ascii", "latin-1", "cp1252", "cp437", "utf-8"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_verdicts_stay_apart_and_columns_in_place(encoding):
    shown = {verdict: encodable(sign, encoding) for verdict, sign in SYMBOLS.items()}
    assert len({*shown.values(), "-"}) == len({*SYMBOLS.values(), "-"})
    assert all(cell_len(sign) == 1 for sign in shown.values())
    assert len(set(encodable(BLOCKS, encoding))) == len(BLOCKS)
    assert cell_len(encodable(f"≠─…{BLOCKS}🦙", encoding)) <= cell_len(f"≠─…{BLOCKS}🦙")


def test_what_an_encoding_has_is_left_alone():
    assert encodable("✓ é", "utf-8") == "✓ é"
    assert encodable("é ✓", "cp1252") == "é +"
    assert encodable("✓", None) == "✓"


def test_a_stream_takes_every_text():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    replace_in(stream)
    stream.write("✓ ▁ é")
    stream.flush()
    assert stream.buffer.getvalue() == b"+ 1 ?"
    replace_in(io.StringIO())


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("more", [[], ["--markdown"]], ids=["tables", "markdown"])
def test_a_report_is_written_into_any_pipe(tmp_path: Path, encoding: str, more: list[str]):
    run = write_made_up_run(tmp_path / "run", name="née 🦙")
    ended = subprocess.run(
        [sys.executable, "-m", "mmflow_bench.cli", "report", str(run), *more],
        env={"PYTHONIOENCODING": encoding, "PATH": ""},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    # A file of Markdown is UTF-8 wherever it was written; click writes UTF-8 for ASCII, too.
    text = ended.stdout.decode("utf-8" if more or encoding == "ascii" else encoding)
    assert "1 holds" in text
    if encoding == "utf-8":
        assert "née 🦙" in text
    assert "\x1b" not in text
