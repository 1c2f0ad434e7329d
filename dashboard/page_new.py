"""New run: a plan is written in a form or as YAML, checked, its use estimated; then started, and followed live."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any, TypedDict

from dash import ALL, Input, Output, Patch, State, ctx, dcc, html, no_update
from werkzeug.exceptions import BadRequest

from dashboard.jobs import Job, jobs, start, stop
from dashboard.pieces import card, chips, empty, heading, table
from dashboard.plan_draft import Checked, Draft, checked, estimate_rows, suite_text, text_of
from dashboard.plan_form import blank_stage, blank_target, form
from dashboard.site import Page, Query, Site
from dashboard.typed_callbacks import pressed
from harness.errors import UsageFault
from harness.plan_file import suites

_LOOK_MS = 2000
_MOST_ROWS = 20
_MOST_JOBS = 12
_OFF = "Whoever may open this page could make load and spend money, so it has to be known who that is."
_ON = """tokenswarm dashboard runs --login                     # on this machine: makes a token and prints a link
tokenswarm dashboard runs --token-env MY_TOKEN        # with a token of your own"""


def layout(site: Site, query: Query) -> Any:
    """The page: form or text, what a check says, and what was started."""
    head = heading("New run", says="Write a plan, see what it will use, start it, follow it.")
    if not site.policy.asks:
        return [
            head,
            empty("Starting runs is off without a login", _OFF, "Start the dashboard in one of these ways:", _ON),
        ]
    source = query.get("from", "")
    text = suite_text(source) if source not in ("", "yaml") else ""
    return [
        head,
        _sources(site, source),
        dcc.Store(id="new-checked"),
        dcc.Interval(id="new-tick", interval=_LOOK_MS),
        html.Div(
            [
                html.Div([None if source else form(), _as_text(text, shown=bool(source))], className="stack"),
                html.Div(
                    [
                        html.Div(_hint(), id="new-says", role="status"),
                        _start_card(),
                        html.Div(_jobs(site), id="new-jobs"),
                    ],
                    className="sticky stack",
                ),
            ],
            className="side",
        ),
    ]


def _sources(site: Site, source: str) -> Any:
    entries = [
        ("Form", site.href("new"), source == ""),
        ("YAML", site.href("new", **{"from": "yaml"}), source == "yaml"),
    ]
    entries += [(f"Suite {name}", site.href("new", **{"from": name}), source == name) for name in suites()]
    return chips(entries, "Where the plan comes from")


def _as_text(text: str, *, shown: bool) -> Any:
    area = dcc.Textarea(id="new-text", value=text, rows=22 if shown else 12, spellCheck=False, className="code")
    button = html.Button("Check this text", id="new-check-text", className="button", type="button", n_clicks=0)
    note = "What is checked and started. The form writes it; it can be changed here. Keys of a plan: docs/plan.md."
    return card("Plan as YAML", html.Label([html.Span("Plan", className="hidden"), area]), button, note=note)


def _hint() -> Any:
    return card("Check", html.P("Nothing was checked yet. A check sends nothing.", className="soft"))


def _start_card() -> Any:
    button = html.Button(
        "Start this plan", id="new-start", className="button main", type="button", n_clicks=0, disabled=True
    )
    return card("Start", button, html.P("", id="new-started", role="status", className="note"))


def _jobs(site: Site) -> Any:
    found = jobs(site.runs.root)[:_MOST_JOBS]
    if not found:
        return card("Started from here", html.P("Nothing yet.", className="soft"))
    rows = [[each.plan, each.state, html.Div(_links(site, each), className="actions")] for each in found]
    said = next((each for each in found if each.state == "failed" and each.said), None)
    why = html.Pre(said.said[-1500:], tabIndex="0") if said is not None and said is found[0] else None
    return card("Started from here", table(("Plan", "State", ""), rows, left=3, label="Started runs"), why)


def _links(site: Site, job: Job) -> list[Any]:
    going = job.state in ("running", "stopping")
    parts: list[Any] = []
    if going and job.run:
        parts.append(dcc.Link("Follow live", href=site.href("live", run=job.run)))
    if not going and job.run:
        parts.append(dcc.Link("Numbers", href=site.href("run", run=job.run)))
        parts.append(html.A("Report", href=site.href(f"download/{job.run}/report.html")))
    if job.state == "running":
        place = {"page": "new", "stop": job.id}
        parts.append(html.Button("Stop", id=place, className="quiet", type="button", n_clicks=0))
    return parts


def _estimate(found: Checked) -> Any:
    rows = [[name, html.Span(value)] for name, value in estimate_rows(found.figures)]
    prices = [html.Li(f"{name}: {price}") for name, price in found.figures["prices"].items()]
    valid = html.P(["✓ ", html.Strong(found.plan.name), " is a valid plan."], className="met")
    return card(
        "Check",
        valid,
        table(("What", "Estimate"), rows, left=2, label="Estimate"),
        html.Details([html.Summary("Prices"), html.Ul(prices)]),
        id="new-estimate",
    )


