"""History: what changed over all runs of a plan, by how much and when, each metric over time, and the week ahead."""

from __future__ import annotations

import html as markup
from collections.abc import Sequence
from typing import Any, TypedDict

from dash import ALL, Input, Output, ctx, dcc, html, no_update

from analysis.histories import wording_history as said
from analysis.histories.history_metrics import METRICS
from analysis.records.history_record import Series, Trends
from analysis.showing.charts_history import history_figure
from analysis.wording import NOTHING
from dashboard import picker
from dashboard.pieces import badge, card, chips, empty, figure, heading, table
from dashboard.runs import Listed
from dashboard.site import Page, Query, Site
from dashboard.typed_callbacks import taken

PATH = "history"
MOST_FIGURES = 6
MOST_CLAIMS = 8
MOST_MARKS = 250  # of a line: a browser draws each as an element
MOST_RUNS = 12
_HEADLINES = tuple(metric.path for metric in METRICS if metric.headline)
_PATHS = frozenset(metric.path for metric in METRICS)
_LEAD = "What is alike makes a series. Only what is beyond noise is claimed."


def layout(site: Site, query: Query) -> Any:
    """The page."""
    listed = [each for each in site.runs.listed() if each.verdict]
    if not listed:
        return [heading("History"), picker.no_runs(site)]
    plans = list(dict.fromkeys(each.plan for each in listed))
    plan = query.get("plan") if query.get("plan") in plans else plans[0]
    found = site.runs.trends(plans=[plan] if plan else [], last=0)
    metrics = [path for path in _HEADLINES if any(each.metric == path for each in found.series)]
    asked = query.get("metric", "")
    metric = asked if asked in _PATHS else metrics[0] if metrics else _HEADLINES[0]
    plan_chips = [(name or "(no plan)", site.href(PATH, plan=name, metric=metric), name == plan) for name in plans[:30]]
    named = [(said.name_of(path), site.href(PATH, plan=plan, metric=path), path == metric) for path in metrics]
    return [
        heading("History", says=_LEAD),
        chips(plan_chips, "Plans"),
        _claims(found),
        chips(named, "Metrics"),
        dcc.Store(id="history-shown", data={"plan": plan, "metric": metric}),
        html.Div(className="later", id="history-figures"),
        html.Div(id="history-opened", **{"aria-live": "polite"}),
        _table(found.series),
        _runs(site, [each for each in listed if each.plan == plan]),
        _skipped(found),
    ]


def _claims(found: Trends) -> Any:
    current = [each for each in found.series if each.current]
    lines = [each for each in said.claims(current) if each]
    overview = f"{sum(1 for _ in current):,} series of this plan; {found.runs:,} runs in the folder"
    if not lines:
        return card("What changed", html.P(said.unclaimed(found)), note=overview)
    first = html.Ul([html.Li(line) for line in lines[:MOST_CLAIMS]], className="claims")
    rest = lines[MOST_CLAIMS:]
    more = html.Details(
        [html.Summary(f"{len(rest)} more"), html.Ul([html.Li(line) for line in rest], className="claims")]
    )
    return card("What changed", first, more if rest else None, note=overview)


def _figures(series: Sequence[Series]) -> list[Any]:
    groups: dict[tuple[Any, ...], list[Series]] = {}
    for each in series:
        groups.setdefault((each.workload, each.stage, each.stage_label), []).append(each)
    if not groups:
        return [empty("Nothing to draw", "No run of this plan has measured this metric.")]
    cards = [_figure(number, group) for number, group in enumerate(list(groups.values())[:MOST_FIGURES])]
    left = len(groups) - len(cards)
    more = html.P(f"{left} more loads: `tokenswarm trend --html` draws all.", className="soft") if left > 0 else None
    return [html.Div(cards, className="grid" if len(cards) > 1 else "grid one"), more]


def _figure(number: int, group: Sequence[Series]) -> Any:
    first = group[0]
    load = ", ".join(part for part in (first.workload, first.stage_label) if part)
    title = f"{said.name_of(first.metric)}: {load}" if load else said.name_of(first.metric)
    note = "Dotted: the level changed; cross: an invalid run; dashed: the week ahead. Choose a mark to open its run."
    drawn = figure(history_figure(group, MOST_MARKS), title, name={"type": "history-figure", "n": number})
    return card(title, drawn, note=note)


