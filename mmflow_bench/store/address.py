"""Where a store is kept: in a folder, or at a URL with a folder in front of it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mmflow_bench.names import hint

_LONGEST = 60
"""Letters of a URL in the name of a folder; a hash tells the rest."""


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A URL that many machines share, and the folder of this machine that it is read through."""

    url: str
    folder: Path

    @classmethod
    def parse(cls, url: str, *, beside: Path) -> StoreAddress:
        """The address of a URL.

        Args:
            url: Of any protocol that fsspec knows.
            beside: Where folders in front of stores are made.

        Raises:
            ValueError: The protocol is not known, no place is named, or a password stands there.
        """
        protocol, _, place = url.partition("://")
        # Here: fsspec is for those who have a URL.
        from fsspec.registry import known_implementations, registry

        known = [*known_implementations, *registry]
        if protocol not in known:
            raise ValueError(
                f"--mmflow-cache takes a URL such as s3://bucket/prefix, got {url!r}"
                f"{hint(protocol, known)}"
            )
        if urlsplit(url).password is not None:
            raise ValueError(
                f"--mmflow-cache takes a URL without a password, got one of {protocol}; every run "
                "says its store, and drivers read credentials from the environment"
            )
        if not place.strip("/"):
            raise ValueError(f"--mmflow-cache takes a URL that names a place, got {url!r}")
        plain = re.sub(r"[^A-Za-z0-9.]+", "-", f"{protocol}-{place}").strip("-.")[:_LONGEST]
        url = url.rstrip("/")
        digest = hashlib.sha256(url.encode()).hexdigest()[:8]
        return cls(url, beside / "at" / f"{plain}-{digest}")

    def __str__(self) -> str:
        """The URL, as the option takes it."""
        return self.url


def is_url(text: str) -> bool:
    """Whether a text names a store by a URL.

    >>> is_url("s3://bucket/prefix"), is_url("C:/cache")
    (True, False)
    """
    return "://" in text


def local_folder(place: Path | StoreAddress) -> Path:
    """The folder of this machine that a store is read through."""
    return place.folder if isinstance(place, StoreAddress) else place
