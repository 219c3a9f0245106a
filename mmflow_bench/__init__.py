"""pytest for what happens inside a vision-language model.

The names below are imported when they are first used: pytest imports this package in every run of
an environment that has it installed, and must not pay for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmflow_bench.interactive.comparing import compare as compare
    from mmflow_bench.interactive.opening import open as open
    from mmflow_bench.interactive.reading import read as read
    from mmflow_bench.tracing.trace import trace as trace

_HOME = {
    "APPEARED": "mechanisms.bands",
    "B1": "mechanisms.bands",
    "B2": "mechanisms.bands",
    "Box": "inputs.samples",
    "CHOOSE_TASKS": "inputs.samples",
    "CONSISTENT": "mechanisms.bands",
    "Gate": "mechanisms.declaring",
    "LATER_HALF": "mechanisms.bands",
    "MID": "mechanisms.bands",
    "NEGLIGIBLE": "mechanisms.bands",
    "NotApplicable": "mechanisms.verdicts",
    "SIGNIFICANT": "mechanisms.bands",
    "SIX_TASKS": "inputs.samples",
    "Sample": "inputs.samples",
    "agree": "mechanisms.several",
    "at_least": "mechanisms.several",
    "average": "mechanisms.several",
    "report": "mechanisms.several",
    "trace": "tracing.trace",
    "open": "interactive.opening",
    "read": "interactive.reading",
    "compare": "interactive.comparing",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    """The public name, from the module that owns it."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
