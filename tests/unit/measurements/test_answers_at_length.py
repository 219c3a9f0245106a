"""Last pieces and long answers as records: what is asked, how it is kept, what is read of it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import AnswerError, StoreError
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.interventions.knockout import Method
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.measurements import answer_pieces
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.last_piece import LastPiece
from mmflow_bench.measurements.long_answer import LongAnswer
from mmflow_bench.measurements.records import Followed
from mmflow_bench.measurements.wants import AnswerRow, Kept
from mmflow_bench.positions.spans import object_spans

LAYERS = 3
SWEEP = Sweep.of("image->last", width=1)
# Neither is looked at.
CHECKPOINT, CLEAN = (object.__new__(kind) for kind in (LoadedCheckpoint, CleanPass))


def kept(*is_correct: bool, follow: Followed = Followed.ANSWER) -> Kept:
    keys = tuple(f"k{i}" for i in range(len(is_correct)))
    return Kept(
        task="Describe",
        samples=tuple(
            Sample(question_id=key, image_id=key, task="Describe", question="?", answer="a")
            for key in keys
        ),
        answers=tuple(
            AnswerRow(
                sample=key,
                prediction="a",
                is_correct=right,
                answer_token_id=1,
                base_probability=0.5,
                reference_token_id=1,
                reference_probability=0.5,
                noise=0.0,
            )
            for key, right in zip(keys, is_correct, strict=True)
        ),
        keys=keys,
        layers=LAYERS,
        follow=follow,
    )


def test_a_last_piece_is_asked_as_its_sweep_is():
    want = LastPiece(sweep=Sweep.of("image->last"))
    assert want.at(5) == LastPiece(sweep=Sweep.of("image->last", width=5))
    assert want.at(5).shard.name.startswith("last-piece.sweep.image-to-last")
    assert want.at(5).shard.name != want.at(7).shard.name
    assert (want.name, want.note) == ("image->last", "last piece")
    assert want.by(Method.UNNORMALISED) is None
    other = LastPiece(sweep=Sweep.of("image->last", method="counterfactual"))
    assert other.key("sample", "donor") == "sample+donor"
    assert want.key("sample", "donor") == "sample"
    assert not want.is_compared


@pytest.mark.parametrize(
    ("follow", "expected"), [(Followed.ANSWER, ("k0", "k1")), (Followed.REFERENCE, ("k0",))]
)
def test_a_last_piece_has_its_own_clean_probability_and_is_of_no_other_answer(follow, expected):
    rows = [
        {"sample": key, "layer": layer, "base_probability": base, "knockout_probability": base / 2}
        for key, base in (("k0", 0.8), ("k1", 0.4))
        for layer in range(LAYERS)
    ]
    want = LastPiece(sweep=SWEEP)
    table = want.table(
        kept(True, False, follow=follow), pa.Table.from_pylist(rows, schema=want.shard.schema)
    )
    assert table.question_ids == expected
    assert table.base_probability.tolist() == [0.8, 0.4][: len(expected)]
    np.testing.assert_allclose(table.relative_change, -0.5)


def test_a_last_piece_of_no_sample_is_an_empty_table():
    want = LastPiece(sweep=SWEEP)
    table = want.table(kept(), want.shard.schema.empty_table())
    assert table.question_ids == ()
    assert table.relative_change.shape == (0, LAYERS)


def long_rows(key: str, changes: dict[int, float], objects: set[int] = frozenset()) -> list[dict]:
    return [
        {
            "sample": key, "token": token, "layer": layer, "names_object": token in objects,
            "base_probability": 0.5, "knockout_probability": 0.5 * (1 + change * (layer == 1)),
        }
        for token, change in changes.items()
        for layer in range(LAYERS)
    ]  # fmt: skip


def test_long_answers_are_read_at_the_words_for_objects_where_there_are_any():
    want = LongAnswer(width=1)
    rows = [
        *long_rows("k0", {1: -0.4, 2: 0.0, 3: -0.8}, {1, 3}),
        *long_rows("k1", {1: -0.2, 2: 0.0}),
    ]
    # Rows come in no order.
    table = want.table(
        kept(False, True), pa.Table.from_pylist(rows[::-1], schema=want.shard.schema)
    )
    np.testing.assert_allclose(table.relative_change, [[0, -0.6, 0], [0, -0.1, 0]])
    assert table.names_objects.tolist() == [True, False]
    assert want.asks_wrong_answers
    assert not want.needs_mastery


def test_long_answers_of_no_sample_are_an_empty_table_and_half_a_token_is_refused():
    want = LongAnswer(width=1)
    assert want.table(kept(), want.shard.schema.empty_table()).relative_change.shape == (0, LAYERS)
    rows = pa.Table.from_pylist(long_rows("k0", {1: -0.4})[:-1], schema=want.shard.schema)
    with pytest.raises(StoreError, match="3 layers of every token, got 2 rows"):
        want.table(kept(True), rows)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["Re", "d"], 2),
        (["Red"], 1),
        (["Red", "."], 1),
        (["\n", "Re", "d", ".", "\n"], 3),
        (["Re", "d", "\n", "Question"], 2),
        (["dark", " red", "."], 2),
        ([], 0),
    ],
)
def test_the_last_piece_is_the_one_with_which_the_answer_reads_as_in_the_end(
    monkeypatch, words, expected
):
    monkeypatch.setattr(answer_pieces, "decoded", lambda *_, **__: list(range(len(words))))
    monkeypatch.setattr(
        answer_pieces,
        "first_line",
        lambda _, tokens: "".join(words[i] for i in tokens).lstrip().partition("\n")[0].strip(),
    )
    pieces = answer_pieces.answer_pieces(CHECKPOINT, CLEAN, limit=9, of="a test")
    assert pieces == tuple(range(expected))


@pytest.mark.parametrize("pieces", [(), (4,)])
def test_an_answer_of_one_piece_is_refused_with_its_reason(pieces):
    with pytest.raises(AnswerError, match=f"at least 2 tokens, got {len(pieces)}") as error:
        answer_pieces.teacher_forced(
            CHECKPOINT, CLEAN, pieces, fewest=2, reason="single-token-answer", of="a test"
        )
    assert error.value.reason == "single-token-answer"


def test_objects_are_found_in_any_number_and_as_whole_words():
    text = "Two balls, a football and a ball"
    assert [text[slice(*span)] for span in object_spans(text, "ball")] == ["balls", "ball"]
    assert object_spans(text, "cup") == ()
    assert object_spans(text, "") == ()
