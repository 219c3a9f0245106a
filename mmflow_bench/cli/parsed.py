"""A type of click's for values whose own parser says what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable

import click


class Parsed(click.ParamType):  # type: ignore[type-arg]
    """What a parser makes of a text; it raises ValueError."""

    name = "text"

    def __init__(self, parse: Callable[[str], object]) -> None:
        self._parse = parse

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
