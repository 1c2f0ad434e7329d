"""The tab "LLM" in Locust's own web UI, and the page `/tokenswarm` behind it: live figures of every target.

Workers add one report a second to what Locust sends the master anyway (`report_to_master`), of a size that does not
depend on the number of requests; the master merges them. Everything here goes through what Locust documents for
extending its web UI: `app`, `template_args`, events, and `auth_required_if_enabled`, so that `--web-login` holds.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

import gevent
import locust.runners
import msgspec
import psutil
from flask import Blueprint, Response, jsonify, request
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner
from locust.web import WebUI

from harness.errors import UNREADABLE
from harness.inputs.loopback import is_loopback_host
from harness.inputs.secrecy import has_form_of_key, looks_like_key
from harness.live.live import Board, CellReport, Live
from harness.live.mounted import Mounted, installed
from harness.plan import Plan
from harness.rundir import RunDir, write_whole

REPORT_S = 1.0
TAB = "llm"
_STATES = {"ready": "waiting", "stopped": "ended", "missing": "died"}  # of a Locust runner; the others: running
_FIELD = "tokenswarm"  # of a worker's report
_PAGE, _SCRIPT = (Path(__file__).with_name(name) for name in ("live.html", "live.js"))
_FILES = {"summary": ("analyze", "summary.json"), "report": ("report", "report.html")}
_LEAST_PRIORITY = 19
_METHODS = ["GET", "POST"]

logger = logging.getLogger(__name__)


def install(
    environment: Environment,
    live: Callable[[], Live | None],
    run_dir: Callable[[], RunDir | None],
    planned: tuple[Plan, int] | None = None,
) -> None:
    """Report what is counted, and show it where this process has a web UI. Call it from an `init` listener.

    `live`: what this process counts into (None: not yet); `run_dir`: where the test is recorded (None: nowhere);
    `planned`: the plan and the repeat, of a planned run.
    """

    def begin(**_: Any) -> None:
        counting = live()
        if counting is not None:
            counting.clear(time.monotonic())

    if isinstance(environment.runner, WorkerRunner):
        environment.events.test_start.add_listener(begin)
        _report(environment, live)
    elif environment.web_ui is not None:
        board = Board(_counted_before(run_dir(), planned))
        environment.events.quit.add_listener(lambda **_: _leave_counts(board, run_dir(), planned))
        environment.events.test_start.add_listener(lambda **_: board.clear())
        environment.events.reset_stats.add_listener(lambda **_: board.clear())
        if isinstance(environment.runner, MasterRunner):
            environment.events.worker_report.add_listener(lambda client_id, data: _hear(board, client_id, data))
        else:
            environment.events.test_start.add_listener(begin)
            gevent.spawn(_follow, board, live)
        _show(environment, environment.web_ui, board, run_dir)
        _tell_prometheus(environment, environment.web_ui, board, run_dir, planned)


def _report(environment: Environment, live: Callable[[], Live | None]) -> None:
    """A worker's side."""
    locust.runners.WORKER_REPORT_INTERVAL = min(REPORT_S, locust.runners.WORKER_REPORT_INTERVAL)

    def add(client_id: str, data: dict[str, Any]) -> None:  # noqa: ARG001  (Locust names its arguments)
        counting = live()
        if counting is not None:
            data[_FIELD] = counting.take(time.monotonic())

    environment.events.report_to_master.add_listener(add)


def _hear(board: Board, client_id: str, data: Mapping[str, Any]) -> None:
    if _FIELD not in data:
        return
    try:
        board.merge(client_id, data[_FIELD], time.monotonic())
    except msgspec.ValidationError as error:
        logger.warning("worker %s sends live figures of another version: %s", client_id, error)


def _follow(board: Board, live: Callable[[], Live | None]) -> None:
    while True:
        gevent.sleep(REPORT_S)
        counting = live()
        if counting is not None:
            board.merge("local", counting.take(time.monotonic()), time.monotonic())


