"""The dashboard as a Dash app: alone, or mounted in another Flask server. Nothing is kept at the level of modules."""

from __future__ import annotations

import html as markup
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from dash import Dash, Input, Output, dcc, html, set_props
from dash.exceptions import DependencyException
from flask import Flask, Response, g, request, send_file
from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.wrappers import Response as Answer

from dashboard import picker
from dashboard.permit import Permit
from dashboard.pieces import empty, fault
from dashboard.routes import PAGES
from dashboard.runs import Runs
from dashboard.security import Guard, Policy
from dashboard.site import Page, Query, Site
from dashboard.typed_callbacks import typed
from harness.errors import UsageFault

TITLE = "tokenswarm"
_MOST_BYTES = 4_000_000  # of a request
_DOWNLOADS = ("report.html", "summary.json")
logger = logging.getLogger(__name__)


class StrictDash(Dash):
    """Dash whose page stands under a strict content security policy: what scripts add of styles has a nonce; and whose
    callbacks take only what their annotations say."""

    def callback(self, *places: Any, **options: Any) -> Any:
        """A decorator, as Dash's, for a callback that is annotated."""
        register = super().callback(*places, **options)
        return lambda function: register(typed(function))

    def interpolate_index(self, **parts: str) -> str:
        """The page around everything."""
        nonce = markup.escape(g.nonce)
        first = "".join(
            f'<script nonce="{nonce}" src="{self.get_asset_url(name)}"></script>' for name in ("strict.js", "theme.js")
        )
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{TITLE}</title>{first}{parts['favicon']}{parts['css']}</head><body>"
            '<a class="skip" href="#page">Skip to the content</a>'
            f"{parts['app_entry']}<footer hidden>{parts['config']}{parts['scripts']}{parts['renderer']}</footer>"
            "<noscript>This page needs JavaScript; `tokenswarm report` writes one that needs little.</noscript>"
            "</body></html>"
        )


def make_app(
    runs: Runs | Path,
    *,
    server: Flask | None = None,
    prefix: str = "/",
    policy: Policy | None = None,
    permit: Permit | None = None,
    pages: Sequence[Page] = PAGES,
) -> Any:
    """A dashboard of the runs below a folder.

    `server`: the Flask server to mount it in (None: one of its own, the app's `server`); `prefix`: where, with slashes
    at both ends; `policy`: who may use it (None: whoever is on this machine); `permit`: what plans of it may do.
    """
    own = Flask("dashboard", static_folder=None) if server is None else server
    site = Site(runs if isinstance(runs, Runs) else Runs(runs), prefix, policy or Policy(), permit or Permit())
    if server is None:
        own.config["MAX_CONTENT_LENGTH"] = _MOST_BYTES
        own.register_error_handler(Exception, _unexpected)
    app = StrictDash(
        "dashboard",
        server=own,
        assets_folder=str(Path(__file__).with_name("assets")),
        assets_ignore=r"strict\.js|theme\.js",  # they stand first in the page, by hand
        requests_pathname_prefix=prefix,
        routes_pathname_prefix=prefix,
        suppress_callback_exceptions=True,
        update_title=None,
        title=TITLE,
        add_log_handler=False,
        serve_locally=True,
        enable_mcp=False,
        on_error=_failed,
        csrf_header_name="X-CSRFToken",
        csrf_token_name=f"{Guard(site.policy, prefix).name}_csrf",
    )
    shown = tuple(page for page in pages if page.shown(site))
    app.layout = lambda: _shell(site, shown)
    _route(app, site, shown)
    picker.callbacks(app, site)
    for page in shown:
        page.callbacks(app, site)
    own.add_url_rule(f"{prefix}download/<path:place>", "tokenswarm_download", lambda place: _download(site, place))
    Guard(site.policy, prefix, app.csp_hashes()).install(own)
    return app


