"""What `--baseline` may name."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mmflow_bench.baselines.golden import baseline_file, change_entries
from mmflow_bench.baselines.sources import find_source, paper_baselines
from mmflow_bench.baselines.verdict_level import compare_verdicts
from mmflow_bench.errors import BaselineError
from mmflow_bench.mechanisms.declared import mechanisms, shipped
from mmflow_bench.mechanisms.paper import (
    NEXT_LLAMA3_8B,
    NEXT_VICUNA_7B,
    PAPER_MODELS,
    TWO_DROP_TASKS,
    VICUNA_7B,
    VICUNA_13B,
)


def found(text, tmp_path, *, offline=True):
    return find_source(text, roots=(tmp_path / "baselines",), start=tmp_path, offline=offline)


def run_folder(folder):
    folder.mkdir(parents=True)
    (folder / "results.json").write_text("{}")
    return folder


def test_a_run_folder(tmp_path):
    folder = run_folder(tmp_path / "runs" / "a")
    source = found("runs/a", tmp_path)
    assert (source.kind, source.folder, source.is_blessed) == ("run", folder, False)


@pytest.mark.parametrize("text", ["mine", "baselines/mine"])
def test_a_blessed_baseline_by_name_and_by_path(tmp_path, text):
    folder = run_folder(tmp_path / "baselines" / "mine" / "values")
    source = found(text, tmp_path)
    assert (source.kind, source.folder, source.is_blessed) == ("run", folder, True)


def test_golden_verdicts_alone(tmp_path):
    entry = {"verdict": "holds", "mechanism": "q-last-drop", "task": "ChooseAttr"}
    path = baseline_file(tmp_path / "baselines", "mine", "test_a")
    change_entries(path, lambda known: known | {"test_x[ChooseAttr]": entry})
    source = found("mine", tmp_path)
    assert source.kind == "verdicts"
    assert source.verdicts == {("q-last-drop", "ChooseAttr"): "holds"}


def test_a_folder_of_weights_is_a_checkpoint_and_so_is_a_name_that_nobody_knows(tmp_path):
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tuned" / "config.json").write_text("{}")
    assert found("tuned", tmp_path).kind == "checkpoint"
    assert found("planted/base", tmp_path).kind == "checkpoint"


def test_a_folder_of_anything_else_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BaselineError, match="a run folder, or a baseline made by `mmflow bless`"):
        found("empty", tmp_path)


def test_the_hub_is_never_asked_offline(tmp_path):
    with pytest.raises(BaselineError, match="--offline"):
        found("hub:someone/baselines", tmp_path)


def test_a_data_set_on_the_hub_is_a_folder_like_any_other(tmp_path, monkeypatch):
    folder = run_folder(tmp_path / "snapshot" / "values").parent
    asked = {}

    def snapshot(repository, **options):
        asked.update(options, repository=repository)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    source = found("hub:someone/baselines@v1", tmp_path, offline=False)
    assert source.folder == folder / "values"
    assert (asked["repository"], asked["repo_type"], asked["revision"]) == (
        *("someone/baselines", "dataset", "v1"),
    )


def test_a_hub_that_fails_is_said_in_one_line(tmp_path, monkeypatch):
    def snapshot(*_, **__):
        raise OSError("no route to the hub\nand a long story")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    with pytest.raises(BaselineError, match=r"no route to the hub \(hub:someone/x\)"):
        found("hub:someone/x", tmp_path, offline=False)


def test_the_paper_is_a_baseline_for_each_of_its_checkpoints(tmp_path):
    assert {source.name for source in paper_baselines()} == {f"paper/{m}" for m in PAPER_MODELS}
    for model in PAPER_MODELS:
        source = found(f"paper/{model}", tmp_path)
        assert source.kind == "verdicts"
        assert source.origin.startswith("read from the prose of arXiv:2411.18620")
    with pytest.raises(BaselineError, match=r"paper/llava-1\.5-13b"):
        found("paper/nobody", tmp_path)


def claims(model):
    return find_source(f"paper/{model}", roots=(), start=Path(), offline=True).verdicts


def test_what_the_paper_says_is_about_declared_mechanisms_on_their_tasks():
    known = {mechanism.id: mechanism for mechanism in mechanisms(shipped())}
    for model in PAPER_MODELS:
        for (name, task), verdict in claims(model).items():
            assert task in known[name].tasks
            assert not known[name].only_for or model in known[name].only_for
            assert model not in known[name].not_for
            assert verdict in {"holds", "fails"}


def test_the_paper_says_so_much_of_each_of_its_checkpoints():
    counts = {model: Counter(claims(model).values()) for model in PAPER_MODELS}
    assert counts == {
        VICUNA_13B: {"holds": 232},
        VICUNA_7B: {"holds": 147},
        NEXT_VICUNA_7B: {"holds": 139},
        NEXT_LLAMA3_8B: {"holds": 89, "fails": 24},
    }


def test_the_paper_sees_no_lower_case_in_the_llama_3_checkpoint():
    failing = Counter(name for (name, _), said in claims(NEXT_LLAMA3_8B).items() if said == "fails")
    lens = ("lens-lower-rise", "lens-lower-mid", "lens-after-integration", "lens-order")
    assert failing == dict.fromkeys(lens, 6)


@pytest.mark.parametrize(
    ("name", "silent"),
    [
        ("imgq-drop2-lt-drop1", {VICUNA_7B, NEXT_LLAMA3_8B}),
        ("imgq-layers-consistent", {NEXT_LLAMA3_8B}),
        ("imgq-drop2", {NEXT_LLAMA3_8B}),
        ("imgq-two-drops", {NEXT_LLAMA3_8B}),
        ("patches-account", {NEXT_LLAMA3_8B}),
        ("patches-layers-consistent", set()),
        ("lens-lower-fall", {NEXT_LLAMA3_8B}),
        ("lens-false", {*PAPER_MODELS}),
        ("uni-stages", {*PAPER_MODELS}),
        ("causal-noop", {*PAPER_MODELS}),
        ("acc-95", set()),
        ("imgq-drop1-60", {*PAPER_MODELS} - {VICUNA_13B}),
    ],
)
def test_where_the_paper_says_nothing_nothing_is_claimed(name, silent):
    about = {model for model in PAPER_MODELS if any(known == name for known, _ in claims(model))}
    assert about == {*PAPER_MODELS} - silent


def test_the_small_second_drop_is_claimed_of_no_checkpoint():
    tasks = {task for model in PAPER_MODELS for name, task in claims(model) if name == "imgq-drop2"}
    assert tasks == set(TWO_DROP_TASKS)


def test_verdicts_alone_are_compared_as_verdicts(made):
    verdicts = {
        ("a", "ChooseAttr"): "holds",
        ("b", "ChooseAttr"): "fails",
        ("c", "ChooseAttr"): "inconclusive",
        ("d", "ChooseAttr"): "precondition-failed",
        ("e", "ChooseAttr"): "not-applicable",
        ("g", "ChooseAttr"): "report",
    }
    expected = {(name, "ChooseAttr"): "holds" for name in "abcdefg"}
    found = compare_verdicts(
        "paper/x", expected, made(verdicts=verdicts), alpha=0.05, source="prose"
    )
    assert {row.id: row.verdict for row in found.rows} == {
        "a": "unchanged",
        "b": "changed",
        "c": "undecided",
        "d": "not-comparable",
    }
    assert found.kind == "verdicts"
    assert found.source == "prose"


def test_a_verdict_for_all_tasks_is_asked_of_each(made):
    verdicts = {("a", "ChooseAttr"): "holds", ("a", "QueryAttr"): "fails"}
    found = compare_verdicts(
        "x", {("a", "all"): "holds"}, made(verdicts=verdicts), alpha=0.05, source=""
    )
    assert found.changed == {"a": ["QueryAttr"]}