def _show(environment: Environment, web_ui: WebUI, board: Board, run_dir: Callable[[], RunDir | None]) -> None:
    """Add the tab, the page and the downloads to the web UI, before it starts to listen."""
    # Not at the top: a worker shows nothing, and is spared the libraries behind it.
    from harness.live.live_picture import COLUMNS, Picture, picture_of, table_of  # noqa: PLC0415

    gevent.sleep(0)  # loading them took long: the event loop must look at the clock before anybody sets a timer
    assert web_ui.app is not None

    def picture() -> Picture:
        return picture_of(board, environment.runner.state if environment.runner else "missing", time.monotonic())

    base = getattr(environment.parsed_options, "web_base_path", None) or ""
    pages = Blueprint("tokenswarm", __name__, url_prefix=f"{base}/tokenswarm")
    mounted = _mounted(environment, f"{base}/tokenswarm/", run_dir())
    views: dict[str, Callable[[], Response]] = {
        "page": lambda: _page(None if mounted is None else mounted.entrance),
        "live": lambda: Response(msgspec.json.encode(picture()), headers=_headers(), mimetype="application/json"),
        "summary": lambda: _download(run_dir(), "summary"),
        "report": lambda: _download(run_dir(), "report"),
    }
    for name, view in views.items():
        path = "" if name == "page" else f"/{name}"
        pages.add_url_rule(path, name, web_ui.auth_required_if_enabled(view))
    pages.add_url_rule("/live.js", "script", web_ui.auth_required_if_enabled(_script))
    if mounted is not None:
        beside = web_ui.auth_required_if_enabled(lambda rest: mounted.answer())  # noqa: ARG005  (it reads the request)
        pages.add_url_rule("/", "dashboard", beside, defaults={"rest": ""}, methods=_METHODS)
        pages.add_url_rule("/<path:rest>", "of_dashboard", beside, methods=_METHODS)
    web_ui.app.register_blueprint(pages)
    web_ui.app.after_request(lambda response: _with_table(response, lambda: table_of(picture())))
    web_ui.app.before_request(lambda: _refused_form(environment))
    _announce(web_ui.template_args, COLUMNS)


def _refused_form(environment: Environment) -> Response | None:
    """Locust's answer to a start form that holds a key, before any of it is kept, shown, logged or sent to workers.
    None: it is another request, or a form without."""
    if request.endpoint != "locust.swarm":
        return None
    host, key_env = request.form.get("host", ""), request.form.get("key_env", "")
    if looks_like_key(key_env) or not re.fullmatch(r"\w*", key_env, re.ASCII):
        said = "key_env: name the environment variable that holds the key, not the key"
    elif set(host) & set("@?#") or "%40" in host:
        said = "host: no user, password, query or fragment; key_env names the variable of a key"
    elif any(has_form_of_key(value) for value in request.form.values()):
        said = "a field holds a key: key_env names the environment variable that holds it"
    else:
        return None
    return jsonify({"success": False, "message": said, "host": environment.host})


def _mounted(environment: Environment, prefix: str, run_dir: RunDir | None) -> Mounted | None:
    """The dashboard beside this process; None where it is not installed. Of a planned run it shows the folder of all
    runs; elsewhere what is recorded need not lie in one."""
    if not installed():
        return None
    runs_root = run_dir.root.resolve().parent.parent if run_dir is not None and run_dir.plan.exists() else None
    host = getattr(environment.parsed_options, "web_host", None) or ""
    asks = environment.web_ui is not None and environment.web_ui.web_login
    made = Mounted(prefix, runs_root, loopback=is_loopback_host(host) and not asks)
    environment.events.quit.add_listener(lambda **_: made.end())
    return made


def _tell_prometheus(
    environment: Environment,
    web_ui: WebUI,
    board: Board,
    run_dir: Callable[[], RunDir | None],
    planned: tuple[Plan, int] | None,
) -> None:
    """Add the metrics to the web UI. Who may see the page may see them; and a Prometheus that knows the token."""
    from harness.live.exposition import Exposition  # noqa: PLC0415
    from harness.live.run_shown import BY_HAND, shown_of, whose_run  # noqa: PLC0415
    from harness.live.scraping import may_ask, token_of_environment  # noqa: PLC0415

    assert web_ui.app is not None
    root, token = run_dir(), token_of_environment()
    whose = BY_HAND if planned is None or root is None else whose_run(planned[0], root)
    repeat = None if planned is None else planned[1]

    def state() -> str:
        return _STATES.get(environment.runner.state if environment.runner else "missing", "running")

    told = Exposition(lambda: [shown_of(board, whose, state(), time.monotonic(), repeat=repeat)])

    def metrics() -> Response:
        page, content_type = told.page(request.headers.get("Accept"))
        return Response(page, headers=_headers(), content_type=content_type)

    def guarded() -> Response:
        if token is not None and may_ask(request.headers.get("Authorization"), token):
            return metrics()
        if token is not None and not web_ui.web_login:
            return Response("a bearer token is wanted\n", 401, {"WWW-Authenticate": "Bearer"}, mimetype="text/plain")
        shown: Response = web_ui.auth_required_if_enabled(metrics)()
        return shown

    base = getattr(environment.parsed_options, "web_base_path", None) or ""
    web_ui.app.add_url_rule(f"{base}/tokenswarm/metrics", "tokenswarm.metrics", guarded)


