"""Which run a page shows: the one its address names, else the latest; and the list to choose another from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from dash import Input, Output, State, dcc, html

from analysis.deciding.entrants import Contest
from analysis.deciding.wording_decision import load_text
from dashboard.pieces import badge, chips, empty
from dashboard.runs import Listed
from dashboard.site import Query, Site
from dashboard.weighing import load_key

MOST_SHOWN = 40


def chosen(site: Site, query: Query, wanted: Callable[[Listed], bool] = lambda _: True) -> str | None:
    """The name of the run that a page shows; None: there is none. `wanted`: what the latest one must be."""
    if query.get("run"):
        return query["run"]
    found = site.runs.latest(wanted) or site.runs.latest()
    return None if found is None else found.name


def when(started_s: float | None) -> str:
    """A time to the minute."""
    return "" if started_s is None else f"{datetime.fromtimestamp(started_s, UTC):%Y-%m-%d %H:%M} UTC"


def picker(site: Site, name: str) -> Any:
    """The run that is shown, and the list to choose another one from."""
    listed = {each.name: each for each in site.runs.listed()}
    found = listed.get(name)
    said = [html.Strong(found.plan or name if found else name), html.Span(when(found.started_s) if found else "")]
    field = dcc.Input(
        id="picker-search",
        type="search",
        debounce=0.15,
        placeholder="plan, date, target or verdict",
        autoComplete="off",
    )
    return html.Details(
        [
            html.Summary([*said, badge(found.verdict if found else ""), html.Span("change run", className="change")]),
            html.Label(["Search the runs", field], htmlFor="picker-search"),
            html.Div(id="picker-found", className="found"),
        ],
        className="picker",
    )


def callbacks(app: Any, site: Site) -> None:
    """The search of the list."""

    @app.callback(
        Output("picker-found", "children"),
        Input("picker-search", "value"),
        State("address", "pathname"),
        State("address", "search"),
    )
    def find(words: str | None, pathname: str, search: str | None) -> Any:
        here = dict(parse_qsl((search or "").removeprefix("?"))).get("run")
        path = (pathname or "").removeprefix(site.prefix).strip("/")
        asked = (words or "").lower().split()
        fitting = [each for each in site.runs.listed() if all(word in _text(each) for word in asked)]
        shown = [_entry(site, each, path, here) for each in fitting[:MOST_SHOWN]]
        more = len(fitting) - len(shown)
        left = html.P(f"and {more:,} more: search for a part of their name", className="soft") if more else None
        return [html.Ul(shown), left] if shown else html.P("No run is called that.", className="soft")


def _text(run: Listed) -> str:
    return " ".join((run.name, when(run.started_s), run.verdict or "no summary", *run.targets)).lower()


def _entry(site: Site, run: Listed, path: str, here: str | None) -> Any:
    targets = ", ".join(run.targets[:6])
    inner = [html.Strong(run.plan or run.name), html.Span(when(run.started_s)), badge(run.verdict), html.Small(targets)]
    return html.Li(
        dcc.Link(inner, href=site.href(path, run=run.name), className="entry on" if run.name == here else "entry")
    )


def no_runs(site: Site) -> Any:
    """What a page shows where there is no run with a summary: what to do."""
    listed = site.runs.listed()
    if not listed:
        return empty(
            "No runs yet",
            "This folder holds no run directory. A first one takes half a minute and sends nothing to anybody:",
            code=f"tokenswarm run suite:demo --out {site.runs.root}",
        )
    return empty(
        "No run here can be shown",
        f"{len(listed):,} of them are there, and none has a summary that can be read: {listed[0].reason}.",
        code=f"tokenswarm analyze {site.runs.root / listed[0].name}",
    )


def load_chips(site: Site, path: str, run: str, found: Sequence[Contest], here: Contest) -> Any:
    """Links to the loads of a run."""
    entries = [
        (load_text(each.workload, each.label), site.href(path, run=run, load=load_key(each)), each is here)
        for each in found
    ]
    return chips(entries, "Loads of this run")
