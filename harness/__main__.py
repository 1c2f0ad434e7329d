"""`python -m harness VERB` is `tokenswarm VERB`; Ctrl-C while that is still being loaded ends it like any other."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Load the command and run it."""
    try:
        from harness.cli import main as command  # noqa: PLC0415  (what takes time to load)
    except KeyboardInterrupt:
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