def _table(series: Sequence[Series]) -> Any:
    rows = [
        [
            html.Span(said.name_of(each.metric)),
            each.target,
            ", ".join(part for part in (each.workload, each.stage_label) if part),
            f"{each.runs:,}",
            html.Span(said.value(each.metric, each.latest.value), className=_side(each.latest.verdict)),
            said.expected(each, each.latest) if each.latest.interval else NOTHING,
            _step(each),
            html.Span(_slope(each), className=_side(each.slope.verdict)),
            said.forecast(each) if each.forecast.expected else NOTHING,
        ]
        for each in series
        if each.current and each.metric in _HEADLINES
    ]
    heads = ["Metric", "Target", "Load", "Runs", "Latest", "Expected", "Last change", "A week", "In a week"]
    note = "Latest: of the latest run, and where it was to be expected. A week: the slope since the last change."
    return card("Series", table(heads, rows, left=3, label="Series"), note=note) if rows else None


def _side(verdict: str) -> str:
    return {"better": "met", "worse": "missed"}.get(verdict, "")


def _step(series: Series) -> Any:
    if not series.changes:
        return NOTHING
    step = series.changes[-1]
    return html.Span(
        [said.change(series, step.change.value), html.Small(said.day(step.utc))], className=_side(step.verdict)
    )


def _slope(series: Series) -> str:
    slope = series.slope
    return NOTHING if slope.per_week is None else said.change(series, slope.per_week.value)


def _runs(site: Site, listed: Sequence[Listed]) -> Any:
    rows = [
        [
            dcc.Link(each.name.rpartition("/")[2], href=site.href("run", run=each.name)),
            picker.when(each.started_s),
            badge(each.verdict),
            _names(each.targets),
        ]
        for each in listed[:MOST_RUNS]
    ]
    note = f"The latest {len(rows)} of {len(listed):,}." if len(listed) > len(rows) else ""
    return card("Runs", table(["Run", "Began", "Verdict", "Targets"], rows, left=4, label="Runs"), note=note)


def _names(targets: Sequence[str], most: int = 6) -> str:
    left = len(targets) - most
    return ", ".join(targets[:most]) + (f" and {left} more" if left > 0 else "")


def _skipped(found: Trends) -> Any:
    if not found.skipped:
        return None
    rows = [html.Li([html.Strong(each.path), f": {each.reason}"]) for each in found.skipped[:MOST_RUNS]]
    return html.Details(
        [html.Summary(f"{len(found.skipped):,} runs are not in the history"), html.Ul(rows)], className="notes"
    )


class Clicked(TypedDict):
    """What Plotly tells of a click on a figure."""

    points: list[dict[str, Any]]


def callbacks(app: Any, site: Site) -> None:
    """Charts come after the page, whose claims are read first; a mark of one leads to its run."""

    @app.callback(Output("history-figures", "children"), Input("history-shown", "data"))
    def draw(shown: dict[str, str | None]) -> Any:
        plan, metric = str(shown.get("plan") or ""), str(shown.get("metric") or "")
        return _figures(site.runs.trends(metrics=[metric], plans=[plan] if plan else []).series)

    @app.callback(
        Output("history-opened", "children"),
        Input({"type": "history-figure", "n": ALL}, "clickData"),
        prevent_initial_call=True,
    )
    def open_run(_: Any) -> Any:
        chosen = taken(ctx.triggered[0]["value"] if ctx.triggered else None, Clicked | None)
        text = chosen["points"][0].get("text") if chosen and chosen["points"] else None
        if not isinstance(text, str):
            return no_update
        run = markup.unescape(text)
        name = next(
            (each.name for each in site.runs.listed() if each.name == run or each.name.endswith(f"/{run}")), None
        )
        return (
            no_update if name is None else dcc.Link(f"Open {run}", href=site.href("run", run=name), className="button")
        )


PAGE = Page(PATH, "History", layout, callbacks)
