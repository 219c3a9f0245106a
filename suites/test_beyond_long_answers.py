"""Beyond the paper: where the words of a long answer come from."""

import pytest

from mmflow_bench import SIGNIFICANT
from mmflow_bench.mechanisms.paper import PAPER_MODELS

pytestmark = pytest.mark.mechanism(suite="all", section="beyond the paper, long answers")


# Kaduri et al. see details go straight to the tokens that name them, in the middle layers.
@pytest.mark.mechanism("x-long-answer", citation="arXiv:2411.17491", unsaid_of=PAPER_MODELS)
def test_words_of_long_answers_read_the_image_directly(flow):
    """Later words of a long answer read the image directly, as the first word does not."""
    assert flow.long_answers().peak <= SIGNIFICANT
