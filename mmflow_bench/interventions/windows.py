"""Which decoder layers a knockout covers."""

from __future__ import annotations


def layer_window(center: int, width: int, layers: int) -> range:
    """The layers of a window of `width` centred on `center`, cut at both ends of the decoder.

    As in the paper's program: at width 9 the window of layer 0 holds layers 0 to 4.

    >>> list(layer_window(0, 9, 40)), list(layer_window(10, 3, 40))
    ([0, 1, 2, 3, 4], [9, 10, 11])

    Raises:
        ValueError: `width` is even or not positive, or `center` is outside the decoder.
    """
    if width < 1 or width % 2 == 0:
        raise ValueError(f"a window width must be odd and positive, got {width}; use {width + 1}")
    if not 0 <= center < layers:
        raise ValueError(f"a window centre must be in 0..{layers - 1}, got {center}")
    return range(max(0, center - width // 2), min(layers, center + width // 2 + 1))


def window_width(layers: int) -> int:
    """The odd width nearest to 9/40 of the depth, the paper's 9 of 40 scaled (docs/decisions/001).

    >>> [window_width(layers) for layers in (40, 32, 24, 12, 18)]
    [9, 7, 5, 3, 5]
    """
    return 2 * round((9 * layers / 40 - 1) / 2) + 1 if layers > 4 else 1
