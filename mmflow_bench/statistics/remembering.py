"""Functions whose results are large: those that were asked for last are kept, as many as fit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, update_wrapper
from inspect import signature

from numpy import ndarray

from mmflow_bench.store.held import Held


class Remembered:
    """A function of what can be hashed; one result is one array for as long as it is kept.

    By size and not by number: draws of a hundred images are small, and a run has many such sets,
    draws of thousands of images are large, and it has few.
    """

    def __init__(self, function: Callable[..., ndarray], *, room: int) -> None:
        """Keep at most `room` bytes of what the function gives."""
        update_wrapper(self, function)
        self._function, self._room = function, room
        self._signature = signature(function)
        self.cache_clear()

    def __call__(self, *given: object) -> ndarray:
        whole = self._signature.bind(*given)
        # What is left out is the same as what is given as its default.
        whole.apply_defaults()
        found = partial(self._function, *whole.args)
        return self._held.get(whole.args, (), found, lambda array: array.nbytes)

    def cache_clear(self) -> None:
        self._held = Held(self._room)


def remembered(room: int) -> Callable[[Callable[..., ndarray]], Remembered]:
    """`Remembered`, to be written above a function."""
    return partial(Remembered, room=room)
