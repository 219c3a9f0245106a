"""What is attacked, how, and what must come of it."""

from __future__ import annotations

import csv
import json
import random
import shutil
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import mutating
from forking import Ending, run_command
from mutating import WORDS, nasty
from run_folders import write_made_up_run

from mmflow_bench.checkpoints.fingerprint import fingerprint
from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.cli.main import COMMANDS, imported
from mmflow_bench.errors import MMFlowError
from mmflow_bench.inputs.writing import sample_record
from mmflow_bench.planted.models import save
from mmflow_bench.scenes.questions import scene_samples

EDGE = "image->question"
SWEEP = ("sweep", f"--edges={EDGE}", "--model=mini", "--output=rows.csv", "--no-self-test")
DAMAGES = (mutating.wrong_bytes, mutating.wrong_bytes, mutating.wrong_kind, mutating.exchange)
Attack = Callable[[random.Random, Path, "Material"], str]
"""Makes one wrong input in an empty folder, and says what is wrong about what came of it."""


@dataclass(frozen=True)
class Material:
    """Right inputs, of which wrong ones are made."""

    folder: Path
    """`mini`, a checkpoint; `store`, what was measured of it; `runs/a` and `runs/b`;
    `questions.jsonl` and `images`."""
    rows: str
    """The table of `SWEEP`."""
    positions: dict[str, str]
    """Question id -> its line of `mmflow positions`."""


def make_material(folder: Path) -> Material:
    """Save a checkpoint, measure it, and make up two runs."""
    save("planted/mini", folder / "mini")
    samples = [one for one in scene_samples(per_task=1) if one.task in ("ChooseAttr", "QueryAttr")]
    (folder / "images").mkdir()
    for sample in samples:
        sample.image.save(folder / "images" / f"{sample.image_id}.png")  # type: ignore[union-attr]
    lines = [json.dumps(sample_record(sample)) for sample in samples]
    (folder / "questions.jsonl").write_text("\n".join(lines) + "\n")
    for name in "ab":
        write_made_up_run(folder / "runs" / name, name="made/up", run_id=name)
    _expect_success(run_command([*SWEEP, *_asked(), "--mmflow-cache=store"], folder))
    rows = (folder / "rows.csv").read_text()
    positions = run_command(["positions", "--model=mini", *_asked(), "--output=p.jsonl"], folder)
    _expect_success(positions)
    return Material(folder, rows, _lines_by_id(folder / "p.jsonl"))


def options(draw: random.Random, folder: Path, material: Material) -> str:
    """Any option of any command, with any value; what is not said is said right."""
    _lay_out(material, folder, "mini", "questions.jsonl", "images", "store", "runs")
    name = draw.choice(sorted(set(COMMANDS) - {"run", "build-set"}))
    given = {**_usual(name)}
    chosen = [p for p in _leaf(name, draw, given).params if isinstance(p, click.Option)]
    said = {}
    for option in draw.sample(chosen, min(len(chosen), draw.choice((1, 1, 2)))):
        flag = option.opts[-1]
        # The system passes no command a NUL.
        said[flag] = None if option.is_flag else draw.choice(WORDS).replace("\0", "")
    words = [f if v is None else f"{f}={v}" for f, v in {**given["options"], **said}.items()]
    ending = run_command([*given["words"], *words], folder)
    if complaint := ending.complaint():
        return complaint
    asked = {flag: value for flag, value in said.items() if value is not None}
    wrong = [f for f, v in asked.items() if ending.status == 0 and _is_meaningless(f, v)]
    return f"accepted {', '.join(f'{f}={asked[f]!r}' for f in wrong)}" if wrong else ""


