"""The logit lens at the last position: which word the residual stream would predict, by depth.

The paper multiplies raw hidden states by the unembedding (Eq. 8, arXiv:2411.18620) and so did its
program; the usual lens applies the final norm first. Both are measured, since verdicts may differ
(docs/decisions/006).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.checkpoints.parts import execution_device
from mmflow_bench.errors import AnswerError, SampleError
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.measurements.answer import case_variants, first_tokens, probabilities
from mmflow_bench.measurements.lens import LENS, OUTPUT, REFERENCE_PROBE, Lens
from mmflow_bench.measurements.sample_rows import SampleAtWork
from mmflow_bench.measurements.wants import Answer, Rows


@torch.inference_mode()
def lens_distributions(
    checkpoint: LoadedCheckpoint, clean: CleanPass
) -> dict[str, Float[Tensor, "depth vocab"]]:
    """Vocabulary distributions at every depth, by variant and `OUTPUT`; depth 0 is the embedding.

    At the last depth both variants are the model's output: transformers returns the last hidden
    state with the final norm applied, and the paper's program read it so. The output itself has
    one depth.

    Raises:
        NotFiniteError: Logits overflow at some depth.
    """
    parts = checkpoint.parts
    raw = clean.residuals
    inner = parts.final_norm(raw[:-1].to(execution_device(parts.final_norm)))
    normed = torch.cat([inner.to(raw.device), raw[-1:]])
    logits = {
        "raw": parts.unembedding(raw),
        "normed": parts.unembedding(normed),
        OUTPUT: clean.logits[None],
    }
    return {name: probabilities(of, of=f"the {name} lens") for name, of in logits.items()}


def probe_tokens(
    checkpoint: LoadedCheckpoint, sample: Sample, answer: Answer
) -> dict[str, frozenset[int]]:
    """Token ids of every probe that the sample has.

    Raises:
        AnswerError: The two cases of the answer begin with the same token, so that no lens can
            tell them apart.
    """
    probes = {"answer": frozenset({answer["answer_token_id"]})}
    if answer["reference_token_id"] is not None:
        probes[REFERENCE_PROBE] = first_tokens(checkpoint, sample.answer)
    cases = case_variants(checkpoint, sample.answer)
    if not cases["capitalized"] or not cases["noncapitalized"]:
        raise AnswerError(
            "an answer whose first token differs between lower case and capitalised, got "
            f"{sample.answer!r} (sample {sample.question_id}); its lens is left out",
            reason="case-variants-coincide",
        )
    probes |= cases
    if sample.false_option:
        for case, tokens in case_variants(checkpoint, sample.false_option).items():
            # No token to look at is not a probability of zero.
            if tokens:
                probes[f"false_{case}"] = tokens
    return probes


def lens_rows(lenses: Sequence[Lens], work: SampleAtWork) -> Rows:
    """One row per depth, probe and variant, all at once whichever lenses were asked for."""
    try:
        probes = probe_tokens(work.checkpoint, work.sample, work.answer)
        distributions = lens_distributions(work.checkpoint, work.clean)
    except SampleError as error:
        return work.refused(lenses[0], error)
    rows: list[dict[str, object]] = []
    for variant, distribution in distributions.items():
        for probe, tokens in probes.items():
            row = {"sample": work.job.key, "probe": probe, "variant": variant}
            values = distribution[:, sorted(tokens)].sum(dim=-1).tolist()
            rows += [row | {"layer": i, "probability": value} for i, value in enumerate(values)]
    return {LENS: rows}
