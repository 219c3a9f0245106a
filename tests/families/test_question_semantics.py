"""What the question says without a module or an edge, as by definition, on every family."""

from __future__ import annotations

import pytest
from families import FAMILIES

from mmflow_bench.errors import SampleError
from mmflow_bench.inputs.encoding import encode
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.definition import definition_states
from mmflow_bench.interventions.knockout import Edge, Knockout, Module, Skip, layer_window
from mmflow_bench.measurements.donors import Donors
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.memory import Throttle
from mmflow_bench.measurements.question_semantics import QuestionSemantics
from mmflow_bench.measurements.sample_rows import SampleAtWork
from mmflow_bench.measurements.semantics_rows import semantics_rows
from mmflow_bench.measurements.wants import UNSCORED, Answer
from mmflow_bench.positions.resolve import resolve_roles

WANTS = [QuestionSemantics.of(each, width=3) for each in ("mlp", "attention", "image->question")]
ANSWER = Answer(
    prediction="red",
    is_correct=True,
    answer_token_id=1,
    base_probability=0.5,
    reference_token_id=None,
    reference_probability=None,
)


def at_work(checkpoint, sample):
    encoded = encode(sample, checkpoint)
    inputs = {"input_ids": encoded.input_ids[None], **encoded.model_inputs}
    (clean,) = clean_passes(checkpoint, [inputs])
    job = Job(sample=sample, key="key")
    return inputs, SampleAtWork(
        throttle=Throttle(checkpoint, 1),
        job=job,
        donors=Donors(checkpoint, [job]),
        encoded=encoded,
        clean=clean,
        answer=ANSWER,
    )


def by_definition(checkpoint, inputs, question, intervention):
    """The ten likeliest tokens of every position, one full pass for one intervention."""
    states = definition_states(checkpoint, inputs, intervention, positions=question)
    said = []
    for own in checkpoint.parts.unembedding(states).tolist():
        order = sorted(range(len(own)), key=lambda i, own=own: -own[i])
        # A position whose logits are large knows them less exactly.
        rounding = 64 * 2**-23 * max(map(abs, own))
        said.append({token for token in order[:10] if own[token] - own[order[10]] > rounding})
    return said


def jaccard(one, other):
    return len(one & other) / len(one | other) if one | other else 1.0


def intervention_of(want, layer, layers, roles):
    if isinstance(want.without, Edge):
        sources, targets = (roles.union(of) for of in (want.without.sources, want.without.targets))
        window = layer_window(layer, 3, layers)
        return Knockout(sources=sources, targets=targets, layers=window)
    window = range(layer, min(layer + 3, layers))
    return Skip(module=want.without, positions=roles["question"], layers=window)


@pytest.mark.parametrize("family", FAMILIES)
def test_as_by_definition(family_checkpoint, photo_sample, family):
    checkpoint = family_checkpoint(family)
    inputs, work = at_work(checkpoint, photo_sample())
    roles = resolve_roles(work.encoded, checkpoint)
    question, layers = roles["question"], checkpoint.decoder_layers
    nothing = Skip(module=Module.MLP, positions=(), layers=range(0))
    clean = by_definition(checkpoint, inputs, question, nothing)
    rows = semantics_rows(WANTS, work)
    moved = []
    for want in WANTS:
        assert [row["layer"] for row in rows[want.shard]] == list(range(layers))
        for row in rows[want.shard]:
            intervention = intervention_of(want, row["layer"], layers, roles)
            left = by_definition(checkpoint, inputs, question, intervention)
            whole = jaccard(set().union(*clean), set().union(*left))
            pairs = [jaccard(a, b) for a, b in zip(clean, left, strict=True) if a]
            assert row["similarity"] == pytest.approx(whole, abs=1e-5)
            assert row["position_similarity"] == pytest.approx(sum(pairs) / len(pairs), abs=1e-5)
            moved.append(row["position_similarity"])
    assert min(moved) < 0.9, "a comparison of interventions that do nothing proves nothing"


def test_a_role_that_a_sample_lacks_refuses_that_want_alone(family_checkpoint, photo_sample):
    _, work = at_work(family_checkpoint("qwen2_vl"), photo_sample())
    captions = QuestionSemantics.of("caption -> question", width=3)
    rows = semantics_rows([captions, *WANTS], work)
    assert {row["scope"] for row in rows[UNSCORED]} == {captions.shard.name}
    assert set(rows) == {UNSCORED, *(want.shard for want in WANTS)}


def test_a_question_that_says_nothing_is_refused(family_checkpoint, photo_sample, monkeypatch):
    def refuse(*_, **__):
        raise SampleError("nothing", reason="question-says-nothing")

    _, work = at_work(family_checkpoint("qwen2_vl"), photo_sample())
    monkeypatch.setattr("mmflow_bench.measurements.semantics_rows._tokens", refuse)
    rows = semantics_rows(WANTS, work)
    assert {row["reason"] for row in rows[UNSCORED]} == {"question-says-nothing"}
    assert {row["scope"] for row in rows[UNSCORED]} == {want.shard.name for want in WANTS}