def questions(draw: random.Random, folder: Path, material: Material) -> str:
    """One row of a question file is wrong, and the others stay as they are."""
    _lay_out(material, folder, "mini", "images")
    lines = (material.folder / "questions.jsonl").read_text().splitlines()
    place = draw.randrange(len(lines))
    wrong = mutating.wrong_tree(draw, json.loads(lines[place]))
    text = json.dumps(wrong) if draw.random() < 0.9 else str(nasty(draw)).replace("\n", " ")
    others = {json.loads(line)["question_id"] for line in lines} - {
        json.loads(lines[place])["question_id"]
    }
    lines[place] = text
    (folder / "questions.jsonl").write_text("\n".join(lines) + "\n", errors="replace")
    ending = run_command(["positions", "--model=mini", *_asked(), "--output=p.jsonl"], folder)
    if complaint := ending.complaint():
        return complaint
    found = _lines_by_id(folder / "p.jsonl") if (folder / "p.jsonl").exists() else {}
    # A row that has taken another's name makes it ambiguous whose row it is.
    taken = wrong.get("question_id") if isinstance(wrong, dict) else None
    lost = [o for o in others if o != taken and found.get(o) != material.positions[o]]
    return f"lost or changed {len(lost)} rows beside the wrong one" if lost else ""


def runs(draw: random.Random, folder: Path, material: Material) -> str:
    """A file of a run folder is wrong: results, or a table."""
    _lay_out(material, folder, "runs")
    run = folder / "runs" / "b"
    tables = sorted(run.glob("*.parquet"))
    path = draw.choice([run / "results.json", run / "results.json", draw.choice(tables)])
    change = mutating.wrong_json if path.suffix == ".json" else mutating.wrong_table
    if draw.random() < 0.1:
        change = draw.choice(DAMAGES)
    change(draw, path)
    is_finite = _is_finite(path)
    command = draw.choice(
        [
            *(["report", "runs/b"], ["report", "--markdown", "runs/b"]),
            *(["report", "--html", "runs/b"], ["compare", "runs/a", "runs/b"]),
            *(["compare", "--json", "runs/b", "runs/a"], ["bless", "runs/b"], ["ls", "runs"]),
            *(["leaderboard", "runs/a", "runs/b", "--latest"], ["power", "runs/b", "runs/a"]),
        ]
    )
    ending = run_command(command, folder)
    if complaint := ending.complaint():
        return complaint
    if not is_finite and ending.status == 0 and command[0] in ("compare", "bless"):
        return "a number that is none was accepted"
    if command[0] == "report" and "nan%" in ending.said:
        return "nan% in a report"
    return ""


def store(draw: random.Random, folder: Path, material: Material) -> str:
    """A file of the store is damaged: the table is the right one all the same, or an error."""
    _lay_out(material, folder, "mini", "questions.jsonl", "images", "store")
    files = [path for path in sorted((folder / "store").rglob("*")) if path.is_file()]
    for _ in range(draw.choice((1, 1, 2))):
        path = draw.choice(files)
        if path.is_file() and not path.is_symlink():
            is_table = path.suffix == ".parquet" and draw.random() < 0.4
            change = mutating.wrong_table if is_table else draw.choice(DAMAGES)
            change(draw, path)
    ending = run_command([*SWEEP, *_asked(), "--mmflow-cache=store"], folder)
    if complaint := ending.complaint():
        return complaint
    if ending.status == 0 and not _is_same_table(folder / "rows.csv", material.rows):
        return "another table than was measured"
    return ""


def checkpoint(draw: random.Random, folder: Path, material: Material) -> str:
    """A file of a checkpoint is wrong: it is refused, or it is another checkpoint."""
    _lay_out(material, folder, "mini", "questions.jsonl", "images")
    path = draw.choice(sorted((folder / "mini").iterdir()))
    own = path.read_bytes()
    if path.suffix == ".json" and draw.random() < 0.8:
        mutating.wrong_json(draw, path)
    else:
        draw.choice(DAMAGES)(draw, path)
    ending = run_command([*SWEEP, *_asked(), "--limit=1", "--mmflow-cache=off"], folder)
    if complaint := ending.complaint():
        return complaint
    is_other = not stat.S_ISREG(path.stat().st_mode) if path.exists() else True
    if ending.status == 0 and (is_other or path.read_bytes() != own):
        return _unchanged_fingerprint(folder, material)
    return ""


