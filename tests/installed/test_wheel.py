"""What a user gets who installs the wheel and never sees the checkout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

OWN_MECHANISM = """
from mmflow_bench import SIX_TASKS
import pytest

@pytest.mark.parametrize("task", SIX_TASKS[:1])
def test_the_question_tells_the_last_position_more_than_the_image_does(flow, task):
    question, image = flow("question -> last", task), flow("image -> last", task)
    assert (question.peak - image.peak) <= -0.1
"""


def run(installed: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": str(installed),
        "MMFLOW_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "120",
    }
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_a_mechanism_of_ones_own_runs_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(OWN_MECHANISM)
    options = ("--model=planted/mini", "--limit=30")
    done = run(installed, tmp_path, "-m", "pytest", "test_mine.py", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_question_sets_come_along_with_their_licence(installed: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from mmflow_bench.inputs.question_sets import question_path\n"
        "from mmflow_bench.inputs.questions import read_questions\n"
        "path = question_path('gqa', Path())\n"
        "print(path, path.with_name('LICENSE').is_file(), len(read_questions(path).samples))"
    )
    done = run(installed, tmp_path, "-c", code)
    where = installed / "mmflow_bench" / "question_sets" / "gqa.parquet"
    assert done.stdout.split() == [str(where), "True", "5515"], done.stderr


def test_the_packaged_suites_run_with_their_baselines(installed: Path, tmp_path: Path) -> None:
    done = run(
        installed,
        tmp_path,
        *("-m", "mmflow_bench.cli", "run", "--mechanisms=q-last-drop", "--tasks=ChooseAttr"),
        "--limit=16",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "q-last-drop" in done.stdout
    assert str(installed / "mmflow_bench" / "suites")
