"""The site: the same bytes for the same runs, readable by programs, harmless to a reader."""

from __future__ import annotations

import html.parser
import json
import posixpath
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from run_folders import NASTY, made_up_row, write_made_up_run

from mmflow_bench.cli.main import main
from mmflow_bench.errors import StoreError
from mmflow_bench.reports.leaderboard.writing import write_leaderboard


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    tuned = [made_up_row(verdict="fails", estimate=-0.05), made_up_row(task="QueryAttr")]
    return [
        write_made_up_run(tmp_path / "a", name="lab/base", run_id="1"),
        write_made_up_run(tmp_path / "b", name="lab/tuned", run_id="2", rows=tuned),
    ]


def test_the_same_runs_in_any_order_give_the_same_bytes(tmp_path, runs):
    write_leaderboard(runs, tmp_path / "one")
    write_leaderboard(runs[::-1], tmp_path / "deep" / "other")
    first = tree(tmp_path / "one")
    assert first == tree(tmp_path / "deep" / "other")
    # Over an earlier one, too.
    write_leaderboard(runs, tmp_path / "one")
    assert tree(tmp_path / "one") == first
    assert not any(str(tmp_path).encode() in content for content in first.values())


def test_the_index_for_programs_has_everything(tmp_path, runs):
    write_leaderboard(runs, tmp_path / "site")
    index = json.loads((tmp_path / "site" / "index.json").read_text())
    assert index["schema_version"] == 1
    assert index["files"] == sorted(tree(tmp_path / "site"))
    base, tuned = index["checkpoints"]
    assert (base["name"], tuned["name"]) == ("lab/base", "lab/tuned")
    assert base["summary"] == {
        **{"holds": 1, "fails": 1, "inconclusive": 1, "precondition-failed": 0},
        **{"instrument-dependent": 0, "not-applicable": 1, "report": 0},
    }
    assert tuned["mechanisms"][0]["verdict"] == "fails"
    assert tuned["mechanisms"][0]["estimate"] == -0.05
    assert base["holds_of_decided"] == 0.5
    for checkpoint in index["checkpoints"]:
        for name in (checkpoint["page"], *checkpoint["exports"].values()):
            assert (tmp_path / "site" / name).is_file()


def test_every_link_leads_to_a_page_of_the_site(tmp_path, runs):
    write_leaderboard(runs, tmp_path / "site")
    files = tree(tmp_path / "site")
    for name, content in files.items():
        if name.endswith(".html"):
            for link in re.findall(r'href="([^"]*)"', content.decode()):
                if not link.startswith(("#", "data:")):
                    path = posixpath.join(posixpath.dirname(name), link.split("#")[0])
                    assert posixpath.normpath(path) in files, (name, link)


def test_without_scripts_every_table_is_complete(tmp_path, runs):
    write_leaderboard(runs, tmp_path / "site")
    compare = (tmp_path / "site" / "compare.html").read_text(encoding="utf-8")
    # The picture, the head, and four pairs.
    assert compare.count('data-column="1"') == 1 + 1 + 4
    board = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert board.count('<th scope="row"') == 2 + 3


@pytest.mark.parametrize("words", NASTY, ids=range(len(NASTY)))
def test_words_of_others_stay_words(tmp_path, words):
    tags: dict[str, set[tuple[str, str]]] = {}
    for kind, said in (("plain", "plain"), ("nasty", words)):
        row = made_up_row(id=said, task=said, statement=said, section=said, unit=said)
        run = write_made_up_run(tmp_path / kind, name=said, words=said, task=said, rows=[row])
        write_leaderboard([run], tmp_path / f"site-{kind}", benchmark=said)
        found = tags.setdefault(kind, set())
        parser = html.parser.HTMLParser()
        parser.handle_starttag = lambda tag, attrs, found=found: found.update(
            (tag, name) for name in ("", *dict(attrs))
        )
        for name, content in tree(tmp_path / f"site-{kind}").items():
            if name.endswith(".html"):
                parser.feed(content.decode())
            elif name.endswith(".json"):
                json.loads(content)
    assert tags["nasty"] <= tags["plain"]


def test_a_checkpoint_that_left_leaves_no_page_behind(tmp_path, runs):
    write_leaderboard(runs, tmp_path / "site")
    (tmp_path / "site" / "CNAME").write_text("example")
    write_leaderboard(runs[:1], tmp_path / "site")
    assert not (tmp_path / "site" / "checkpoints" / "lab_tuned.html").exists()
    assert (tmp_path / "site" / "CNAME").exists()


def test_a_folder_of_other_things_is_not_touched(tmp_path, runs):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("mine")
    with pytest.raises(StoreError, match="holds other things"):
        write_leaderboard(runs, tmp_path / "site")
    assert tree(tmp_path / "site") == {"index.html": b"mine"}


def test_an_index_that_names_files_outside_removes_none_of_them(tmp_path, runs):
    write_leaderboard(runs, tmp_path / "site")
    outside = tmp_path / "mine.txt"
    outside.write_text("mine")
    index = tmp_path / "site" / "index.json"
    content = json.loads(index.read_text())
    index.write_text(json.dumps(content | {"files": ["../mine.txt", str(outside)]}))
    write_leaderboard(runs, tmp_path / "site")
    assert outside.exists()


def test_the_command_says_where_the_page_is_and_what_is_wrong(tmp_path, runs):
    asked = ["leaderboard", *map(str, runs), f"--output={tmp_path / 'site'}"]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    assert "index.html" in done.output
    (runs[0] / "results.json").write_text("{")
    broken = CliRunner().invoke(main, asked)
    assert broken.exit_code == 2
    assert "the file is damaged" in broken.output


def test_no_folder_of_a_machine_is_published(tmp_path):
    private = "/home/someone/secret-project"
    run = write_made_up_run(
        tmp_path / "run", name=f"{private}/my-finetune", settings={"questions": f"{private}/q.csv"}
    )
    write_leaderboard([run], tmp_path / "site")
    files = tree(tmp_path / "site")
    assert not [name for name, content in files.items() if b"secret-project" in content]
    assert "checkpoints/my-finetune.html" in files
