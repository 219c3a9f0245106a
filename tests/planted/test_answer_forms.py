"""Measured curves of last pieces and of generated words equal those that designs predict."""

from __future__ import annotations

import numpy as np
import pytest

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.errors import CheckpointError
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.last_piece import LastPiece
from mmflow_bench.measurements.long_answer import LongAnswer
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.planted.answer_form import last_piece_change, sentence_change
from mmflow_bench.planted.closed_form import relative_change

EDGES = (
    "question->last",
    "image->last",
    "last->last",
    "image->question",
    "related_patches->question",
    "other_patches->question",
)
TOLERANCE = 1e-4


def opened(name: str, limit: str = "1") -> Measurements:
    settings = MeasurementSettings(limit=limit, self_test=False)
    return Measurements.open(resolve_checkpoint(name), settings)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["planted/two-pieces", "planted/pieces-by-rote"])
def test_both_pieces_are_as_predicted(name: str) -> None:
    measurements, task = opened(name), "QueryAttr"
    sweeps = [Sweep.of(edge, width=9) for edge in EDGES]
    measurements.ensure(task, [*sweeps, *(LastPiece(sweep=sweep) for sweep in sweeps)])
    for edge, sweep in zip(EDGES, sweeps, strict=True):
        first = measurements.table(task, sweep)
        last = measurements.table(task, LastPiece(sweep=sweep))
        assert first.question_ids == last.question_ids != ()
        for table, closed_form in ((first, relative_change), (last, last_piece_change)):
            expected = closed_form(name, edge, width=9, task=task)
            for change in table.relative_change:
                np.testing.assert_allclose(change, expected, atol=TOLERANCE, err_msg=edge)


@pytest.mark.slow
@pytest.mark.parametrize("width", [1, 9])
@pytest.mark.parametrize("source", ["image", "question"])
def test_words_of_sentences_are_as_predicted(source: str, width: int) -> None:
    name = f"planted/sentence-from-{source}"
    table = opened(name, "2").table("Describe", LongAnswer(width=width))
    assert table.names_objects.tolist() == [True, True]
    expected = sentence_change(name, width=width)
    assert (expected.min() < -0.05) == (source == "image")
    for change in table.relative_change:
        np.testing.assert_allclose(change, expected, atol=TOLERANCE)


def test_forms_are_refused_of_other_checkpoints() -> None:
    with pytest.raises(CheckpointError, match="answers of two pieces, got 'planted/base'"):
        last_piece_change("planted/base", "image->last", width=9)
    with pytest.raises(CheckpointError, match="answers that are sentences, got 'planted/base'"):
        sentence_change("planted/base", width=9)
