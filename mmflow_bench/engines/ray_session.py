"""A connection to Ray: to a cluster that is there, or to one of this machine that ends with it."""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from mmflow_bench.errors import EngineError

QUIET = {
    # Nobody is told that it is used, here or elsewhere.
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_SECONDS_TO_ANSWER = 10.0
_OBJECTS = 128 * 2**20
"""Bytes for objects on their way: jobs are small, and what is measured goes to the store."""


@contextmanager
def connected(address: str | None, *, cpus: int) -> Iterator[None]:
    """A block in which Ray can be asked.

    Args:
        address: Of a cluster, `auto` for the one of this machine; a new one when None.
        cpus: What the new one counts as at least.

    Raises:
        EngineError: Ray is not installed, or there is no such cluster.
    """
    if importlib.util.find_spec("ray") is None:
        raise EngineError(
            'the package ray, which --engine=ray takes, got none; pip install "mmflow-bench[scale]"'
        )
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    _require_listening(address)
    import ray

    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    # Ray prints what it has to say of lost workers; what this command prints may be parsed.
    with redirect_stdout(sys.stderr):
        try:
            if address is None:
                ray.init(
                    address="local",
                    num_cpus=max(cpus, _cores()),
                    include_dashboard=False,
                    object_store_memory=_OBJECTS,
                    **quiet,
                )
            else:
                ray.init(address=address, **quiet)
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            raise _unreachable(address, error) from error
        try:
            yield
        finally:
            ray.shutdown()


def _require_listening(address: str | None) -> None:
    """Refuse a host that does not answer: Ray itself would try for minutes.

    Raises:
        EngineError: Nothing listens there.
    """
    host, colon, port = (address or "").rpartition(":")
    if not colon or "://" in host or not port.isdecimal():
        return
    try:
        _connect(host, port)
    except (OSError, OverflowError) as error:
        raise _unreachable(address, error) from error


def is_head_listening() -> bool:
    """Whether the head of the cluster takes connections; True where Ray's client stands between."""
    import ray
    from ray.util.client import ray as client

    if client.is_connected():
        return True
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    try:
        _connect(host, port)
    except OSError:
        return False
    return True


def _connect(host: str, port: str) -> None:
    socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS_TO_ANSWER).close()


def _unreachable(address: str | None, error: Exception) -> EngineError:
    return EngineError(
        f"a Ray cluster that can be reached, got {_first_line(error)} (--address="
        f"{address or 'of this machine'}); start one with `ray start --head`, set "
        "RAY_AUTH_MODE=token where it wants a token, or leave --address out"
    )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
