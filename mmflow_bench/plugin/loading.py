"""Whether a run is ours: the heavy part of the plugin is loaded once something asks for it.

pytest imports the package's entry point in every project of an environment. So what is imported
there holds options, fixtures and this decision; hooks that judge and report are a second plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mmflow_bench.plugin.session import FlowSession

NAME = "mmflow-session"
_ON_BY_DEFAULT = frozenset({"mmflow_self_test", "mmflow_twins"})


def session_of(config: pytest.Config) -> FlowSession:
    """The heavy plugin of this run, registered when first asked for.

    Registered during collection at the latest, it sees every hook from the selection of tests on.
    """
    session: FlowSession | None = config.pluginmanager.get_plugin(NAME)
    if session is None:
        # Here, not at the top: this is the one import that other projects must not pay for.
        from mmflow_bench.plugin.session import FlowSession

        session = FlowSession(config)
        config.pluginmanager.register(session, NAME)
    return session


def is_asked_for(config: pytest.Config) -> bool:
    """Whether the user has said anything to this plugin."""
    chosen = any(
        name.startswith("mmflow_") and value not in (None, False)
        for name, value in vars(config.option).items()
        if name not in _ON_BY_DEFAULT
    )
    return chosen or bool(config.getini("mmflow_model"))
