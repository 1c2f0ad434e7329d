"""Alerts: what is firing, pending and over in the runs of the folder; acknowledging and silencing it."""

from __future__ import annotations

from typing import Any

from dash import ALL, Input, Output, State, ctx, dcc, html, no_update

from analysis.wording import NOTHING
from dashboard.alert_book import Alert, Book, Silence, act, read_book, runs_with_alerts
from dashboard.pieces import card, chips, empty, heading, table
from dashboard.site import Page, Query, Site
from dashboard.typed_callbacks import pressed
from harness.errors import UsageFault
from harness.records.alert_record import AlertEvent

LOOK_MS = 1000
_HOURS = ("0.25", "1", "8", "24", "168")
_MARKS = {"critical": "✗", "warning": "!", "info": "·"}
_CLASSES = {"critical": "invalid", "warning": "suspect", "info": "open"}
_BY = "dashboard"


def layout(site: Site, query: Query) -> Any:
    """The page: of one run, or of the latest that had alerts."""
    run = query.get("run", "")
    if run:
        site.runs.folder(run)
    known = runs_with_alerts(site.runs.root)
    if not known and not run:
        says = "A monitor raises alerts by rules: `tokenswarm monitor RUN_DIR`, or the live page while it is open."
        return [heading("Alerts"), empty("No alerts yet", says, "docs/monitor.md says which rules are shipped.")]
    entries = [("All runs", site.href("alerts"), not run)]
    entries += [(name, site.href("alerts", run=name), name == run) for name in known[:8]]
    return [
        heading("Alerts", says="What is wrong now, since when, and what was. Times are UTC."),
        chips(entries, "Runs"),
        dcc.Store(id="alerts-run", data=run),
        dcc.Store(id="alerts-seen"),
        dcc.Interval(id="alerts-tick", interval=LOOK_MS),
        _form(),
        html.P("", id="alerts-said", role="status", className="note"),
        html.Div(_lists(_book(site, run)), id="alerts-lists", className="stack"),
    ]


def _form() -> Any:
    hours = dcc.Input(id="alerts-hours", type="text", inputMode="decimal", value="1", list="alerts-usual", maxLength=8)
    comment = dcc.Input(id="alerts-comment", type="text", maxLength=300)
    fields = [
        html.Label([html.Span(text, className="label"), entry], className="field")
        for text, entry in (("For how many hours", hours), ("Comment", comment))
    ]
    return card(
        "Silence",
        html.Datalist([html.Option(value=each) for each in _HOURS], id="alerts-usual"),
        html.Div(fields, className="fields"),
        note="For the buttons below. A silenced alert is still recorded; nobody is told of it.",
    )


def _book(site: Site, run: str) -> Book:
    return read_book(site.runs.root, [run] if run else runs_with_alerts(site.runs.root))


def _lists(book: Book) -> list[Any]:
    firing = [each for each in book.now if each.episode.state == "firing"]
    pending = [each for each in book.now if each.episode.state == "pending"]
    parts = [html.P(text, className="missed", role="alert") for text in book.troubles]
    parts += [_now("Firing", firing, "Nothing is firing."), _now("Pending", pending, "Nothing is pending.")]
    parts += [_silences(book.silences)] if book.silences else []
    return [*parts, _past(book)]


def _now(title: str, alerts: list[Alert], nothing: str) -> Any:
    if not alerts:
        return card(title, html.P(nothing, className="soft"))
    heads = ("Alert", "What to do", "Where", "Since", "Value", "Limit")
    rows = [_row(each) for each in alerts]
    return card(f"{title}: {len(alerts)}", table(heads, rows, left=4, label=title))


def _row(alert: Alert) -> list[Any]:
    found = alert.episode
    known = f"acknowledged by {found.acknowledged_by}" if found.acknowledged_by else ""
    notes = [text for text in (known, "silenced" if found.silenced else "", found.comment) if text]
    said = html.Small("; ".join([found.summary, *notes]), className="wrapped")
    return [
        [_severity(found.severity), f" {found.rule}", said],
        html.Div(
            [
                _button("Acknowledge", "acknowledge", alert),
                _button("Silence this", "silence", alert),
                _button("Silence the rule", "silence-rule", alert),
            ],
            className="actions",
        ),
        [found.target, html.Small(f"{found.workload} {alert.run}")],
        found.since_utc[:19].replace("T", " "),
        _number(found.value),
        _number(found.threshold),
    ]


def _button(text: str, kind: str, alert: Alert) -> Any:
    found = alert.episode
    place = {"page": "alerts", "do": kind, "run": alert.run, "id": found.id, "rule": found.rule}
    says = f"{text}: {found.rule}, {found.target}"
    return html.Button(text, id=place, className="quiet", type="button", n_clicks=0, **{"aria-label": says})


