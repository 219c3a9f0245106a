"""An observation in every summary of a run: a number, and nothing that has failed."""

from __future__ import annotations

import re

from run_folders import made_up_row

from mmflow_bench.reports.github import annotate, markdown
from mmflow_bench.reports.junit import junit
from mmflow_bench.reports.summary import Summary
from mmflow_bench.reports.terminal import render


def test_an_observation_has_a_sign_and_a_number_and_no_threshold():
    text = render([made_up_row(verdict="report", threshold="", task="QueryAttr")], facts={})
    assert re.search(r"QueryAttr +i report +-30\.0% \[-40\.0, -20\.0%\]", text)
    assert "1 verdict: 1 report" in text


def test_an_observation_is_neither_warned_of_nor_a_failure_in_a_summary():
    row = made_up_row(verdict="report", threshold="", task="QueryAttr")
    summary = Summary(name="m", rows=(row,))
    assert "1 report" in markdown(summary)
    assert not annotate(summary)
    assert 'failures="0"' in junit(summary)
    assert 'skipped="0"' in junit(summary)
