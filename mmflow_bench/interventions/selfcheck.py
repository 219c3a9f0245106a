"""Proof, on the loaded checkpoint itself, that a knockout is what it says.

A decoder that the engine misunderstands would not fail but give plausible wrong numbers. So before
anything is measured, a short token sequence goes through both paths: they must agree, nothing may
happen where nothing is cut, something must happen where everything is cut, and the unembedding
must give the model's own logits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from mmflow_bench.checkpoints.foreign import foreign
from mmflow_bench.checkpoints.parts import Instrumentable
from mmflow_bench.errors import CheckpointError, NotFiniteError
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.definition import definition_logits
from mmflow_bench.interventions.knockout import Knockout, Method
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.interventions.suffix_pass import probability_distance
from mmflow_bench.interventions.suffixes import knockout_logits

_LENGTH = 20
# Vocabulary entries that the generic vectors are drawn around.
_EMBEDDINGS = 4096
# Largest difference in probability that rounding may make; half precision rounds at every step.
_TOLERANCE = 1e-4
_HALF_TOLERANCE = 0.1


def rounding(checkpoint: Instrumentable) -> float:
    """Largest difference in probability that two ways to compute the same may have."""
    is_half = checkpoint.model.dtype in (torch.float16, torch.bfloat16)
    return _HALF_TOLERANCE if is_half else _TOLERANCE


def prove_exact(checkpoint: Instrumentable) -> None:
    """Nothing, if the engine is right about this checkpoint.

    Raises:
        CheckpointError: The two paths disagree, a knockout moves nothing, or the model cannot be
            run the way the engine does; the message names the family.
        KnockoutError: A layer asks for something that the engine refuses.
    """
    with foreign(
        "a decoder whose layers take hidden states, a mask and positions",
        f"family {checkpoint.parts.name}",
        "this kind of decoder cannot be measured",
    ):
        _prove(checkpoint)


@torch.inference_mode()
def _prove(checkpoint: Instrumentable) -> None:
    inputs = {"input_ids": _tokens(checkpoint, 7919)}
    other = {"input_ids": _tokens(checkpoint, 104729)}
    clean, counterfactual = clean_passes(checkpoint, [inputs, other])
    unembedded = checkpoint.parts.unembedding(clean.residuals[-1])
    _agree(checkpoint, clean.logits, unembedded, "the unembedding of the last residual stream")
    for method, knockout in _trials(checkpoint):
        donor = counterfactual if method is Method.COUNTERFACTUAL else None
        (fast,) = knockout_logits(
            checkpoint, clean, [knockout], method=method, counterfactual=donor
        )
        slow = definition_logits(checkpoint, inputs, knockout, method=method, counterfactual=other)
        _agree(checkpoint, slow, fast, f"a {method} knockout of layers {knockout.layers}")
    if not (_bites(checkpoint, clean) or _bites(checkpoint, _generic_pass(checkpoint))):
        raise CheckpointError(
            "a knockout of everything that the last position reads to move its logits, got no "
            f"change (family {checkpoint.parts.name}); the attention of this decoder is not "
            "reached"
        )


def _trials(checkpoint: Instrumentable) -> list[tuple[Method, Knockout]]:
    """Knockouts of both kinds, in part of the decoder and in all of it."""
    layers = len(checkpoint.parts.decoder_layers)
    early, last = tuple(range(1, 6)), (_LENGTH - 1,)
    middle = range(layers // 3, max(layers // 3 + 1, 2 * layers // 3))
    inner = Knockout(sources=early, targets=tuple(range(9, 13)), layers=middle)
    final = Knockout(sources=tuple(range(8, 14)), targets=last, layers=range(layers))
    return [
        (Method.MASKED, inner),
        (Method.MASKED, final),
        (Method.UNNORMALISED, final),
        (Method.COUNTERFACTUAL, inner),
    ]


def _agree(
    checkpoint: Instrumentable,
    expected: Float[Tensor, "vocab"],
    got: Float[Tensor, "vocab"],
    what: str,
) -> None:
    difference = probability_distance(expected, got)
    if math.isnan(difference):
        raise CheckpointError(f"{NotFiniteError(what)} (family {checkpoint.parts.name})")
    if difference > rounding(checkpoint):
        raise CheckpointError(
            f"{what} to agree with the model's own forward pass, got probabilities "
            f"{difference:.2g} apart (family {checkpoint.parts.name}); this kind of decoder "
            "cannot be measured"
        )


def _bites(checkpoint: Instrumentable, clean: CleanPass) -> bool:
    """Whether cutting everything moves the logits by more than cutting nothing does."""
    layers = range(len(checkpoint.parts.decoder_layers))
    last = (clean.length - 1,)
    nothing = Knockout(sources=(), targets=last, layers=layers)
    everything = Knockout(sources=tuple(range(clean.length - 1)), targets=last, layers=layers)
    noise, moved = knockout_logits(checkpoint, clean, [nothing, everything])
    return bool((moved - noise).abs().max() > 2 * (noise - clean.logits).abs().max())


def _tokens(checkpoint: Instrumentable, stride: int) -> Tensor:
    """Token ids spread over the vocabulary, none of them a placeholder."""
    config: Mapping[str, object] = checkpoint.model.config.to_dict()
    special = {
        value
        for name, value in config.items()
        if name.endswith(("token_id", "token_index")) and isinstance(value, int)
    }
    usable = [t for t in range(checkpoint.parts.text_config.vocab_size) if t not in special]
    chosen = [usable[(11 + stride * index) % len(usable)] for index in range(_LENGTH)]
    return torch.tensor([chosen])


def _generic_pass(checkpoint: Instrumentable) -> CleanPass:
    """A pass over random embeddings.

    A sparse model may read nothing at all from a sequence without an image; generic vectors, drawn
    around the embeddings with some spread in every direction, reach every head.
    """
    parts = checkpoint.parts
    vocabulary = parts.text_config.vocab_size
    tokens = torch.arange(0, vocabulary, step=1 + vocabulary // _EMBEDDINGS, device=parts.device)
    embedded = parts.embedding(tokens).float()
    spread = embedded.std(dim=0)
    noise = torch.randn(_LENGTH, embedded.shape[1], generator=torch.Generator().manual_seed(0))
    vectors = embedded.mean(dim=0) + (spread + spread.mean()) * noise.to(embedded.device)
    embeddings = vectors[None].to(checkpoint.model.dtype)
    return clean_passes(checkpoint, [{"inputs_embeds": embeddings}])[0]