def _failed(error: Exception) -> None:
    """An answer that went wrong: the page stays as it is and says so, and the log says why. What no page asks for is
    answered 400, with one line in the log: the terminal is not for whoever sends junk to fill."""
    if isinstance(error, BadRequest):
        logger.warning("a request that no page makes: %.200r", error.description)
        raise error
    if isinstance(error, UsageFault):  # a run was taken away, or is no run
        logger.warning("the dashboard could not answer: %.200r", error.message)
        set_props("said", {"children": f"{error.message} ({error.hint})"})
        return
    logger.error("the dashboard could not answer", exc_info=error)
    set_props("said", {"children": "That could not be answered; the terminal of the dashboard says why."})


def _unexpected(error: Exception) -> Answer:
    """What goes wrong outside of an answer: mostly requests that no page of ours makes."""
    if isinstance(error, HTTPException):
        return error.get_response()
    if isinstance(error, DependencyException):
        return Response("no such file\n", 404, mimetype="text/plain")
    if request.method == "POST":
        logger.warning("a request that no page makes: %s: %.200r", type(error).__name__, str(error))
        return Response("this is no request of a page\n", 400, mimetype="text/plain")
    logger.error("the dashboard could not answer", exc_info=error)
    return Response("this went wrong; the terminal of the dashboard says why\n", 500, mimetype="text/plain")


def _shell(site: Site, pages: Sequence[Page]) -> Any:
    """What all pages have: navigation, the switch between light and dark, and the place of the page."""
    links = [
        dcc.Link(page.name, href=site.href(page.path), className="nav-link", id=f"nav-{page.path}") for page in pages
    ]
    leave = html.Button("Log out", id="leave", className="quiet", type="button") if site.policy.token else None
    toggle = html.Button("Dark", id="theme", className="quiet", type="button", title="Light or dark")
    return html.Div(
        [
            dcc.Location(id="address", refresh="callback-nav"),
            html.Header(
                [
                    html.Div(
                        [
                            dcc.Link(TITLE, href=site.prefix, className="brand"),
                            html.Nav(links, className="nav", **{"aria-label": "Pages"}),
                            html.Div([toggle, leave], className="tools"),
                        ],
                        className="bar",
                    )
                ],
                className="top",
            ),
            html.Main(html.P("Loading", className="soft"), id="page", tabIndex="-1"),
            html.Div(id="said", className="toast", role="status", **{"aria-live": "polite"}),
        ],
        className="app",
        **{"data-prefix": site.prefix},
    )


def _route(app: Any, site: Site, pages: Sequence[Page]) -> None:
    by_path = {site.href(page.path).rstrip("/"): page for page in pages}

    @app.callback(Output("page", "children"), Input("address", "pathname"), Input("address", "search"))
    def show(pathname: str | None, search: str | None) -> Any:
        page = by_path.get(str(pathname or site.prefix).rstrip("/"))
        if page is None:
            return empty("No such page", "The navigation above leads to those that there are.")
        return content(page, site, dict(parse_qsl(str(search or "").removeprefix("?"))))


def content(page: Page, site: Site, query: Query) -> Any:
    """The content of a page, or why there is none."""
    try:
        return page.layout(site, query)
    except UsageFault as found:
        return fault(found)
    except Exception:
        logger.exception("the page %s could not be made", page.name)
        return empty("This page could not be made", "The terminal in which the dashboard runs says why.")


def _download(site: Site, place: str) -> Response:
    """A file of a run to keep: never shown here, since it is a page of its own making."""
    name, _, file = place.rpartition("/")
    if file not in _DOWNLOADS:
        return Response("no such file\n", 404, mimetype="text/plain")
    try:
        path = site.runs.file(name, file)
    except UsageFault as found:
        return Response(f"{found}\n", 404, mimetype="text/plain")
    told = f"{path.parent.name}-{file}"
    return send_file(path, mimetype="application/octet-stream", as_attachment=True, download_name=told)
