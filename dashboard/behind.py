"""The dashboard as it runs behind Locust's web UI: `python -m dashboard.behind PREFIX [RUNS_ROOT] [--loopback]`.

It listens on this machine alone, answers only requests that carry the secret which stands in the first line of its
stdin, and ends when its stdin does: with the process that started it.
"""

from __future__ import annotations

import hmac
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path

from flask import request
from waitress.server import create_server

from dashboard import page_locust
from dashboard.app import make_app
from dashboard.routes import PAGES
from dashboard.security import Policy
from harness.live.mounted import SECRET_HEADER

_THREADS = 4
_ELSEWHERE = ("live", "new")  # pages that have another in their place, or start runs while one is under way


def main(arguments: list[str]) -> None:
    """Serve until stdin ends."""
    words = [each for each in arguments if not each.startswith("--")]
    prefix, root = words[0], Path(words[1]) if len(words) > 1 else None
    secret = sys.stdin.readline().strip()

    def known() -> bool:
        given = request.headers.get(SECRET_HEADER, "")
        return bool(secret) and hmac.compare_digest(given.encode(), secret.encode())

    others = tuple(page for page in PAGES if page.path not in _ELSEWHERE) if root is not None else ()
    live = page_locust.PAGE if others else replace(page_locust.PAGE, path="")
    app = make_app(
        root or Path(os.devnull),
        prefix=prefix,
        policy=Policy(allowed=known, loopback="--loopback" in arguments),
        pages=(live, *others),
    )
    app.config.external_scripts.append(f"{prefix}live.js")
    server = create_server(app.server, host="127.0.0.1", port=0, threads=_THREADS, ident=None)
    print(f"ready {server.effective_port}", flush=True)  # noqa: T201  (to who started it)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    server.run()


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
