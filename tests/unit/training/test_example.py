"""The example that is watched while it trains, in a few steps."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from mmflow_bench.training import read_steps

SCRIPT = Path(__file__).parents[3] / "examples" / "while_it_trains" / "train.py"


@pytest.mark.slow
def test_the_example_sees_a_stage_fade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    spec = importlib.util.spec_from_file_location("while_it_trains", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    for name, value in (("STEPS", 6), ("EVERY", 6), ("IMAGES", 6), ("LEARNING_RATE", 1e-5)):
        monkeypatch.setattr(example, name, value)
    example.main(tmp_path)
    assert "step 6: changed: imgq-drop2 (ChooseAttr)" in capsys.readouterr().out
    steps = read_steps(tmp_path / "flow")
    first, last = (steps[step].flow("image -> question", "ChooseAttr").mean[0] for step in (0, 6))
    assert first < -0.5
    assert last > -0.1
    assert (tmp_path / "curves.png").stat().st_size > 10_000
