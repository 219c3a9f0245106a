"""The report without the library that draws it."""

from __future__ import annotations

import pytest

from mmflow_bench.reports.html import page


@pytest.fixture
def without_plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "plotly_source", lambda: None)
