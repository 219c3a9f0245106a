"""Whether the hub answers at all: asked once, for its own client tries for minutes."""

from __future__ import annotations

import os
import socket
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies

_PATIENCE = 5.0
"""Seconds for a connection to be made."""


@cache
def hub_answers() -> bool:
    """Whether a connection to the hub can be made; whoever goes through a proxy is believed."""
    if getproxies():
        return True
    place = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    port = place.port or (80 if place.scheme == "http" else 443)
    try:
        with socket.create_connection((place.hostname or "", port), timeout=_PATIENCE):
            return True
    except OSError:
        return False
