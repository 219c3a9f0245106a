"""The wheel, installed beside what it depends on."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run(
        [*pip, "install", "--no-deps", "--target", str(folder / "site"), str(wheel)], check=True
    )
    return folder / "site"


@pytest.fixture
def environment(installed: Path, tmp_path: Path) -> Mapping[str, str]:
    """Variables with which commands are those of the wheel, and nothing is known yet."""
    scripts = [installed / "bin", Path(sys.executable).parent, os.environ["PATH"]]
    return os.environ | {
        "PATH": os.pathsep.join(map(str, scripts)),
        "PYTHONPATH": str(installed),
        "MMFLOW_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "120",
    }
