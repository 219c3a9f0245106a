"""A second opinion on the verdict of one of pytest's items (`runs.opinions`)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mmflow_bench.errors import MMFlowError
from mmflow_bench.interventions.knockout import Method
from mmflow_bench.mechanisms.verdicts import DECIDED
from mmflow_bench.plugin.collecting import has_second_opinion, reads_of
from mmflow_bench.plugin.run import run_of
from mmflow_bench.runs.opinions import with_opinion
from mmflow_bench.runs.rows import MechanismRow


def qualified(item: pytest.Item, row: MechanismRow) -> MechanismRow:
    """The row, with what the other methods say of its verdict added to its qualifier."""
    is_asked = (
        row.verdict in DECIDED
        and run_of(item.config).settings.measurement.twins
        and has_second_opinion(item)
        and bool(reads_of(item).second_opinions)
    )
    if not is_asked:
        return row
    function: Callable[..., None] = item.obj  # type: ignore[attr-defined]
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}  # type: ignore[attr-defined]

    def ask(method: Method) -> None:
        function(**arguments | {"flow": arguments["flow"].by(method)})

    try:
        return with_opinion(row, ask)
    except MMFlowError as error:
        run_of(item.config).notice(f"verdicts of {row.model} have no second opinion: {error}")
        return row
