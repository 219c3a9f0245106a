"""Mechanisms that the paper or the literature since names, and that no test here can decide.

Listed with those that are declared: what is left out of a list looks like what nobody has thought
of.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

WITHOUT_A_TEST: Mapping[str, str] = MappingProxyType(
    {
        "ds-15-groups": (
            "the accuracies of the 15 groups of GQA's validation set by structure and semantics "
            "(App. A, Table 2) need all its questions and pictures; the published sets hold six of "
            "the groups, and of those the questions that models answer correctly"
        ),
        "x-video-crossframe": (
            "edges between the frames of a video need checkpoints that were tuned on videos, and "
            "frames as roles; a sample here is a question about one picture"
        ),
    }
)
"""Id -> why it cannot be had here."""
