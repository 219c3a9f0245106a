"""Goldens and READMEs forgive what another processor rounds otherwise, and nothing else."""

from __future__ import annotations

import pytest
from printed import says_the_same

SHOWN = "  ChooseAttr  = unchanged   99.9%    +0.9% [-3.8, 5.6%]   68/64"


@pytest.mark.parametrize(
    "printed",
    [
        SHOWN.replace("+0.9%", "+1.0%"),
        SHOWN.replace("99.9", "100.0"),
        SHOWN.replace("99.9", "99.8"),
    ],
)
def test_the_last_place_may_differ(printed: str) -> None:
    assert printed != SHOWN
    assert says_the_same(SHOWN, printed)


@pytest.mark.parametrize(
    "printed",
    [
        SHOWN.replace("+0.9%", "-0.9%"),
        SHOWN.replace("+0.9%", "+1.1%"),
        SHOWN.replace("68/64", "68/63"),
        SHOWN.replace("unchanged", "changed"),
        SHOWN.replace("[-3.8, 5.6%]", ""),
        SHOWN.replace("ChooseAttr  ", "ChooseAttr "),
        SHOWN.replace("   99.9%", "  99.9%"),
        SHOWN.replace("+0.9%", "0.9%"),
    ],
)
def test_more_than_that_is_a_difference(printed: str) -> None:
    assert printed != SHOWN
    assert not says_the_same(SHOWN, printed)
