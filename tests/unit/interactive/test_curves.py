"""Curves that can be looked at are the very curves of the suites."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from mmflow_bench.errors import KnockoutError, MechanismError
from mmflow_bench.interactive.run import Run
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.mechanisms.curves import Curve


def printed(shown: object, width: int = 80) -> str:
    buffer = io.StringIO()
    Console(file=buffer, width=width).print(shown)
    return buffer.getvalue()


def test_the_curve_is_that_of_the_suites(run: Run) -> None:
    curve = run.flow("image -> question", "ChooseAttr")
    table = run.measurements.table("ChooseAttr", Sweep.of("image -> question"))
    assert isinstance(curve, Curve)
    np.testing.assert_array_equal(curve.values, table.relative_change)
    assert bool(curve.peak <= -0.1)


def test_a_frame_has_a_row_for_each_layer(run: Run) -> None:
    curve = run.flow("image -> question", "ChooseAttr")
    frame = curve.to_frame()
    assert list(frame.columns) == ["layer", "mean", "low", "high"]
    assert list(frame["layer"]) == list(range(curve.layers))
    np.testing.assert_allclose(frame["mean"], curve.values.mean(axis=0), atol=1e-6)
    assert (frame["low"] <= frame["mean"]).all()
    assert (frame["mean"] <= frame["high"]).all()
    each = curve.to_frame(samples=True)
    assert len(each) == curve.values.size
    assert set(each["image_id"]) == set(curve.image_ids)


def test_a_curve_is_drawn_on_axes(run: Run) -> None:
    pytest.importorskip("matplotlib")
    curve = run.flow("image -> question", "ChooseAttr")
    axes = curve.plot(label="mine")
    np.testing.assert_allclose(axes.lines[0].get_ydata(), curve.values.mean(axis=0), atol=1e-6)
    assert axes.get_legend().get_texts()[0].get_text() == "mine"
    assert curve.plot(axes) is axes
    with pytest.raises(MechanismError, match="Axes of matplotlib's to draw on, got int"):
        curve.plot(3)


@pytest.mark.parametrize(
    ("package", "method", "extra"),
    [("pandas", "to_frame", "frames"), ("matplotlib", "plot", "figures")],
)
def test_a_library_that_is_missing_is_named_with_its_extra(
    run: Run, monkeypatch: pytest.MonkeyPatch, package: str, method: str, extra: str
) -> None:
    import importlib

    curve, known = run.flow("image -> question", "ChooseAttr"), importlib.import_module

    def without(name: str, *rest: object) -> object:
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}")
        return known(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ImportError, match=rf'pip install "mmflow-bench\[{extra}\]"'):
        getattr(curve, method)()


def test_a_curve_shows_itself_on_terminals_and_pages(run: Run) -> None:
    curve = run.flow("image -> question", "ChooseAttr")
    assert "image->question on ChooseAttr" in printed(curve)
    assert "▁" in printed(curve)
    assert "peak -60%" in printed(curve)
    assert repr(curve).startswith("<image->question on ChooseAttr: peak -60% [")
    page = curve._repr_html_()
    assert page.count("<svg") == 1
    assert "<script" not in page
    assert "http" not in page


def test_the_lens_begins_at_the_embedding(run: Run) -> None:
    lens = run.flow.lens("answer", "ChooseAttr")
    frame = lens.to_frame()
    assert list(frame["layer"]) == [-1, *range(lens.layers)]
    assert "svg" in lens._repr_html_()
    assert lens.twin is not None


def test_wrong_names_are_said(run: Run) -> None:
    with pytest.raises(MechanismError, match="ChoseAttr"):
        run.flow("image -> question", "ChoseAttr")
    with pytest.raises(KnockoutError, match="imgae"):
        run.flow("imgae -> question", "ChooseAttr")


def test_a_curve_of_one_image_has_no_band() -> None:
    from mmflow_bench.interactive.curves import FlowCurve

    curve = FlowCurve(
        name="one", values=np.array([[0.0, -0.5]]), image_ids=("a",), width=1, alpha=0.05
    )
    assert curve.to_frame()["low"].isna().all()
    assert "at depth" in printed(curve)
    assert "nan" not in printed(curve)
    assert "svg" in curve._repr_html_()


def test_a_model_that_answers_nothing_has_no_curve_and_is_told_why() -> None:
    from tiny_llava import tiny_llava

    import mmflow_bench as mm
    from mmflow_bench.mechanisms.verdicts import NotApplicable

    model, processor = tiny_llava()
    asked = {"processor": processor, "tasks": ["ChooseAttr"], "limit": 1, "cache": "off"}
    weak = mm.open(model, **asked)
    with pytest.raises(NotApplicable, match="is correct, so there is none to follow"):
        weak.flow("image -> question", "ChooseAttr")
    assert weak.verdicts("q-last-drop")[0].verdict == "precondition-failed"
    kept = mm.open(model, **asked, keep_incorrect=True)
    assert len(kept.flow("image -> question", "ChooseAttr").values) > 0
