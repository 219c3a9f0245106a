"""An S3 on this machine (moto) that refuses a share of all requests, done already or not."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen

from wsgi_server import served

_SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)


class Refusing:
    """A WSGI application in front of another, which it does not always reach."""

    def __init__(self, behind: Callable[..., Iterable[bytes]], share: float, seed: int) -> None:
        self._behind = behind
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self.share = share
        self.asked = self.refused = 0
        self.writes_are_refused = False

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            self.asked += 1
            is_refused = self._chance.random() < self.share
            is_done = self._chance.random() < 0.5
            self.refused += is_refused
        if self.writes_are_refused and environ["REQUEST_METHOD"] in ("PUT", "POST"):
            return self._error(start, "507 Insufficient Storage")
        if is_refused and is_done:
            list(self._behind(environ, lambda *_: lambda _: None))
        if is_refused:
            return self._error(start, "503 Slow Down")
        return self._behind(environ, start)

    @staticmethod
    def _error(start: Callable[..., Any], status: str) -> Iterable[bytes]:
        # What is left of the request would be taken for the next one.
        start(status, [("Content-Type", "application/xml"), ("Connection", "close")])
        return [_SLOW_DOWN]


@contextmanager
def s3_server(share: float = 0.0, seed: int = 0) -> Iterator[tuple[str, Refusing]]:
    """Address of a server with an empty `bucket`, and what stands in front of it."""
    from moto.server import DomainDispatcherApplication, create_backend_app

    front = Refusing(DomainDispatcherApplication(create_backend_app), 0.0, seed)
    with served(front) as address:
        urlopen(Request(f"{address}/moto-api/reset", method="POST")).close()
        urlopen(Request(f"{address}/bucket", method="PUT")).close()
        front.share = share
        yield address, front


def environment(address: str) -> dict[str, str]:
    """What a client of it needs, and no credentials of the user's."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "tester",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_CONFIG_FILE": "/dev/null",
    }
