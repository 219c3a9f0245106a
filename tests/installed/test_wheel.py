"""What a user gets who installs the wheel and never sees the checkout."""

import subprocess
import sys
from collections.abc import Callable, Mapping
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


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(environment: Mapping[str, str], tmp_path: Path) -> Run:
    """Runs Python in an empty folder."""

    def completed(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )

    return completed


def test_a_mechanism_of_ones_own_runs_outside_the_checkout(run: Run, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(OWN_MECHANISM)
    options = ("--model=planted/mini", "--limit=30")
    done = run("-m", "pytest", "test_mine.py", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_question_sets_come_along_with_their_licence(run: Run, installed: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from mmflow_bench.inputs.question_sets import question_path\n"
        "from mmflow_bench.inputs.questions import read_questions\n"
        "path = question_path('gqa', Path())\n"
        "print(path, path.with_name('LICENSE').is_file(), len(read_questions(path).samples))"
    )
    done = run("-c", code)
    where = installed / "mmflow_bench" / "question_sets" / "gqa.parquet"
    assert done.stdout.split() == [str(where), "True", "5515"], done.stderr


def test_the_packaged_suites_run_with_their_baselines(run: Run, installed: Path) -> None:
    done = run(
        *("-m", "mmflow_bench.cli", "run", "--mechanisms=q-last-drop", "--tasks=ChooseAttr"),
        "--limit=16",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "q-last-drop" in done.stdout
    assert str(installed / "mmflow_bench" / "suites")
