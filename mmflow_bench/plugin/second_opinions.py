"""A second opinion on the verdict of one of pytest's items (`runs.opinions`)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mmflow_bench.interventions.knockout import Method
from mmflow_bench.plugin.collecting import reads_of
from mmflow_bench.plugin.run import run_of
from mmflow_bench.runs.opinions import with_opinion
from mmflow_bench.runs.rows import MechanismRow


def qualified(item: pytest.Item, row: MechanismRow) -> MechanismRow:
    """The row, with what the other methods say of its verdict added to its qualifier."""
    run = run_of(item.config)
    if not run.settings.measurement.twins or not reads_of(item).second_opinions:
        return row
    function: Callable[..., None] = item.obj  # type: ignore[attr-defined]
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}  # type: ignore[attr-defined]

    def ask(method: Method) -> None:
        function(**arguments | {"flow": arguments["flow"].by(method)})

    return with_opinion(row, ask, tell=run.notice)
