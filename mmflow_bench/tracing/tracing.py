"""One sample through the engine: its answer, edges, lens and patches from one clean pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from mmflow_bench.checkpoints.loading import LoadedCheckpoint, load_checkpoint
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.errors import SampleError, SelectionError
from mmflow_bench.inputs.encoding import EncodedSample, encode
from mmflow_bench.inputs.images import open_image
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.knockout import Edge, Knockout, around_every_layer, window_width
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.interventions.selfcheck import prove_exact
from mmflow_bench.measurements.answer import (
    case_variants,
    chances_of,
    decoded,
    first_line,
    normalised_answer,
    probabilities,
    require_finite,
)
from mmflow_bench.measurements.logit_lens import lens_distributions
from mmflow_bench.measurements.memory import Throttle
from mmflow_bench.measurements.taking import model_inputs, taking_inputs
from mmflow_bench.positions.resolve import resolve_roles
from mmflow_bench.positions.role_positions import RolePositions
from mmflow_bench.positions.roles import Role
from mmflow_bench.tracing.blocks import Area, areas, together
from mmflow_bench.tracing.record import Block, EdgeCurve, LensCurve, Trace

EDGES = ("image->question", "image->last", "question->last", "last->last")
"""What is cut of every sample that has it."""
OF_CAPTION = ("caption->question", "caption->last")
OF_OPTIONS = ("true_option->last", "false_option->last")
OF_OBJECTS = ("image->objects", "objects->last")
_LONGEST = 48
"""Tokens of an answer that are decoded at most."""


class _Answered(NamedTuple):
    """A sample that has been answered."""

    encoded: EncodedSample
    clean: CleanPass
    answer: str
    token_id: int
    """The first token of the answer."""
    probability: float


def load_and_trace(
    spec: CheckpointSpec, sample: Sample, *, window: int | None, side: int, reach: int
) -> Trace:
    """What `traced` reads, off a checkpoint that is loaded for it and proved to be understood.

    Raises:
        CheckpointError: It cannot be loaded or instrumented.
        SampleError: As `traced`.
    """
    if sample.image is not None:
        # A wrong path is said before the checkpoint is loaded.
        open_image(sample)
    checkpoint = load_checkpoint(spec)
    prove_exact(checkpoint)
    return traced(checkpoint, sample, window=window, side=side, reach=reach)


def traced(
    checkpoint: LoadedCheckpoint,
    sample: Sample,
    *,
    window: int | None = None,
    side: int,
    reach: int,
) -> Trace:
    """Everything that is read off one sample.

    Args:
        checkpoint: Loaded.
        sample: The question; its options and objects have edges of their own.
        window: Layers that are cut together, odd; scaled with the depth when None.
        side: Blocks of the photo from left to right, and from top to bottom.
        reach: Blocks to every side that are cut off together with one.

    Raises:
        SampleError: The sample cannot be encoded or answered, or what the user says of it does not
            stand in the question.
        KnockoutError: The decoder does more than the engine accounts for.
        SelectionError: The window is deeper than the decoder.
        ValueError: The window is even.
    """
    layers, width = checkpoint.decoder_layers, _width(checkpoint, window)
    work = _answered(checkpoint, sample)
    roles = resolve_roles(work.encoded, checkpoint)
    _refuse_absent(sample, roles)
    edges, unmeasured = _edges(sample, roles)
    cut_off, why_not = _areas(work.encoded, roles, side)
    sweeps = [knockout for edge in edges for knockout in _sweep(edge, roles, layers, width)]
    apart = [_apart(together(area, cut_off, reach), roles, layers) for area in cut_off]
    changes = _changes(checkpoint, work, [*sweeps, *apart])
    of_edges = zip(*[iter(changes[: len(sweeps)])] * layers, strict=True)
    return Trace(
        checkpoint=checkpoint.spec.name,
        question=sample.question,
        prompt=work.encoded.prompt,
        answer=work.answer,
        token=str(checkpoint.tokenizer.decode([work.token_id])),
        probability=work.probability,
        layers=layers,
        window=width,
        edges=tuple(
            EdgeCurve(edge=str(edge), relative_change=curve)
            for edge, curve in zip(edges, of_edges, strict=True)
        ),
        unmeasured=unmeasured,
        lens=tuple(_lens(checkpoint, work)),
        blocks=tuple(map(_block, cut_off, changes[len(sweeps) :])),
        reach=reach,
        without_blocks=why_not,
        photo=open_image(sample) if Role.IMAGE in roles.positions else None,
    )


def _width(checkpoint: LoadedCheckpoint, window: int | None) -> int:
    layers = checkpoint.decoder_layers
    if window is not None and window > layers:
        raise SelectionError(
            f"a window of at most {layers} layers, which {checkpoint.spec.name} has, got {window}; "
            "leave it out for one that scales with the depth"
        )
    return window_width(layers) if window is None else window


def _answered(checkpoint: LoadedCheckpoint, sample: Sample) -> _Answered:
    """The sample's clean pass, with the answer that is decoded from it."""
    encoded = encode(sample, checkpoint)
    with taking_inputs(checkpoint, encoded):
        clean = clean_passes(checkpoint, [model_inputs(encoded)])[0]
        tokens = decoded(checkpoint, clean, limit=_LONGEST, of="the answer")
    answer, token_id = first_line(checkpoint, tokens), int(clean.logits.argmax())
    return _Answered(
        encoded=replace(encoded, sample=_with_answer(sample, answer)),
        clean=clean,
        answer=answer,
        token_id=token_id,
        probability=float(probabilities(clean.logits, of="the answer")[token_id]),
    )


