"""A hub that does not answer is asked once, and not waited for."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from mmflow_bench.checkpoints.hub import hub_answers
from mmflow_bench.checkpoints.sources import Source
from mmflow_bench.errors import CheckpointError

PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No proxy, and an answer that is not of another test."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    hub_answers.cache_clear()
    yield
    hub_answers.cache_clear()


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def at(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_hub_that_takes_connections_answers(listening, monkeypatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", at(listening))
    assert hub_answers()


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub at a port that nobody listens to any more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("HF_ENDPOINT", at(server))


@pytest.mark.usefixtures("deaf")
def test_a_hub_that_refuses_them_does_not() -> None:
    assert not hub_answers()


@pytest.mark.usefixtures("deaf")
def test_what_is_behind_a_proxy_is_left_to_the_hubs_client(monkeypatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert hub_answers()


@pytest.mark.usefixtures("deaf")
def test_what_is_not_on_disk_is_refused_without_asking_such_a_hub(monkeypatch) -> None:
    asked = []

    def download(*_: object, local_files_only: bool, **__: object) -> str:
        asked.append(local_files_only)
        raise OSError("not in the cache")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    source = Source(name="llava-hf/llava-1.5-7b-fh", is_hub=True)
    expected = r"the hub cannot be reached from here.*did you mean llava-hf/llava-1.5-7b-hf?"
    with pytest.raises(CheckpointError, match=expected):
        source.commit()
    assert asked == [True]
    assert source.file("config.json") is None
