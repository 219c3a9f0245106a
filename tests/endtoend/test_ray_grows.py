"""A cluster that `ray start` has made: it wants a token, and has no worker until one is needed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from fleets import COMMAND, PATIENCE, ROOM, WORKERS, processes_with, stored, wait_until

pytestmark = pytest.mark.slow

PORT = 6379
"""Where the nodes that Ray's own stand-in for a cloud starts look for their head."""
WORKER = {"CPU": 1, "object_store_memory": ROOM}
MEASURE = [*COMMAND, "--model=planted/mini", "--limit=8"]


def kinds_of_nodes() -> dict[str, object]:
    """What `ray start --autoscaling-config` reads: machines that are processes of this one."""
    lists = ["setup_commands", "initialization_commands", "rsync_exclude", "rsync_filter"]
    lists += [f"{kind}_setup_commands" for kind in ("head", "worker")]
    lists += [f"{kind}_start_ray_commands" for kind in ("head", "worker")]
    nothing: dict[str, object] = {key: [] for key in [*lists, "cluster_synced_files"]}
    return nothing | {
        "cluster_name": "grows",
        "max_workers": WORKERS,
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": 5,
        "docker": {},
        "auth": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        "head_node": {},
        "head_node_type": "head",
        "provider": {
            "type": "fake_multinode",
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "available_node_types": {
            "head": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "worker": {
                "resources": WORKER,
                "node_config": {},
                "min_workers": 0,
                "max_workers": WORKERS,
            },
        },
    }


def is_listening() -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", PORT), timeout=1):
        return True
    return False


@contextmanager
def growing(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """A head alone, and all that grows from it, until the block has ended."""
    (folder / "nodes.json").write_text(json.dumps(kinds_of_nodes()))
    command = [
        *("ray", "start", "--head", "--block", f"--port={PORT}", "--num-cpus=0"),
        *("--include-dashboard=false", f"--object-store-memory={ROOM}"),
        f"--autoscaling-config={folder / 'nodes.json'}",
    ]
    asked = environment | {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
    with (folder / "said").open("w") as said:
        head = subprocess.Popen(command, env=asked, stdout=said, stderr=said)
    try:
        wait_until(lambda: is_listening() or head.poll() is not None)
        assert head.poll() is None, (folder / "said").read_text()
        yield
    finally:
        # Nodes are not the head's children.
        for process in processes_with(environment["MARK"]):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        head.wait(PATIENCE)


def test_nodes_are_asked_for_and_the_token_of_the_machine_is_shown(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason='pip install "mmflow-bench[scale]"')
    if is_listening():
        pytest.skip(f"something else listens at port {PORT}")
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text(uuid.uuid4().hex)
    environment = os.environ | {"MARK": uuid.uuid4().hex, "HOME": str(tmp_path)}
    environment |= {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    # As urgent as whatever else runs here: nodes are started, and Python on each of them.
    environment["RAY_worker_niceness"] = "0"
    environment["RAY_AUTH_MODE"] = "token"
    spread = ["--engine=ray", f"--address=127.0.0.1:{PORT}", f"--workers={WORKERS}"]
    with growing(tmp_path, environment):
        for name, options in {"here": [], "ray": spread}.items():
            subprocess.run(
                [*MEASURE, *options],
                env=environment | {"MMFLOW_CACHE": str(tmp_path / name)},
                check=True,
                timeout=5 * PATIENCE,
            )
        assert stored(tmp_path / "ray") == stored(tmp_path / "here")
        # Nobody else is let in.
        (tmp_path / ".ray" / "auth_token").write_text(uuid.uuid4().hex)
        refused = subprocess.run(
            [*MEASURE, *spread],
            env=environment | {"MMFLOW_CACHE": str(tmp_path / "other")},
            capture_output=True,
            text=True,
            timeout=5 * PATIENCE,
        )
    assert refused.returncode == 2
    assert "RAY_AUTH_MODE=token where it wants a token" in refused.stderr
