"""Runs of others whose every text is an attack: shown by every command, and obeyed by nothing."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from hostile import json_strings, parsed, write_hostile_run

from mmflow_bench.cli.main import main
from mmflow_bench.reports.github import annotate
from mmflow_bench.reports.html.page import plotly_source, ready_for_html
from mmflow_bench.reports.junit import junit
from mmflow_bench.reports.summary import read_summary

ESCAPES = "\x1b]0;x\x07\x1b[31mred\x1b]8;;http://e.vil\x07\x9b31m\x08\x7f"
MARKUP = "<img src=x onerror=alert(1)>|`x`[click](javascript:alert(1))"
TURNED = "\u202etxt.exe\u2066 a\u200f"
LINES = "\r\n::error title=fake::b\u2028##[error]c\n| - ```\n# d"
ATTACKS = {
    "a command": "::set-output name=x::y",
    "all at once": f"{ESCAPES}{MARKUP}{TURNED}{LINES}",
}
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202a-\u202e\u2066-\u2069\u200f]")
RUN = "run"
TAKEN = "--allow-incomplete"
"""The run says why it is not complete: that is text as well."""
COMMANDS = {
    "report": f"report {RUN}",
    "wide": f"report {RUN} --width=200",
    "markdown": f"report {RUN} --markdown",
    "html": f"report {RUN} --html",
    "compare": f"compare {RUN} {RUN} {TAKEN}",
    "compare as JSON": f"compare {RUN} {RUN} --json {TAKEN}",
    "power": f"power {RUN} {TAKEN}",
    "power as JSON": f"power {RUN} --json {TAKEN}",
    "power of two": f"power {RUN} {RUN} {TAKEN}",
    "bless": f"bless {RUN} --name=blessed --baselines=baselines {TAKEN}",
    "compare with blessed": f"compare baselines/blessed {RUN} {TAKEN}",
    "runs": "ls runs --mmflow-output=.",
    "runs as JSON": "ls runs --mmflow-output=. --json",
    "baselines": "ls baselines",
    "leaderboard": f"leaderboard {RUN} --output=site",
}


class Tags(html.parser.HTMLParser):
    """Images, and attributes that run something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [tag] if tag == "img" else []
        self.found += [name for name, _ in attrs if name.startswith("on")]


def refuse_obeyed(shown: str) -> None:
    """Nothing of it is obeyed by a terminal or a log."""
    assert not OBEYED.search(shown)
    assert not any(line.lstrip().startswith("::") for line in shown.splitlines())
    assert "##[" not in shown


@pytest.fixture(params=ATTACKS.values(), ids=ATTACKS)
def run(request, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_hostile_run(tmp_path / RUN, request.param)


@pytest.mark.usefixtures("run")
def test_every_command_shows_it_and_nothing_obeys_it(subtests):
    for name, command in COMMANDS.items():
        with subtests.test(name):
            done = CliRunner().invoke(main, command.split())
            assert isinstance(done.exception, SystemExit | None), done.exception
            # The tables hold one task twice over; what matters here is what is said of it.
            assert done.exit_code in (0, 1, 3, 4), done.output
            refuse_obeyed(done.output)
            if name == "markdown":
                assert not re.search(r"<(?!/?(details|summary)>)", done.output)


def test_every_file_is_what_its_name_says(run, subtests):
    CliRunner().invoke(main, ["report", RUN, "--html"])
    CliRunner().invoke(main, ["leaderboard", RUN, "--output=site"])
    written = [run / "report.html", *(path for path in Path("site").rglob("*") if path.is_file())]
    assert len(written) > 5
    plotly = ready_for_html(plotly_source() or "no script")
    for path in written:
        with subtests.test(path.name):
            # What plotly's own script holds is plotly's, and its hash lets it run.
            text = path.read_text(encoding="utf-8").replace(plotly, "")
            assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
            if path.suffix == ".html":
                assert not Tags(text).found
            if path.suffix == ".json":
                json.loads(text)


def test_junit_and_annotations_say_it_in_their_own_signs(run, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    summary, _ = read_summary(run)
    written = junit(summary)
    ElementTree.fromstring(written.partition("?>")[2])
    refuse_obeyed(written)
    for line in annotate(summary):
        assert re.fullmatch(r"::(error|warning) title=[^:,]*::[^\n\r]*", line)
        refuse_obeyed(line.partition(" title=")[2].replace("::", "", 1))


def test_the_attack_stands_in_every_text_of_the_schema(tmp_path):
    write_hostile_run(tmp_path, "ATTACK")
    results = parsed(tmp_path / "results.json")
    assert json.dumps(results).count("ATTACK") > 40
    assert json_strings(results["mechanisms"][0]) >= 14
    assert json.dumps(parsed(tmp_path / "comparison.json")).count("ATTACK") > 20