def _changes(
    checkpoint: LoadedCheckpoint, work: _Answered, knockouts: Sequence[Knockout]
) -> list[float]:
    """The relative change of the answer's probability under each knockout."""
    throttle = Throttle(checkpoint, None)
    throttle.learn(work.clean)
    readout = chances_of([[work.token_id]])
    kept = throttle.knockout_logits(work.clean, knockouts, readout=readout)
    require_finite(kept, "a knockout")
    return [(chance - work.probability) / work.probability for chance in kept[:, 0].tolist()]


def _with_answer(sample: Sample, answer: str) -> Sample:
    """The sample with the option that was answered as the true one, where it was one of two."""
    first, second = sample.true_option, sample.false_option
    if second is not None and normalised_answer(answer) == normalised_answer(second):
        first, second = second, first
    return replace(sample, answer=answer, true_option=first, false_option=second)


def _refuse_absent(sample: Sample, roles: RolePositions) -> None:
    """Refuse options and objects that the question does not have: a user has typed them."""
    if sample.true_option is not None:
        roles.union([Role.TRUE_OPTION, Role.FALSE_OPTION])
    if sample.object_names:
        roles.union([Role.OBJECTS])


def _edges(sample: Sample, roles: RolePositions) -> tuple[list[Edge], Mapping[str, str]]:
    """The edges that the sample has, and why it lacks others."""
    asked = [
        *EDGES,
        *(OF_CAPTION if sample.caption is not None else ()),
        *(OF_OPTIONS if sample.true_option is not None else ()),
        *(OF_OBJECTS if sample.object_names else ()),
    ]
    found, unmeasured = [], {}
    for edge in map(Edge.parse, asked):
        try:
            roles.union([*edge.sources, *edge.targets])
        except SampleError as error:
            unmeasured[str(edge)] = error.reason
            continue
        found.append(edge)
    return found, unmeasured


def _sweep(edge: Edge, roles: RolePositions, layers: int, width: int) -> list[Knockout]:
    sources, targets = roles.union(edge.sources), roles.union(edge.targets)
    return around_every_layer(sources, targets, width=width, layers=layers)


def _areas(encoded: EncodedSample, roles: RolePositions, side: int) -> tuple[list[Area], str]:
    """The blocks of the photo, or why there are none."""
    if Role.IMAGE not in roles.positions:
        return [], "the sample has no image"
    found = areas(encoded.layout, roles[Role.IMAGE], side=side) if encoded.layout else []
    return found, "" if found else "it is not known what the image positions show"


def _apart(sources: tuple[int, ...], roles: RolePositions, layers: int) -> Knockout:
    return Knockout(sources=sources, targets=roles[Role.QUESTION], layers=range(layers))


def _block(area: Area, change: float) -> Block:
    return Block(
        left=area.left,
        top=area.top,
        width=area.width,
        height=area.height,
        patches=len(area.positions),
        relative_change=change,
    )


def _lens(checkpoint: LoadedCheckpoint, work: _Answered) -> Iterator[LensCurve]:
    """The answer's word in both cases, and that of the other option."""
    distribution = lens_distributions(checkpoint, work.clean)["normed"]
    words: dict[str, frozenset[int]] = {}
    for word in filter(None, (work.answer, work.encoded.sample.false_option)):
        cases = case_variants(checkpoint, word)
        words |= {word.lower(): cases["noncapitalized"], word.capitalize(): cases["capitalized"]}
    if not any(work.token_id in tokens for tokens in words.values()):
        # Of a word that begins alike in both cases, or of no word.
        words = {"the answer's token": frozenset({work.token_id})} | words
    for word, tokens in words.items():
        # A word whose cases begin with one token has none to look at.
        if tokens:
            values = distribution[:, sorted(tokens)].sum(dim=-1).tolist()
            yield LensCurve(word=word, probability=tuple(values))
