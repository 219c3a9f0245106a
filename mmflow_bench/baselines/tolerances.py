"""How much may move before it counts as a change, and how much must be shown not to have.

The options --tolerance, --decided, --alpha, --power and --margin.

Every pytest run of an environment reads options, so this imports nothing of the project.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

DEFAULTS: Mapping[str, float] = MappingProxyType(
    {"fraction": 0.10, "probability": 0.10, "depth": 0.10, "accuracy": 0.05}
)
"""Unit -> margin: ten points of an effect, a tenth of the depth, five points of accuracy."""

_NAMES = {"effect": "fraction"} | {unit: unit for unit in DEFAULTS if unit != "fraction"}
TWIN_FACTOR = 2.0
"""Log-odds that a relative change of one is worth at least: 10 points are 0.2 or more at every
probability from 0.2 to 0.9, so that a real change is one in log-odds too."""
SMALLEST = 1e-4
"""Margin that tens of thousands of images are needed for."""
DEFAULT_ALPHA = 0.05
"""Error rate of intervals."""
SMALLEST_ALPHA = 1e-6
"""Below it no bootstrap has a quantile."""
DECIDED = 0.8
"""Share of the comparable rows that must be shown to be unchanged before a gate passes."""


def parse_tolerance(text: str | None) -> dict[str, float]:
    """Margins by unit.

    >>> parse_tolerance("5%")["fraction"], parse_tolerance("effect=0.05,depth=0.2")["depth"]
    (0.05, 0.2)

    Args:
        text: One number for effects and probabilities, or NAME=VALUE pairs; the defaults when None.

    Raises:
        ValueError: A name is unknown, or a value is no margin in (0, 1).
    """
    margins = dict(DEFAULTS)
    if text and not text.replace(",", "").strip():
        raise ValueError(f"--tolerance takes a margin such as 0.1 or 10%, got {text!r}")
    for part in filter(None, (text or "").replace(" ", "").split(",")):
        name, equals, value = part.rpartition("=")
        units = [_NAMES.get(name)] if equals else ["fraction", "probability"]
        for unit in units:
            if unit is None:
                raise ValueError(
                    f"--tolerance takes a margin such as 0.1 or 10%, or {', '.join(_NAMES)} with "
                    f"one (effect=0.1,depth=0.05), got {part!r}"
                )
            margins[unit] = _margin(value)
    return margins


def _margin(text: str) -> float:
    takes = "--tolerance takes a margin between 0 and 1 (0.1 or 10%)"
    value = _number(text, takes, lambda margin: 0 < margin < 1)
    if value < SMALLEST:
        raise ValueError(f"--tolerance takes a margin of at least {SMALLEST}, got {text!r}")
    return value


def parse_share(text: str) -> float:
    """The share of rows that --decided names.

    >>> parse_share("0.5"), parse_share("90%")
    (0.5, 0.9)

    Raises:
        ValueError: It is no share in [0, 1].
    """
    takes = "--decided takes a share of rows from 0 to 1 (0.8 or 80%)"
    return _number(text, takes, lambda share: 0 <= share <= 1)


def parse_alpha(text: str) -> float:
    """The error rate of an interval.

    Raises:
        ValueError: It is none, or would leave no interval.
    """
    takes = "--alpha takes an error rate in (0, 0.5)"
    return _number(text, takes, lambda alpha: SMALLEST_ALPHA <= alpha < 0.5)


def parse_power(text: str) -> float:
    """How often what is there is to be found.

    Raises:
        ValueError: It is no chance in [0.5, 0.99].
    """
    takes = "--power takes a chance from 0.5 to 0.99"
    return _number(text, takes, lambda power: 0.5 <= power <= 0.99)


def parse_loss(text: str) -> float:
    """The accuracy that --margin lets go.

    >>> parse_loss("2%")
    0.02

    Raises:
        ValueError: It is no share in [0.001, 0.5].
    """
    takes = "--margin takes a share of the answers from 0.001 to 0.5 (0.02 or 2%)"
    return _number(text, takes, lambda loss: 0.001 <= loss <= 0.5)


def _number(text: str, takes: str, is_taken: Callable[[float], bool]) -> float:
    """The number or percentage that an option takes; a ValueError for any other text."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = float("nan")
    if not is_taken(value):
        raise ValueError(f"{takes}, got {text!r}")
    return value
