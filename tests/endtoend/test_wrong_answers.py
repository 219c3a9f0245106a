"""Samples that are answered wrongly: measured where they are asked for, and kept apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.cli.main import main
from mmflow_bench.cli.options import Asked
from mmflow_bench.inputs.questions import QuestionFile
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.measurements.wrong_answers import WrongAnswers
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.instruments import of_wrong_answers
from mmflow_bench.mechanisms.verdicts import NotApplicable
from mmflow_bench.planted import closed_form
from mmflow_bench.scenes.questions import scene_samples

pytestmark = pytest.mark.slow
TASK, EDGE = "ChooseAttr", "image -> question"
WRONG = 2
WRONGLY = WrongAnswers(sweep=Sweep.of(EDGE))


def measurements(folder: Path, wrong: int = WRONG) -> Measurements:
    """Eight questions, the first `wrong` of which have another answer for a reference."""
    samples = scene_samples(per_task=8, tasks=[TASK])
    changed = [replace(one, answer="purple") for one in samples[:wrong]]
    file = QuestionFile(samples=(*changed, *samples[wrong:]), unscored=(), fingerprint="")
    settings = MeasurementSettings(self_test=False, cache=folder)
    return Measurements(resolve_checkpoint("planted/mini"), SampleSet(file), settings)


def test_wrong_answers_are_followed_by_themselves(tmp_path: Path) -> None:
    opened = measurements(tmp_path)
    wrong = opened.table(TASK, WRONGLY)
    right = opened.table(TASK, Sweep.of(EDGE))
    assert (len(wrong.question_ids), len(right.question_ids)) == (WRONG, 8 - WRONG)
    assert not set(wrong.question_ids) & set(right.question_ids)
    expected = closed_form.relative_change("planted/mini", "image->question", width=3, task=TASK)
    for table in (wrong, right):
        np.testing.assert_allclose(
            table.relative_change, np.tile(expected, (len(table.question_ids), 1)), atol=1e-4
        )


def test_the_right_ones_are_not_measured_again_for_the_wrong_ones(tmp_path: Path) -> None:
    opened = measurements(tmp_path)
    opened.table(TASK, Sweep.of(EDGE))
    jobs = opened.stored.jobs(TASK, [WRONGLY.at(opened.width)])
    assert len(jobs) == WRONG
    # Asked together, the one that asks of more samples decides, in either order.
    for wants in ([Sweep.of(EDGE), WRONGLY], [WRONGLY, Sweep.of(EDGE)]):
        both = [want.at(opened.width) for want in wants]
        assert len(opened.stored.jobs(TASK, both)) == WRONG


def test_the_difference_of_both_is_an_observation(tmp_path: Path) -> None:
    flow = Flow(measurements(tmp_path))
    difference = flow(EDGE, TASK).peak - of_wrong_answers(flow, EDGE, TASK).peak
    assert difference.value == pytest.approx(0.0, abs=1e-6)


def test_without_a_wrong_answer_there_is_none_to_look_at(tmp_path: Path) -> None:
    flow = Flow(measurements(tmp_path, wrong=0))
    with pytest.raises(NotApplicable, match="a wrong answer"):
        of_wrong_answers(flow, EDGE, TASK)


@pytest.mark.parametrize("command", ["sweep", "lens"])
def test_a_table_without_rows_says_what_was_answered_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(Asked, "open", lambda _: measurements(tmp_path / "store", wrong=8))
    output = tmp_path / "table.csv"
    told = CliRunner().invoke(main, [command, f"--output={output}"])
    assert told.exit_code == 0
    said = told.stderr.splitlines()
    assert f"{TASK}: 0 of 8 answered correctly" in said
    (line,) = [one for one in said if one.startswith(f"{TASK}: 8 answered wrongly: ")]
    assert line.count(" purple, said ") == 3
    assert line.endswith("; ...")
    assert said[-1].startswith("0 rows: all 8 answers are wrong")
    assert "--keep-incorrect" in said[-1]


def test_tables_with_rows_say_nothing_of_the_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Asked, "open", lambda _: measurements(tmp_path / "store", wrong=0))
    told = CliRunner().invoke(main, ["lens", f"--output={tmp_path / 'table.csv'}"])
    assert "wrong" not in told.stderr
    assert not any(line.startswith("0 rows") for line in told.stderr.splitlines())