def _refused(fault: UsageFault) -> Any:
    return card(
        "Check",
        html.Div(
            [html.Strong(fault.message), html.P(f"hint: {fault.hint}", className="soft")], className="finding invalid"
        ),
        id="new-refused",
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def callbacks(app: Any, site: Site) -> None:
    """The form writes the text, the text is checked, and only what was checked is started. Nothing of it is there
    without a login, whatever is sent."""
    if site.policy.asks:
        _check_and_start(app, site)
        _rows(app)
        _started(app, site)


class FieldAt(TypedDict):
    """The id of an input of the form."""

    part: str
    row: int
    key: str


class RowAt(TypedDict):
    """The id of what belongs to a row of the form."""

    row: int


class JobAt(TypedDict):
    """The id of a button that stops a run."""

    stop: str


def _check_and_start(app: Any, site: Site) -> None:
    fields = {"page": "new", "part": ALL, "row": ALL, "key": ALL}

    @app.callback(
        Output("new-says", "children"),
        Output("new-checked", "data"),
        Output("new-text", "value"),
        Output("new-start", "disabled"),
        Input({"page": "new", "check": "form", "n": ALL}, "n_clicks"),
        Input("new-check-text", "n_clicks"),
        State("new-text", "value"),
        State(fields, "value"),
        State(fields, "id"),
        prevent_initial_call=True,
    )
    def check(_: Any, __: Any, text: str | None, values: list[Any], places: list[FieldAt]) -> Any:
        if len(values) != len(places):
            raise BadRequest("as many values as places")
        of_form = ctx.triggered_id != "new-check-text"
        if of_form and not (ctx.triggered and ctx.triggered[0]["value"]):
            return no_update, no_update, no_update, no_update
        written = text_of(draft_of(values, places)) if of_form else text or ""
        try:
            found = checked(written, site.permit)
        except UsageFault as fault:
            return _refused(fault), None, written, True
        return _estimate(found), _digest(written), written, False

    @app.callback(
        Output("new-started", "children"),
        Input("new-start", "n_clicks"),
        State("new-text", "value"),
        State("new-checked", "data"),
        prevent_initial_call=True,
    )
    def begin(_: Any, text: str | None, digest: str | None) -> Any:
        if _digest(text or "") != digest:
            return "The text was changed since it was checked: check it again."
        try:
            found = checked(text or "", site.permit)
            name = start(site.runs.root, found.plan, most=site.permit.most_jobs)
        except UsageFault as fault:
            return f"{fault.message} ({fault.hint})"
        return f"Started {found.plan.name} as {name}. It appears below."


def draft_of(values: list[Any], places: list[FieldAt]) -> Draft:
    """What was typed, by the ids of the inputs."""
    parts: dict[str, dict[int, dict[str, Any]]] = {}
    for value, place in zip(values, places, strict=True):
        parts.setdefault(place["part"], {}).setdefault(place["row"], {})[place["key"]] = value

    def one(part: str) -> dict[str, Any]:
        return parts.get(part, {}).get(0, {})

    def rows(part: str) -> list[dict[str, Any]]:
        return [fields for _, fields in sorted(parts.get(part, {}).items())]

    return Draft(one("plan"), rows("target"), one("workload"), rows("stage"), one("slo"), one("budget"))


def _rows(app: Any) -> None:
    """Targets and stages come and go."""
    for part, blank in (("target", blank_target), ("stage", blank_stage)):

        @app.callback(
            Output(f"new-{part}s", "children"),
            Input(f"new-add-{part}", "n_clicks"),
            Input({"page": "new", "remove": part, "row": ALL}, "n_clicks"),
            State({"page": "new", "remove": part, "row": ALL}, "id"),
            prevent_initial_call=True,
        )
        def change(added: int | None, _: Any, places: list[RowAt], blank: Any = blank, part: str = part) -> Any:
            rows = [place["row"] for place in places]
            patched = Patch()
            if ctx.triggered_id == f"new-add-{part}":
                if not added or len(rows) >= _MOST_ROWS:
                    return no_update
                patched.append(blank(max(rows, default=-1) + 1))
                return patched
            if not (ctx.triggered and ctx.triggered[0]["value"]) or len(rows) < 2:
                return no_update
            row = pressed(RowAt)["row"]
            if row not in rows:
                return no_update
            del patched[rows.index(row)]
            return patched


def _started(app: Any, site: Site) -> None:
    @app.callback(
        Output("new-jobs", "children"),
        Input("new-tick", "n_intervals"),
        Input("new-started", "children"),
        Input({"page": "new", "stop": ALL}, "n_clicks"),
    )
    def follow(_: Any, __: Any, clicks: list[int | None]) -> Any:
        if isinstance(ctx.triggered_id, dict) and any(clicks):
            with suppress(UsageFault):  # it has ended by itself, as the list now says
                stop(site.runs.root, pressed(JobAt)["stop"])
        return _jobs(site)


PAGE = Page("new", "New run", layout, callbacks)