TARGETS: dict[str, Attack] = {
    one.__name__: one for one in (options, questions, runs, store, checkpoint)
}


def _unchanged_fingerprint(folder: Path, material: Material) -> str:
    before = fingerprint(resolve_checkpoint(str(material.folder / "mini")))
    try:
        after = fingerprint(resolve_checkpoint(str(folder / "mini")))
    except MMFlowError:
        return "measured, but without a fingerprint"
    return "other files under the same fingerprint" if before == after else ""


def _leaf(name: str, draw: random.Random, given: dict[str, Any]) -> click.Command:
    command = imported(name)
    if isinstance(command, click.Group):
        chosen = draw.choice(sorted(command.commands))
        given["words"] = [*given["words"], chosen]
        return command.commands[chosen]
    return command


def _usual(name: str) -> dict[str, Any]:
    """Arguments with which a command succeeds, and soon."""
    measuring = {"--model": "mini", "--questions": "questions.jsonl", "--images": "images"}
    if name in ("sweep", "lens", "positions", "measure", "doctor", "prune-plan"):
        rest = {} if name == "positions" else {"--mmflow-cache": "store", "--no-self-test": None}
        edges = {"--edges": EDGE} if name == "sweep" else {}
        is_planned = name in ("measure", "doctor")
        only = {"--mechanisms": "q-last-drop", "--no-twins": None} if is_planned else {}
        return {"words": [name], "options": {**measuring, "--limit": "1", **rest, **edges, **only}}
    runs = {"compare": ["runs/a", "runs/b"], "power": ["runs/a", "runs/b"], "report": ["runs/a"]}
    runs |= {"bless": ["runs/a"], "leaderboard": ["runs/a"]}
    return {"words": [name, *runs.get(name, ())], "options": {}}


_NAMES = {"--tasks", "--mechanisms", "--edges", "--model", "--as", "--method", "--device"}
_NEVER = {"", " ", ",", "typo", "nan", "NaN", "Chose*", "[", "chooseattr", "\x00", "-1", "\n"}


def _is_meaningless(flag: str, value: str) -> bool:
    """Whether no command can have done what was asked for."""
    numbers = {"--limit", "--alpha", "--window", "--batch-size", "--power", "--pilot", "--decided"}
    if flag in _NAMES:
        return value in _NEVER
    return flag in numbers and value in {"nan", "NaN", "inf", "-inf", "-1", "1e999", "typo"}


def _is_finite(path: Path) -> bool:
    """Whether no number of a JSON file is infinite or none, as far as it can be read."""
    if path.suffix != ".json" or not path.is_file():
        return True
    seen: list[str] = []
    try:
        json.loads(path.read_text(), parse_constant=seen.append)
    except (ValueError, RecursionError, OSError):
        return True
    return not seen


def _asked() -> tuple[str, ...]:
    return ("--questions=questions.jsonl", "--images=images")


def _lay_out(material: Material, folder: Path, *names: str) -> None:
    for name in names:
        source = material.folder / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        else:
            shutil.copy(source, folder / name)


def _lines_by_id(path: Path) -> dict[str, str]:
    return {json.loads(line)["question_id"]: line for line in path.read_text().splitlines()}


def _is_same_table(path: Path, text: str) -> bool:
    rows, expected = (sorted(csv.reader(one.splitlines())) for one in (path.read_text(), text))
    return len(rows) == len(expected) and all(map(_is_same_row, rows, expected))


def _is_same_row(one: Iterable[str], other: Iterable[str]) -> bool:
    # What is measured again may differ in the last digits, by the batch that it is in.
    return all(a == b or abs(float(a) - float(b)) < 1e-5 for a, b in zip(one, other, strict=True))


def _expect_success(ending: Ending) -> None:
    assert ending.status == 0, ending.said
