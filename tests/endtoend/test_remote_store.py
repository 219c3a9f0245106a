"""Real runs that share a store at a URL: a network disk, and stand-ins for three object stores."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

EDGES = "image->question,question->last"


def command(folder: Path, machine: str, url: str, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "mmflow_bench.cli", "sweep", "--model=planted/mini"),
        *("--tasks=Choose*", "--limit=3", f"--edges={EDGES}", f"--mmflow-cache={url}"),
        *(f"--output={folder / f'{machine}.parquet'}", *more),
    ]


def environment(folder: Path, machine: str, more: dict[str, str] | None = None) -> dict[str, str]:
    own = {"MMFLOW_CACHE": str(folder / machine), "OMP_NUM_THREADS": "1"}
    return os.environ | own | (more or {})


def sweep(
    folder: Path, machine: str, url: str, *more: str, env: dict[str, str] | None = None
) -> tuple[bytes, str]:
    """The table that a machine writes, and what it says."""
    ended = subprocess.run(
        command(folder, machine, url, *more),
        env=environment(folder, machine, env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return (folder / f"{machine}.parquet").read_bytes(), ended.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machines")


@pytest.fixture(scope="module")
def plain(folder: Path) -> bytes:
    return sweep(folder, "plain", str(folder / "store"))[0]


@pytest.mark.slow
def test_of_two_that_measure_at_once_one_is_killed(folder: Path, plain: bytes) -> None:
    url = f"file://{folder}/disk"
    begun = {
        machine: subprocess.Popen(
            command(folder, machine, url),
            env=environment(folder, machine),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for machine in ("killed", "other")
    }
    deadline = time.monotonic() + 120
    while len(list((folder / "killed").rglob("journal/*.parquet"))) < 4:
        assert time.monotonic() < deadline
        assert begun["killed"].poll() is None, "it has ended before it could be killed"
        time.sleep(0.002)
    begun["killed"].kill()
    begun["killed"].communicate()
    _, said = begun["other"].communicate()
    assert begun["other"].returncode == 0, said
    assert (folder / "other.parquet").read_bytes() == plain
    assert sweep(folder, "killed", url)[0] == plain
    table, said = sweep(folder, "third", url, "--from-cache")
    assert table == plain
    assert "damaged" not in said
    assert not list((folder / "disk").rglob("*.part"))


@pytest.fixture(scope="module")
def s3() -> Iterator[tuple[dict[str, str], object]]:
    pytest.importorskip("moto.server", reason="moto is not installed: pip install '.[remote]'")
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install '.[remote]'")
    from s3_server import environment, s3_server

    with s3_server(share=0.1, seed=1) as (address, front):
        yield environment(address), front


@pytest.mark.slow
def test_an_s3_that_fails_one_request_in_ten_changes_no_table(s3, folder, plain):
    env, front = s3
    assert sweep(folder, "first", "s3://bucket/store", env=env)[0] == plain
    # Another prefix asks as much again: with enough requests some are refused, whatever the seed.
    assert sweep(folder, "first", "s3://bucket/other", env=env)[0] == plain
    table, said = sweep(folder, "second", "s3://bucket/store", "--from-cache", env=env)
    assert table == plain
    assert "damaged" not in said
    assert front.refused > 0


@pytest.mark.slow
def test_an_s3_that_refuses_writes_keeps_no_run_from_its_end(s3, folder, plain):
    env, front = s3
    front.share, front.writes_are_refused = 0.0, True
    table, said = sweep(folder, "full", "s3://bucket/full", env=env)
    assert table == plain
    assert "nothing can be uploaded" in said
    front.writes_are_refused = False
    assert sweep(folder, "full", "s3://bucket/full", env=env)[0] == plain
    assert sweep(folder, "reader", "s3://bucket/full", "--from-cache", env=env)[0] == plain


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bucket", "changed", "said"),
    [
        ("nowhere", {}, "bucket does not exist"),
        ("bucket", {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "credentials"),
    ],
)
def test_a_bucket_or_a_key_that_is_not_there_is_one_line(bucket, changed, said, s3, folder):
    env, front = s3
    front.share = 0.0
    ended = subprocess.run(
        command(folder, "lost", f"s3://{bucket}/store"),
        env=environment(folder, "lost", env | changed),
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = ended.stderr.strip().splitlines()
    assert (ended.returncode, line.startswith("mmflow: ")) == (2, True)
    assert said in line
    assert f"s3://{bucket}/store" in line


@pytest.mark.slow
def test_google_storage_is_a_store(folder, plain):
    pytest.importorskip("gcsfs", reason="gcsfs is not installed: pip install '.[remote]'")
    emulator = pytest.importorskip("gcp_storage_emulator.server", reason="pip install '.[remote]'")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
    server.start()
    env = {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}
    try:
        assert sweep(folder, "writer", "gs://bucket/store", env=env)[0] == plain
        assert sweep(folder, "gs", "gs://bucket/store", "--from-cache", env=env)[0] == plain
    finally:
        server.stop()


@pytest.fixture
def hub(tmp_path) -> Iterator[tuple[str, dict[str, str], object]]:
    pytest.importorskip("werkzeug", reason="moto is not installed: pip install '.[remote]'")
    from hub_server import REPOSITORY, hub_server

    with hub_server(token="secret") as (address, found):
        env = {"HF_ENDPOINT": address, "HF_TOKEN": "secret", "HF_HOME": str(tmp_path)}
        yield f"hf://datasets/{REPOSITORY}/store", env, found


@pytest.mark.slow
def test_a_dataset_repository_is_a_store(hub, folder, plain):
    url, env, repository = hub
    assert sweep(folder, "committer", url, env=env)[0] == plain
    # Who it is of, and a pack for each task: whatever is uploaded is a commit.
    assert repository.commits == len(repository.files) == 4
    assert sweep(folder, "hf", url, "--from-cache", env=env)[0] == plain
    assert repository.commits == 4


@pytest.mark.slow
def test_a_repository_that_one_may_not_write_to_keeps_no_run_from_its_end(hub, folder, plain):
    url, env, repository = hub
    table, said = sweep(folder, "guest", url, env=env | {"HF_TOKEN": "another"})
    assert table == plain
    assert "nothing can be uploaded" in said
    assert not repository.files
    assert sweep(folder, "guest", url, env=env)[0] == plain
    assert repository.files
