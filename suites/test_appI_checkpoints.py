"""App. I: the paper's other checkpoints do as the first, but for exceptions that it names."""

import pytest

from mmflow_bench.mechanisms.consistent import as_the_paper_says
from mmflow_bench.mechanisms.paper import NEXT_LLAMA3_8B, NEXT_VICUNA_7B, VICUNA_7B

pytestmark = pytest.mark.mechanism(
    section="App. I, other checkpoints",
    # Nothing is asked that has not been asked, by every method, on its own.
    tier="replicates",
    suite="paper",
)

FINDINGS = (
    "Sec. 5, edges into the last position",
    "Sec. 5, image to question",
    "Sec. 6, related and other patches",
    "Sec. 7, logit lens",
)


@pytest.mark.mechanism("7b-consistent", citation="App. I, Figs. 20-23", only_for=(VICUNA_7B,))
def test_the_smaller_checkpoint_does_as_the_larger(flow):
    """LLaVA-1.5-7b does as LLaVA-1.5-13b, but for a smaller first drop and less from other
    patches.
    """
    assert as_the_paper_says(flow, FINDINGS)


@pytest.mark.mechanism(
    "16-7b-consistent", citation="App. I, Figs. 24-27", only_for=(NEXT_VICUNA_7B,)
)
def test_the_checkpoint_with_tiles_does_as_the_first(flow):
    """LLaVA-v1.6-Vicuna-7b does as LLaVA-1.5-13b."""
    assert as_the_paper_says(flow, FINDINGS)


@pytest.mark.mechanism("8b-consistent", citation="App. I, Figs. 28-31", only_for=(NEXT_LLAMA3_8B,))
def test_the_checkpoint_with_another_decoder_does_as_the_first(flow):
    """Llama3-LLaVA-NeXT-8b does as LLaVA-1.5-13b, but for a single drop and no lower-case phase."""
    # With the input that this one asks for there is no word that a knockout could be seen on.
    assert as_the_paper_says(flow, FINDINGS, but=("lens-newline-8b",))
