"""Whether the instrument reads this checkpoint on these samples: six checks before any claim.

`prove_exact` shows on arbitrary tokens that the engine understands the decoder, and refuses it
otherwise. What is checked here depends on the user's own samples and processor as well. A check
that fails does not stop the run: the numbers are kept, and verdicts are `instrument-dependent`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import KnockoutError, NotFiniteError, SampleError
from mmflow_bench.inputs.encoding import EncodedSample, encode
from mmflow_bench.inputs.images import open_image
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.definition import definition_logits
from mmflow_bench.interventions.knockout import Knockout
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.interventions.selfcheck import rounding
from mmflow_bench.interventions.suffixes import knockout_logits
from mmflow_bench.measurements.answer import greedy_answer, probabilities
from mmflow_bench.measurements.taking import model_inputs, taking_inputs
from mmflow_bench.positions.resolve import resolve_roles
from mmflow_bench.positions.roles import Role

SAMPLES = 2


@dataclass(frozen=True, slots=True)
class _Finding:
    """What a check has seen, and the likely cause if it is wrong."""

    passed: bool
    found: str
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """One sample, ready to be looked at."""

    sample: Sample
    encoded: EncodedSample
    inputs: Mapping[str, Tensor]
    clean: CleanPass


def self_test(checkpoint: LoadedCheckpoint, samples: Sequence[Sample]) -> list[dict[str, object]]:
    """`name`, `passed` and `detail` of every check, on the first two samples that can be encoded.

    The detail is what was found and, if it failed, the likely cause.
    """
    subjects = _subjects(checkpoint, samples)
    return [_outcome(name, checkpoint, subjects) for name in _CHECKS if subjects]


def _outcome(
    name: str, checkpoint: LoadedCheckpoint, subjects: Sequence[_Subject]
) -> dict[str, object]:
    try:
        finding = _CHECKS[name](checkpoint, subjects)
    except (KnockoutError, NotFiniteError) as error:
        return {"name": name, "passed": False, "detail": str(error)}
    detail = finding.found if finding.passed else f"{finding.found}; likely cause: {finding.cause}"
    return {"name": name, "passed": finding.passed, "detail": detail}


def _subjects(checkpoint: LoadedCheckpoint, samples: Sequence[Sample]) -> list[_Subject]:
    subjects: list[_Subject] = []
    for sample in samples:
        if len(subjects) == SAMPLES:
            break
        if subjects and sample.image_id == subjects[0].sample.image_id:
            continue
        try:
            encoded = encode(sample, checkpoint)
        except SampleError:
            # It is counted with its reason when it is measured.
            continue
        inputs = model_inputs(encoded)
        with taking_inputs(checkpoint, encoded):
            (clean,) = clean_passes(checkpoint, [inputs])
        subjects.append(_Subject(sample=sample, encoded=encoded, inputs=inputs, clean=clean))
    return subjects


def _fast_path(checkpoint: LoadedCheckpoint, subjects: Sequence[_Subject]) -> _Finding:
    worst = 0.0
    for subject in subjects:
        for knockout in _trials(checkpoint, subject):
            fast = knockout_logits(checkpoint, subject.clean, [knockout])[0]
            slow = definition_logits(checkpoint, subject.inputs, knockout)
            worst = max(worst, _apart(fast, slow))
    return _Finding(
        worst <= rounding(checkpoint),
        f"knockouts at once and one by one differ by {worst:.1e} in probability",
        "a layer that looks at more than hidden states, mask and positions",
    )


def _empty_knockout(checkpoint: LoadedCheckpoint, subjects: Sequence[_Subject]) -> _Finding:
    worst = 0.0
    for subject in subjects:
        nothing = Knockout(sources=(), targets=(subject.clean.length - 1,), layers=_all(checkpoint))
        got = knockout_logits(checkpoint, subject.clean, [nothing])[0]
        worst = max(worst, _apart(got, subject.clean.logits))
    return _Finding(
        worst <= rounding(checkpoint),
        f"a knockout of no edge changes probabilities by {worst:.1e}",
        "a model that is not deterministic, or was left in training mode",
    )


def _batch_parity(checkpoint: LoadedCheckpoint, subjects: Sequence[_Subject]) -> _Finding:
    shapes = [
        {name: value.shape for name, value in subject.encoded.model_inputs.items()}
        for subject in subjects
    ]
    # Images of different shapes never share a batch.
    alike = [s for s, shape in zip(subjects, shapes, strict=True) if shape == shapes[0]]
    together = clean_passes(checkpoint, [subject.inputs for subject in alike])
    pairs = zip(alike, together, strict=True)
    worst = max(_apart(subject.clean.logits, other.logits) for subject, other in pairs)
    return _Finding(
        worst <= rounding(checkpoint),
        f"samples alone and in one batch differ by {worst:.1e} in probability",
        "padding that is attended to, or position ids that count it; use --batch-size=1",
    )


def _mask_takes_effect(checkpoint: LoadedCheckpoint, subjects: Sequence[_Subject]) -> _Finding:
    moved = noise = 0.0
    for subject in subjects:
        last = subject.clean.length - 1
        knockouts = [
            Knockout(sources=sources, targets=(last,), layers=_all(checkpoint))
            for sources in ((), tuple(range(last)))
        ]
        nothing, everything = knockout_logits(checkpoint, subject.clean, knockouts)
        noise = max(noise, _apart(nothing, subject.clean.logits))
        moved = max(moved, _apart(everything, nothing))
    return _Finding(
        moved > 2 * noise,
        f"cutting all that the last position reads moves probabilities by {moved:.1e}",
        "an attention implementation that ignores the mask it is given",
    )


def _image_positions(checkpoint: LoadedCheckpoint, subjects: Sequence[_Subject]) -> _Finding:
    if len(subjects) < SAMPLES or any(s.encoded.layout is None for s in subjects):
        return _Finding(True, "not two images of one grid to exchange")
    first, second = subjects
    exchanged = encode(first.sample, checkpoint, image=open_image(second.sample))
    (other,) = clean_passes(checkpoint, [model_inputs(exchanged)])
    roles = resolve_roles(first.encoded, checkpoint)
    expected = set(roles[Role.IMAGE]) - set(roles.positions.get(Role.NEWLINE, ()))
    if other.length != first.clean.length:
        return _Finding(True, "images of different numbers of positions")
    differs = (other.embeddings != first.clean.embeddings).any(dim=-1).nonzero()[:, 0]
    changed = set(differs.tolist())
    return _Finding(
        # Patches of the same colour in both images may have the same features.
        bool(changed) and changed <= expected,
        f"another image changes {len(changed & expected)} of {len(expected)} image positions and "
        f"{len(changed - expected)} others",
        "a processor whose number or order of image tokens is not that of the model",
    )


def _answer_tokens(checkpoint: LoadedCheckpoint, subjects: Sequence[_Subject]) -> _Finding:
    wrong: list[str] = []
    for subject in subjects:
        answer = greedy_answer(checkpoint, subject.clean, subject.sample)
        device = checkpoint.parts.device
        inputs = {name: value.to(device) for name, value in subject.inputs.items()}
        generated = checkpoint.model.generate(  # type: ignore[operator]
            **inputs,
            attention_mask=torch.ones_like(inputs["input_ids"]),
            max_new_tokens=1,
            do_sample=False,
            num_beams=1,
        )
        token = int(generated[0, -1])
        if token != answer["answer_token_id"]:
            ids = [answer["answer_token_id"], token]
            tokens = checkpoint.tokenizer.convert_ids_to_tokens(ids)
            wrong.append(f"{tokens[0]!r} is followed, {tokens[1]!r} is generated")
    return _Finding(
        not wrong,
        "; ".join(wrong) or "the answer that is followed is the one that `generate` gives",
        "a generation_config.json that changes logits (suppressed or forced tokens, penalties)",
    )


_CHECKS: Mapping[str, Callable[[LoadedCheckpoint, Sequence[_Subject]], _Finding]] = {
    "fast-path": _fast_path,
    "empty-knockout": _empty_knockout,
    "batch-parity": _batch_parity,
    "mask-takes-effect": _mask_takes_effect,
    "image-positions": _image_positions,
    "answer-tokens": _answer_tokens,
}


def _trials(checkpoint: LoadedCheckpoint, subject: _Subject) -> list[Knockout]:
    """What the sample reads, in the middle of the decoder and in all of it."""
    roles = resolve_roles(subject.encoded, checkpoint)
    layers = _all(checkpoint)
    middle = range(len(layers) // 3, max(len(layers) // 3 + 1, 2 * len(layers) // 3))
    question, last = roles[Role.QUESTION], roles[Role.LAST]
    trials = [Knockout(sources=question, targets=last, layers=middle)]
    for role in (Role.IMAGE, Role.CAPTION):
        if role in roles.positions:
            sources = roles.positions[role]
            trials += [
                Knockout(sources=sources, targets=question, layers=middle),
                Knockout(sources=sources, targets=last, layers=layers),
            ]
    return trials


def _all(checkpoint: LoadedCheckpoint) -> range:
    return range(checkpoint.decoder_layers)


def _apart(one: Tensor, other: Tensor) -> float:
    # Both are numbers, or the check fails: the larger of NaN and zero may be zero.
    return float((probabilities(one) - probabilities(other)).abs().max())
