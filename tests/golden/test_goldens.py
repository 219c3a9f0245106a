"""Verdicts, tables, messages and exit codes are those that users have seen so far.

See conftest.py for how to write the goldens anew.
"""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

SAMPLES = "--limit=1-3"
"""Two images of each task, each asked about once."""
MANY = ("-p", "many_images", "-p", "few_draws")
"""Lets the two stand for many: what a planted checkpoint does hardly varies."""
ONE_TASK = ("--tasks=ChooseAttr", SAMPLES, "--no-self-test")
RUNS = {
    "base": (SAMPLES, "--no-twins"),
    "no-stage-1": ONE_TASK,
    "no-stage-2": ONE_TASK,
    "order-reversed": ONE_TASK,
    "swapped": ("--tasks=QueryAttr", SAMPLES, "--no-self-test"),
    "direct": ONE_TASK,
    "sink-trap": ONE_TASK,
    "backup-head": ONE_TASK,
    "no-lower": ONE_TASK,
    "lens-mode": ("--tasks=CompareAttr", SAMPLES, "--no-self-test"),
    "tiled": ("--tasks=ChooseAttr", SAMPLES),
    "grouped-query": ("--tasks=ChooseRel", SAMPLES),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_verdicts_on_a_planted_checkpoint(name, run_pytest, golden):
    golden(f"run-{name}", recorded(run_pytest, name).lines())


ON_THE_STORE = ("--model=planted/base", "--tasks=ChooseAttr")
STORED = (
    ("sweep", *ON_THE_STORE, "--edges=question->last,image->question"),
    ("sweep", *ON_THE_STORE, "--edges=image->question", "--method=counterfactual"),
    ("lens", *ON_THE_STORE),
)


@pytest.mark.slow
def test_a_store_of_an_earlier_version_is_read(
    stored, run_mmflow, read_table, run_pytest, golden, tmp_path
):
    cache = stored(*((*command, "--limit=3") for command in STORED))
    lines = []
    for i, command in enumerate(STORED):
        output = tmp_path / f"{i}.csv"
        read = (*command, "--limit=3", "--from-cache", f"--output={output}")
        said = run_mmflow(*read, cache=cache)
        assert said["exit"] == 0, said
        lines += read_table(output)
    mechanisms = "--mechanisms=q-last-drop,q-last-mid,imgq-drop,imgq-drop1,lens-lower-*"
    ended = run_pytest(
        *("suites/", *ON_THE_STORE, "--limit=3", "--from-cache", "--no-twins", mechanisms, *MANY),
        f"--mmflow-cache={cache}",
    )
    golden("store", lines + ended.lines())


TABLES = {
    "masked": ("sweep", "--edges=question->last,image->question,related_patches->question"),
    "unnormalised": ("sweep", "--method=unnormalised", "--edges=question->last,image->question"),
    "counterfactual": ("sweep", "--method=counterfactual", "--edges=question->last"),
    "window-1": ("sweep", "--window=1", "--edges=image->question,newline->last"),
    "lens": ("lens",),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["base", "no-stage-2", "sink-trap"])
def test_tables_of_a_planted_checkpoint(name, run_mmflow, read_table, golden, folder):
    lines = []
    for table, (command, *options) in TABLES.items():
        output = folder / f"{name}-{table}.csv"
        asked = (f"--model=planted/{name}", *ONE_TASK, f"--output={output}")
        said = run_mmflow(command, *asked, *options)
        lines += [{"table": table} | said, *read_table(output)]
    golden(f"tables-{name}", lines)


def test_positions_of_every_role(run_mmflow, golden):
    lines = []
    for model in ("base", "tiled"):
        said = run_mmflow("positions", f"--model=planted/{model}", "--limit=1-2", "--tasks=Choose*")
        assert said["exit"] == 0, said
        lines += map(json.loads, said["out"].splitlines())
    golden("positions", lines)


def recorded(run_pytest, name):
    return run_pytest("suites/", f"--model=planted/{name}", *RUNS[name], *MANY)


@pytest.mark.slow
def test_two_runs_compared(run_pytest, run_mmflow, golden, comparison_lines):
    base, other, third = (recorded(run_pytest, name) for name in ("base", "no-stage-2", "tiled"))
    lines = []
    for pair, options in (
        ((base, base), ()),
        ((base, other), ("--fail-on=inconclusive",)),
        ((base, other), ("--tolerance=0.9", "--fail-on=none")),
        ((base, third), ()),
    ):
        runs = [str(run.folder) for run in pair]
        said = run_mmflow("compare", *runs, *options)
        lines.append({"options": options, "exit": said["exit"], "last": last_line(said)})
    as_json = run_mmflow("compare", str(base.folder), str(other.folder), "--json")
    golden("compare", lines + comparison_lines(as_json["out"]))


def last_line(said):
    return (said["out"] + said["err"]).splitlines()[-1]


FEW = (
    *MANY,
    "--no-self-test",
    SAMPLES,
    "--tasks=ChooseAttr",
    "--mechanisms=q-last-*,imgq-drop*,rel-*",
)
GATED = {
    "blessed": ("--model=planted/base", "--baseline=blessed/golden", "--gate=regression"),
    "blessed-changed": ("--model=planted/no-stage-2", "--baseline=blessed/golden"),
    "strict": ("--model=planted/no-stage-2", "--baseline=blessed/golden", "--gate=strict"),
    "ungated": ("--model=planted/no-stage-2", "--baseline=blessed/golden", "--gate=none"),
    "checkpoint": ("--model=planted/no-stage-2", "--baseline=planted/base", "--tolerance=30%"),
    "paper": ("--model=planted/no-stage-2", "--baseline=paper/llava-1.5-7b"),
    "reference": ("--model=planted/no-stage-2", "--baseline=planted/base", "--follow=reference"),
}


def beginning(path):
    """The columns of a table, the first entries of a file of baselines, the keys of another."""
    if path.suffix == ".parquet":
        return pq.read_schema(path).names
    content = json.loads(path.read_text())
    return dict(list(content["baselines"].items())[:2]) if "baselines" in content else list(content)


@pytest.mark.slow
def test_a_run_is_blessed_and_others_are_gated_by_it(folder, run_pytest, run_mmflow, golden):
    base = str(recorded(run_pytest, "base").folder)
    blessing = ("bless", base, f"--baselines={folder / 'blessed'}", "--name=golden")
    refused, blessed = run_mmflow(*blessing), run_mmflow(*blessing, "--allow-limited")
    blessed["out"] = blessed["out"].partition(" (")[0]  # its size varies
    lines = [{"refused": refused, "blessed": blessed}]
    for path in sorted((folder / "blessed").rglob("*.*")):
        lines.append({"file": path.name, "begins": beginning(path)})
    for name, options in GATED.items():
        placed = [option.replace("=blessed/", f"={folder}/blessed/") for option in options]
        ended = run_pytest("suites/", *FEW, *placed, f"--mmflow-cache={folder}/gates")
        lines += [{"run": name}, *ended.lines(without_rows=name != "blessed-changed")]
    golden("gates", lines)


@pytest.mark.slow
@pytest.mark.parametrize("follow", ["answer", "reference"])
def test_a_question_file_that_the_checkpoint_answers_half_right(follow, run_pytest, golden):
    scenes = "tests/golden/scenes"
    ended = run_pytest(
        *("suites/", "--model=planted/mini", "--tasks=ChooseAttr,QueryAttr", f"--follow={follow}"),
        *(f"--questions={scenes}/questions.jsonl", f"--images={scenes}"),
        *("--mechanisms=acc-95,q-last-*,imgq-drop*,lens-lower-*,noise-floor", *MANY),
    )
    golden(f"half-right-{follow}", ended.lines())


OWN = """
import pytest

@pytest.mark.parametrize("task", ["ChooseAttr", "QueryAttr"])
def test_the_question_tells_more(flow, task):
    question, image = flow("question -> last", task), flow("image -> last", task)
    assert (question.peak - image.peak) <= -0.1
    assert question.peak_depth.within(0.35, 0.75)

def test_it_is_late(flow):
    assert flow("question -> last", "ChooseAttr").peak_depth >= 0.9

@pytest.mark.mechanism("own-id")
def test_accuracy_of_few(flow):
    'Nine questions in ten are answered.'
    assert flow.accuracy("ChooseAttr") >= 0.9
"""


@pytest.mark.slow
def test_mechanisms_of_ones_own(folder, run_pytest, golden):
    own = folder / "own"
    own.mkdir(exist_ok=True)
    (own / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    (own / "test_own.py").write_text(OWN)
    golden("own", run_pytest("--model=planted/mini", SAMPLES, *MANY, cwd=own).lines())


BAD_FOR_PYTEST = [
    *("--model=planted/bsae", "--model=./nowhere", "--model=notes", "--model-args=revision"),
    *("--limit=abc", "--limit=5-2", "--window=4", "--batch-size=0", "--alpha=2", "--tolerance=a"),
    *("--tasks=Nothing", "--mechanisms=q-lsat", "--from-cache --refresh", "--from-cache"),
    *("--questions=nowhere.csv", "--questions=latin.csv", "--questions=broken.jsonl"),
    *("--images=nowhere", "--images=notes.txt", "--report=pdf"),
    *("--baseline=nowhere", "--baseline=damaged", "--baseline=paper/nothing"),
    *("-c gate.ini", "-c limit.ini", "-c window.ini", "test_edge.py", "test_role.py"),
]
BAD_FOR_MMFLOW = [
    *(
        f"sweep --model=planted/mini {option}"
        for option in (
            *(
                "--limit=abc",
                "--tasks=Nothing",
                "--edges=nobody->last",
                "--edges=last",
                "--window=4",
            ),
            *("--output=table.txt", "--batch-size=0", "--model-args=revision"),
            *("--questions=empty.csv", "--questions=latin.csv", "--questions=broken.jsonl"),
            *("--questions=notes.txt", "--questions=unknown.jsonl --images=notes"),
            *("--images=notes.txt", "--images=nowhere", "--from-cache"),
        )
    ),
    *("sweep --model=planted/bsae", "lens --model=notes", "positions --model=notes/todo.txt"),
    *("measure --model=planted/mini --mechanisms=q-lsat --limit=1", "compare nowhere nowhere"),
    *("compare damaged damaged", "bless nowhere", "bless damaged", "report nowhere"),
    *("leaderboard nowhere --output=site", "ls nothing"),
]
FLOW = b"""
import pytest

@pytest.mark.parametrize("task", ["ChooseAttr"])
def test_flow(flow, task):
    assert flow("%s", task).peak <= 0
"""
FILES = {
    "empty.csv": b"",
    "latin.csv": "question_id,café\n".encode("latin-1"),
    "broken.jsonl": b'{"question_id": "1", "image_id"\n',
    "unknown.jsonl": b'{"question_id": "1"}\n',
    "notes.txt": b"notes",
    "notes/todo.txt": b"",
    "damaged/results.json": b"{",
    "damaged/suites.json": b"{",
    "pytest.ini": b"[pytest]\naddopts = --import-mode=importlib\n",
    "gate.ini": b"[pytest]\nmmflow_gate = maybe\n",
    "limit.ini": b"[pytest]\nmmflow_limit = abc\n",
    "window.ini": b"[pytest]\nmmflow_window = 4\n",
    "test_flow.py": FLOW % b"question -> last",
    "test_edge.py": FLOW % b"last",
    "test_role.py": FLOW % b"nobody -> last",
}


@pytest.fixture(scope="session")
def bad(folder):
    """A folder of files that are not what they are given for."""
    for name, content in FILES.items():
        path = folder / "bad" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / "bad"


@pytest.mark.slow
def test_bad_input_to_pytest_is_told_as_it_was(bad, run_pytest, golden):
    lines = []
    for command in BAD_FOR_PYTEST:
        test = () if "test_" in command else ("test_flow.py",)
        model = () if "--model=" in command else ("--model=planted/mini", "--no-self-test")
        ended = run_pytest(*test, *model, *command.split(), cwd=bad)
        lines.append({"command": command, "exit": ended.code, "said": ended.said()})
    golden("bad-pytest", lines)


def test_bad_input_to_mmflow_is_told_as_it_was(bad, run_mmflow, golden, monkeypatch, tmp_path):
    monkeypatch.chdir(bad)
    said = [
        {"command": command} | run_mmflow(*command.split(), cache=tmp_path / "cache")
        for command in BAD_FOR_MMFLOW
    ]
    golden("bad-mmflow", said)
