"""Live, inside Locust's web UI: what Locust's own processes report, drawn by the script of the live page."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboard.pieces import card, heading
from dashboard.site import Page, Query, Site


def layout(site: Site, query: Query) -> Any:  # noqa: ARG001
    """Empty tables, which `harness/live.js` fills once a second from `PREFIX/live`."""
    state = html.Span("", id="state", className="badge open", role="status")
    verdict = html.Span("", id="verdict", className="badge open")
    return html.Div(
        [
            heading("Live", state, verdict, says="The run that this Locust makes, as its processes report it."),
            html.P(
                [
                    html.A("Locust", href=f"{site.prefix}../?tab=llm"),
                    " ",
                    html.A("summary.json so far", href=f"{site.prefix}summary"),
                    " ",
                    html.A("report.html so far", href=f"{site.prefix}report"),
                ]
            ),
            html.P("", id="trouble", className="missed", role="alert"),
            card("Findings", html.Div(id="findings")),
            _table("recent", ["Last ", html.Span("10", id="window"), " s"], _RECENT),
            _table(
                "test", "Whole test", "Since the test began, warm-up included; summary.json speaks of steady windows."
            ),
            _table("clients", "Clients", "How the load generator itself fared in the last seconds with requests."),
        ],
        className="stack",
        **{"data-live": f"{site.prefix}live"},
    )


_RECENT = (
    "Latencies in ms, p50 / p95, of good requests that ended in this time; rates are of what ended in it, per second."
)


def _table(name: str, title: Any, note: str) -> Any:
    label = title if isinstance(title, str) else "Last seconds"
    table = html.Div(html.Table(id=name), className="scroll", tabIndex="0", role="region", **{"aria-label": label})
    return card(title, table, note=note)


def callbacks(app: Any, site: Site) -> None:
    """None: the figures do not pass through this process."""


PAGE = Page("now", "Live", layout, callbacks)  # `live` is the address of the figures
