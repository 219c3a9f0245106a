"""A WSGI application behind a port of this machine, for as long as a block runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from werkzeug.serving import WSGIRequestHandler, make_server


class _Silent(WSGIRequestHandler):
    """Requests are not written down."""

    def log(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def served(application: Callable[..., Iterable[bytes]]) -> Iterator[str]:
    """The application's address."""
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
