"""The command `dashboard`: the interactive page of a folder of runs, for this machine, or with a token for others."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import UsageFault
from harness.inputs.loopback import is_loopback_host
from harness.inputs.secrecy import masked

if TYPE_CHECKING:
    from dashboard.permit import Permit
    from dashboard.runs import Runs
    from dashboard.security import Policy

_THREADS = 8


@click.command()
@click.argument("runs_root", metavar="RUNS_ROOT", type=click.Path(path_type=Path))
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Where to listen; beyond this machine with a token."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8050, show_default=True, help="0: any that is free.")
@click.option("--token-env", metavar="NAME", help="The environment variable that holds the token (else one is made).")
@click.option("--login", is_flag=True, help="Ask for a token on this machine too; the page may then start runs.")
@click.option("--allow-host", "hosts", multiple=True, metavar="HOST", help="Plans of the page may ask it too; repeat.")
@click.option("--key-env", "keys", multiple=True, metavar="NAME", help="Plans may name this variable too; repeat.")
@click.option("--jobs", type=click.IntRange(1, 16), default=1, show_default=True, help="Runs at once, from the page.")
def dashboard(
    runs_root: Path,
    host: str,
    port: int,
    token_env: str | None,
    login: bool,  # noqa: FBT001
    hosts: tuple[str, ...],
    keys: tuple[str, ...],
    jobs: int,
) -> None:
    """The interactive page of a folder of runs: leaderboard, comparison, runs, history, live, alerts.

    Prints `ready URL` once it listens. On 127.0.0.1 whoever is on this machine may look; any other address asks for a
    token, which is given by --token-env or made and printed as a link on stderr.

    Example: tokenswarm dashboard runs --port 8050
    """
    from dashboard.permit import KEYS, PROVIDERS, Permit  # noqa: PLC0415
    from dashboard.security import Policy  # noqa: PLC0415

    if not runs_root.is_dir():
        raise UsageFault(f"{runs_root}: no such folder", "name the folder that `tokenswarm run --out` wrote to")
    here = is_loopback_host(host)
    token = _token(token_env, wanted=login or not here)
    from dashboard.runs import Runs  # noqa: PLC0415  (slow to load)

    permit = Permit(hosts=(*PROVIDERS, *hosts), keys=(*KEYS, *keys), loopback=here, most_jobs=jobs)
    runs = Runs(runs_root)
    server = _listening(runs, host, port, Policy(token=token, loopback=here), permit)
    url = f"http://{_shown(host)}:{_port(server)}/"
    if token is not None and token_env is None:
        click.echo(f"log in by this link, which holds the token: {url}login#token={token}", err=True)
    click.echo(f"ready {url}")
    threading.Thread(target=_look_once, args=(runs,), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.run()  # until Ctrl-C or SIGTERM


def _listening(runs: Runs, host: str, port: int, policy: Policy, permit: Permit) -> Any:
    """A server that listens. Raises UsageFault: it cannot, or what it needs is not installed."""
    try:
        from waitress.server import create_server  # noqa: PLC0415

        from dashboard.app import make_app  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageFault(f"dashboard: {error.name} is not installed", "pip install 'tokenswarm[dashboard]'") from error
    app = make_app(runs, policy=policy, permit=permit)
    try:
        return create_server(app.server, host=host, port=port, threads=_THREADS, ident=None)
    except ValueError as error:
        raise UsageFault(f"--host {host[:80]!r}: is no address of this machine", "such as 127.0.0.1") from error
    except OSError as error:
        said = f"--host {host[:80]} --port {port}: {error.strerror}"
        raise UsageFault(said, "--port 0 takes any that is free") from error


def _look_once(runs: Runs) -> None:
    """Look through the runs, so that whoever comes first need not wait."""
    with suppress(UsageFault, OSError):
        runs.trends(last=0)


def _port(server: Any) -> int:
    """The port that it listens on."""
    sockets = getattr(server, "effective_listen", None)
    return int(sockets[0][1] if sockets else server.effective_port)


def _shown(host: str) -> str:
    """A host as it stands in a URL; for all addresses the name of this machine."""
    name = socket.gethostname() if host in ("0.0.0.0", "::", "") else host  # noqa: S104  (only compared)
    return f"[{name}]" if ":" in name else name


def _token(name: str | None, *, wanted: bool) -> str | None:
    """The token that is asked for; None: nobody is asked. It is taken out of the environment: what is started from here
    has no use for it."""
    from dashboard.security import LEAST_TOKEN  # noqa: PLC0415

    if name is None:
        return secrets.token_urlsafe(32) if wanted else None
    token = os.environ.pop(name, "")
    if len(token) < LEAST_TOKEN:
        said = "is not set" if not token else f"is shorter than {LEAST_TOKEN} characters"
        raise UsageFault(f"--token-env {masked(name)}: {said}", "such as one of `openssl rand -hex 32`")
    return token
