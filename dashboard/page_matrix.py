"""Matrix: every metric of every target of a load; a cell opens the difference to the others, its repeats and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict
from urllib.parse import parse_qsl

from dash import ALL, Input, Output, State, html, no_update

from analysis.comparing.leaders import leaders
from analysis.deciding.entrants import Contest, Entrant
from analysis.deciding.quotes import Quote
from analysis.deciding.wording_decision import apart_text, load_text, quote_text
from analysis.ranking import MATRIX
from analysis.records.comparison_record import Comparison
from analysis.showing.charts import distribution
from analysis.showing.charts_ranking import behind
from analysis.summary import Summary
from analysis.wording import NOTHING, change_between, metric_name, metric_value, ratio_between, sentence
from dashboard import picker
from dashboard.board import left_apart
from dashboard.compared import against_others, metrics_of, repeats_figure
from dashboard.pieces import card, empty, ends, fault, figure, heading, table
from dashboard.site import Page, Query, Site
from dashboard.typed_callbacks import pressed
from dashboard.weighing import chosen_load
from harness.errors import UsageFault

PATH = "matrix"
_TINT = 0.3  # share of the accent behind the best of a row
_HINT = "Choose a number: the difference to the others, its repeats and its plots appear here."
_MOST_BESIDE = 5  # targets whose numbers leave room for a drill-down beside them
_DISTRIBUTIONS = ("ttft_s", "itl_s", "e2e_s")


def layout(site: Site, query: Query) -> Any:
    """The page."""
    title = heading("Matrix", says="Every metric of every target under one load, with its 95 % interval.")
    run = picker.chosen(site, query, lambda each: len(each.targets) > 1)
    if run is None:
        return [title, picker.no_runs(site)]
    head = [title, picker.picker(site, run)]
    try:
        summary = site.runs.summary(run)
    except UsageFault as found:
        return [*head, fault(found)]
    loads = site.weighing.contests(summary)
    if not loads:
        return [*head, empty("Nothing to compare", "Plain CSV tells no loads apart: see the page of this run.")]
    contest, _ = chosen_load(loads, query.get("load"))
    head.append(picker.load_chips(site, PATH, run, [each for each, _ in loads], contest))
    if not contest.entrants:
        none = empty("Nobody is comparable under this load", "A matrix needs a target whose numbers can be believed.")
        return [*head, none, left_apart(contest.apart)]
    beside = len(contest.entrants) <= _MOST_BESIDE
    kind = "sticky" if beside else ""
    side = card("Drill-down", html.P(_HINT, className="soft"), id="matrix-drill", kind=kind, tabIndex="0")
    return [
        *head,
        html.Div([_matrix(summary, contest), side], className="side even" if beside else "stack"),
    ]


def _matrix(summary: Summary, contest: Contest) -> Any:
    best = leaders(summary)
    paths = metrics_of(contest.entrants, MATRIX)
    rows = [_row(contest, path, number, best) for number, path in enumerate(paths)]
    note = "Shade: how near the best of a row. ★: shown to be better than every other target."
    names = [each.name for each in contest.entrants]
    load = load_text(contest.workload, contest.label)
    apart = [html.P(apart_text(each), className="soft") for each in contest.apart]
    return card(load, table(["Metric", *names], rows, label=f"Metrics under {load}"), *apart, note=note, kind="matrix")


def _row(contest: Contest, path: str, number: int, best: set[tuple[str, str | None, int | None, str]]) -> list[Any]:
    quotes = [each.quote(path) for each in contest.entrants]
    shade = behind(path, [None if each is None else each.value for each in quotes])
    cells: list[Any] = [metric_name(path)]
    for place, (entrant, quote) in enumerate(zip(contest.entrants, quotes, strict=True)):
        if quote is None:
            cells.append(NOTHING)
            continue
        leads = (entrant.target, contest.workload, contest.stage, path) in best
        cells.append(
            html.Button(
                [html.Span("★ ", title="shown to be the best") if leads else None, *ends(quote_text(path, quote))],
                id={"type": "matrix-cell", "row": number, "column": place},
                type="button",
                className="cell",
                style={"background": _tint(shade[place])},
                **{"data-value": repr(quote.value), "data-metric": path, "data-target": entrant.target},
            )
        )
    return cells


def _tint(near: float | None) -> str:
    share = 100 * _TINT * (near or 0.0) ** 2
    return f"color-mix(in srgb, var(--accent) {share:.0f}%, transparent)"


class CellAt(TypedDict):
    """The id of a cell."""

    row: int
    column: int


def callbacks(app: Any, site: Site) -> None:
    """A cell opens the drill-down."""

    @app.callback(
        Output("matrix-drill", "children"),
        Input({"type": "matrix-cell", "row": ALL, "column": ALL}, "n_clicks"),
        State("address", "search"),
        prevent_initial_call=True,
    )
    def drill(clicks: list[int | None], search: str | None) -> Any:
        if not any(clicks):
            return no_update
        query = dict(parse_qsl((search or "").removeprefix("?")))
        run = picker.chosen(site, query, lambda each: len(each.targets) > 1)
        if run is None:
            return no_update
        summary = site.runs.summary(run)
        contest, _ = chosen_load(site.weighing.contests(summary), query.get("load"))
        at = pressed(CellAt)
        paths = metrics_of(contest.entrants, MATRIX)
        if not (0 <= at["row"] < len(paths) and 0 <= at["column"] < len(contest.entrants)):
            return no_update  # the run was measured on, or made smaller, since the page was drawn
        path = paths[at["row"]]
        return _drill(site, run, summary, contest, contest.entrants[at["column"]], path)


def _drill(site: Site, run: str, summary: Summary, contest: Contest, entrant: Entrant, path: str) -> Any:
    quote = entrant.quote(path)
    compared = against_others(summary, contest, entrant.target, path)
    parts: list[Any] = [
        html.H2(f"{entrant.name}: {metric_name(path)}"),
        html.P(quote_text(path, quote) if quote else NOTHING, className="big"),
        html.P(f"{load_text(contest.workload, contest.label)}, {entrant.result.repeats} repeats", className="note"),
    ]
    parts += [html.P(sentence(each), className=f"said {each.verdict.replace(' ', '-')}") for each in compared]
    if compared:
        parts.append(_compared_table(compared, {each.target: each.quote(path) for each in contest.entrants}))
    else:
        parts.append(
            html.P("No test compares this number between targets; its interval tells how sure it is.", className="soft")
        )
    drawn = repeats_figure(summary, contest, path)
    if drawn is not None:
        parts += [
            html.H3("Repeats"),
            html.P("A mark a repeat; diamond: what is quoted, with its interval.", className="note"),
        ]
        parts.append(figure(drawn, f"{metric_name(path)} of each repeat of each target"))
    parts += _distribution(site, run, summary, path.partition(".")[0])
    return parts


def _compared_table(compared: Sequence[Comparison], quotes: Mapping[str, Quote | None]) -> Any:
    rows = [
        [
            html.Span(each.b),
            html.Span(each.verdict, className={"better": "met", "worse": "missed"}.get(each.verdict, "")),
            ends(ratio_between(each)),
            ends(change_between(each.metric, each.difference)),
            NOTHING if each.p_adjusted is None else f"{each.p_adjusted:.2g}",
            metric_value(each.metric, quote.value if (quote := quotes.get(each.b)) is not None else None),
        ]
        for each in compared
    ]
    return table(["Against", "It is", "Ratio", "Difference", "p", "Theirs"], rows, left=2, label="Against the others")


def _distribution(site: Site, run: str, summary: Summary, metric: str) -> list[Any]:
    """The distribution of all requests of a run, where the metric has one and its requests can be read."""
    if metric not in _DISTRIBUTIONS:
        return []
    try:
        found = distribution(summary, site.runs.samples(run), metric)
    except UsageFault as reason:
        return [html.P(str(reason), className="soft")]
    if found is None:
        return []
    note = html.P("Cumulative; all loads and repeats, good requests.", className="note")
    return [html.H3("Distribution"), note, figure(found, f"Distribution of {metric}", height=300)]


PAGE = Page(PATH, "Matrix", layout, callbacks)
