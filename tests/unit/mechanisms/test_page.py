"""The reference page is what the suites declare and read."""

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_is_written_from_the_suites():
    written = subprocess.run(
        [sys.executable, str(DOCS / "mechanisms.py")], capture_output=True, text=True, check=True
    )
    # After a change that is meant: python docs/mechanisms.py > docs/mechanisms.md
    assert (DOCS / "mechanisms.md").read_text() == written.stdout