def _severity(severity: str) -> Any:
    return html.Span(f"{_MARKS[severity]} {severity}", className=f"badge {_CLASSES[severity]}")


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4g}"


def _silences(silences: tuple[Silence, ...]) -> Any:
    rows = [
        [
            each.action.id or ", ".join(filter(None, (each.action.rule, each.action.target))) or "everything",
            each.run,
            (each.action.until_utc or "for good")[:19].replace("T", " "),
            f"{each.action.by}: {each.action.comment}" if each.action.comment else each.action.by,
            html.Button(
                "End",
                id={
                    "page": "alerts",
                    "do": "unsilence",
                    "run": each.run,
                    "id": each.action.id or "",
                    "rule": each.action.rule or "",
                    "target": each.action.target or "",
                },
                className="quiet",
                type="button",
                n_clicks=0,
                **{"aria-label": f"End the silence of {each.action.id or each.action.rule or 'everything'}"},
            ),
        ]
        for each in silences
    ]
    return card("Silences", table(("Silenced", "Run", "Until", "By", "End it"), rows, left=4, label="Silences"))


def _past(book: Book) -> Any:
    if not book.past:
        return card("History", html.P("Nothing has happened.", className="soft"))
    heads = ("When", "State", "Alert", "Where", "What", "Value", "Limit")
    rows = [_event(run, event) for run, event in book.past]
    return card("History", table(heads, rows, left=5, label="History of alerts"), note="The latest first.")


def _event(run: str, event: AlertEvent) -> list[Any]:
    silenced = " (silenced)" if event.silenced else ""
    return [
        event.at_utc[:19].replace("T", " "),
        f"{event.state}{silenced}",
        [_severity(event.severity), f" {event.rule}"],
        [event.target, html.Small(f"{event.workload} {run}")],
        html.Div(event.summary, className="words"),
        _number(event.value),
        _number(event.threshold),
    ]


def callbacks(app: Any, site: Site) -> None:
    """The lists follow the files; buttons append to `alert_actions.jsonl`."""

    @app.callback(
        Output("alerts-lists", "children"),
        Output("alerts-seen", "data"),
        Input("alerts-tick", "n_intervals"),
        Input("alerts-said", "children"),
        State("alerts-run", "data"),
        State("alerts-seen", "data"),
    )
    def look(_: Any, __: Any, run: str, seen: str | None) -> Any:
        book = _book(site, run)
        now = str(hash(book))
        return (no_update, no_update) if now == seen else (_lists(book), now)

    fixed = {"page": "alerts", "run": ALL, "id": ALL, "rule": ALL}

    @app.callback(
        Output("alerts-said", "children"),
        *(Input(fixed | {"do": kind}, "n_clicks") for kind in ("acknowledge", "silence", "silence-rule")),
        Input(fixed | {"do": "unsilence", "target": ALL}, "n_clicks"),
        State("alerts-hours", "value"),
        State("alerts-comment", "value"),
        prevent_initial_call=True,
    )
    def do(*values: Any) -> Any:
        hours, comment = values[-2], values[-1]
        place = ctx.triggered_id
        if place is None or not ctx.triggered or not ctx.triggered[0]["value"]:
            return no_update  # a button that has just appeared was not pressed
        try:
            return _done(site, pressed(dict[str, str]), str(hours or ""), str(comment or ""))
        except UsageFault as fault:
            return f"{fault.message} ({fault.hint})"


def _done(site: Site, place: dict[str, str], hours: str, comment: str) -> str:
    """Do what a button says; what was done, in words."""
    run, kind = place.get("run", ""), place.get("do", "")
    site.runs.folder(run)
    if kind == "acknowledge":
        act(site.runs.root, run, "acknowledge", _BY, episode=place["id"], comment=comment)
        return f"Acknowledged: {place['rule']}. The monitor takes it up at its next look."
    if kind == "unsilence":
        episode, rule, target = (place[key] or None for key in ("id", "rule", "target"))
        act(site.runs.root, run, "unsilence", _BY, episode=episode, rule=rule, target=target, comment=comment)
        return "The silence is over."
    try:
        for_s = 3600 * float(hours)
    except ValueError as error:
        raise UsageFault(f"silence: {hours[:20]!r} hours: must be a number", "such as 0.5 or 8") from error
    whole = kind == "silence-rule"
    episode, rule = (None, place["rule"]) if whole else (place["id"], None)
    action = act(site.runs.root, run, "silence", _BY, episode=episode, rule=rule, for_s=for_s, comment=comment)
    what = "Every alert of the rule" if whole else "This alert of"
    return f"{what} {place['rule']} is silent until {(action.until_utc or '')[:19].replace('T', ' ')} UTC."


PAGE = Page("alerts", "Alerts", layout, callbacks)