def _counted_before(run_dir: RunDir | None, planned: tuple[Plan, int] | None) -> list[CellReport]:
    """What the repeats before this one counted: each has a Locust of its own, and a counter must not fall."""
    for repeat in range(0 if planned is None else planned[1] - 1, 0, -1):
        with suppress(OSError, *UNREADABLE):
            assert run_dir is not None
            return msgspec.json.decode(run_dir.counts(repeat).read_bytes(), type=list[CellReport])
    return []


def _leave_counts(board: Board, run_dir: RunDir | None, planned: tuple[Plan, int] | None) -> None:
    if run_dir is not None and planned is not None:
        with suppress(OSError):
            write_whole(run_dir.counts(planned[1]), msgspec.json.encode(board.ever(time.monotonic())))


def _announce(arguments: dict[str, Any], columns: Mapping[str, str]) -> None:
    """Tell Locust's page of the tab, of its columns and of the downloads, beside those of others."""
    structure = [{"key": key, "title": title} for key, title in columns.items()]
    more: dict[str, list[dict[str, Any]]] = {
        "extended_tabs": [{"title": "LLM", "key": TAB}],
        "extended_tables": [{"key": TAB, "structure": structure}],
        "extended_csv_files": [
            {"href": "./tokenswarm", "title": "LLM: live page with clients and findings"},
            {"href": "./tokenswarm/summary", "title": "LLM: download summary.json so far"},
            {"href": "./tokenswarm/report", "title": "LLM: download report.html so far"},
        ],
    }
    for name, entries in more.items():
        arguments[name] = [*arguments.get(name, []), *entries]


def _with_table(response: Response, table: Callable[[], list[dict[str, str | int | float]]]) -> Response:
    """Locust's page asks for `/stats/requests` every 2 s; tables of tabs travel in its answer. Locust keeps that answer
    for a while, so the table of last time may stand in it."""
    if request.endpoint != "locust.request_stats" or response.status_code != 200 or not response.is_json:
        return response
    answer = response.get_json()
    others = [each for each in answer.get("extended_stats", []) if each["key"] != TAB]
    answer["extended_stats"] = [*others, {"key": TAB, "data": table()}]
    response.set_data(json.dumps(answer))
    return response


def stop_by(web_ui: WebUI, ask: Callable[[], None]) -> None:
    """Let the page's Stop ask for the end of a planned run, where Locust would end the test at once and quit while
    requests are under way."""

    def stop() -> Response:
        ask()
        return jsonify({"success": True, "message": "The run ends when what is under way has ended"})

    assert web_ui.app is not None
    web_ui.app.view_functions["locust.stop"] = web_ui.auth_required_if_enabled(stop)


def _page(dashboard: str | None) -> Response:
    link = "" if dashboard is None else f'<a href="{escape(dashboard)}">Dashboard</a>'
    nonce = secrets.token_urlsafe(16)
    policy = f"default-src 'none'; connect-src 'self'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'"
    html = _PAGE.read_text(encoding="utf-8").replace("{{script}}", _SCRIPT.read_text(encoding="utf-8"))
    html = html.replace("{{nonce}}", nonce).replace("{{dashboard}}", link)
    return Response(html, headers=_headers() | {"Content-Security-Policy": policy}, mimetype="text/html")


def _script() -> Response:
    return Response(_SCRIPT.read_text(encoding="utf-8"), headers=_headers(), mimetype="text/javascript")


def _headers() -> dict[str, str]:
    return {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def _download(run_dir: RunDir | None, what: str) -> Response:
    """A file made from what is recorded so far, or status 404 and the reason why there is none."""
    if run_dir is None:
        return _absent("this test is not recorded: start Locust with --run-dir, or use `tokenswarm run --ui`")
    verb, name = _FILES[what]
    with tempfile.TemporaryDirectory(prefix="tokenswarm-") as folder:
        path = Path(folder) / name
        command = [sys.executable, "-m", "harness", verb, str(run_dir.root), "--out", str(path)]
        said = _run_gently(command)
        if not path.exists():
            return _absent(said.partition("\n")[0].removeprefix("error: ") or f"{name} could not be made")
        headers = _headers() | {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(path.read_bytes(), headers=headers, mimetype="application/octet-stream")


def _run_gently(command: list[str]) -> str:
    """Run a command behind everything else, since load may be made on this machine. What it says on stderr."""
    process = subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with suppress(psutil.Error, OSError):
        psutil.Process(process.pid).nice(_LEAST_PRIORITY)
    return process.communicate()[1]


def _absent(reason: str) -> Response:
    return Response(reason + "\n", 404, _headers(), mimetype="text/plain")
