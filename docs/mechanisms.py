"""The reference of the mechanisms, docs/mechanisms.md and docs/mechanisms/, written or checked.

python docs/mechanisms.py            writes what differs
python docs/mechanisms.py --check    names what differs, and exits with 1 if anything does
"""

import sys
from pathlib import Path

from reference.pages import differing, pages, write

DOCS = Path(__file__).parent


def main(arguments: list[str]) -> int:
    """Exit code of the command."""
    wanted = pages()
    if arguments == ["--check"]:
        stale = differing(wanted, DOCS)
        for name in stale:
            print(f"docs/{name} is not as the suites declare it; run python docs/mechanisms.py")
        return int(bool(stale))
    write(wanted, DOCS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
