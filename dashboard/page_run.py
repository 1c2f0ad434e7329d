"""Run: one run in full. Findings first, then answers, latencies, scaling, reliability, quality and cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from dash import ALL, Input, Output, State, dcc, html, no_update

from analysis.showing.wording_capacity import capacity, cause_line, law, trend_line, verdict
from analysis.showing.wording_cost import price_lines
from analysis.showing.wording_quality import load_line, sources
from analysis.showing.wording_search import answer_lines
from analysis.summary import Summary
from analysis.wording import HEADLINES, NOT_SHOWN, place, seconds, sentence
from dashboard import picker, run_figures, run_tables, run_tiles
from dashboard.pieces import badge, card, fault, figure, finding, heading
from dashboard.site import Page, Query, Site
from harness.errors import UsageFault

_FIRST = 8  # sentences of a load that are shown at once
PATH = "run"


def layout(site: Site, query: Query) -> Any:
    """The page."""
    run = picker.chosen(site, query)
    if run is None:
        return [heading("Run"), picker.no_runs(site)]
    try:
        summary = site.runs.summary(run)
    except UsageFault as found:
        return [heading("Run"), picker.picker(site, run), fault(found)]
    sections = {name: made for name, made in _sections(summary).items() if made}
    jump = html.Nav(
        [html.A(name, href=f"#run-{name.split()[0].lower()}", className="chip") for name in sections],
        className="chips",
        **{"aria-label": "Sections"},
    )
    return [
        heading(summary.plan or summary.run, badge(summary.validity.verdict), says=_about(summary)),
        picker.picker(site, run),
        html.Div([jump, _downloads(site, run)], className="between"),
        *(html.Div(made, id=f"run-{name.split()[0].lower()}", className="part") for name, made in sections.items()),
        dcc.Store(id="run-name", data=run),
    ]


def _about(summary: Summary) -> str:
    parts = [
        summary.run,
        summary.started_utc,
        seconds(summary.duration_s) if summary.duration_s else None,
        summary.ended,
    ]
    return ", ".join(part for part in parts if part)


def _downloads(site: Site, run: str) -> Any:
    """Links to the files of the run that are there."""
    links = []
    for file in ("report.html", "summary.json"):
        try:
            site.runs.file(run, file)
        except UsageFault:
            continue
        links.append(html.A(f"↓ {file}", href=f"{site.prefix}download/{run}/{file}", className="button"))
    return html.Div(links, className="chips")


def _sections(summary: Summary) -> dict[str, list[Any]]:
    """The parts of the page by their names; an empty one is left out."""
    return {
        "Findings": _findings(summary),
        "Latency": _latency(summary),
        "Throughput": _throughput(summary),
        "Scaling": _scaling(summary),
        "Reliability": _reliability(summary),
        "Quality": _quality(summary),
        "Cost": _cost(summary),
    }


def _findings(summary: Summary) -> list[Any]:
    doubts = [finding(each) for each in summary.validity.findings]
    parts: list[Any] = [card("Findings", *(doubts or [html.P("No doubts about this run.")])), run_tiles.tiles(summary)]
    said = _answers(summary)
    if said:
        parts.append(card("Answers", html.Div(said, className="columns"), note="Who is ahead on the headline metrics."))
    wanted = run_tables.goals(summary.results)
    return [*parts, card("Goals of the plan", wanted)] if wanted is not None else parts


def _answers(summary: Summary) -> list[Any]:
    """Who is ahead on the headline metrics, load by load."""
    loads = {(each.workload, each.stage): place(each) for each in summary.results}
    told: dict[str, list[str]] = {}
    for each in summary.comparisons:
        if each.metric in HEADLINES:
            told.setdefault(loads.get((each.workload, each.stage), each.workload), []).append(sentence(each))
    return [_told(load, list(dict.fromkeys(lines))) for load, lines in told.items()]


def _told(load: str, lines: Sequence[str]) -> Any:
    """The sentences of a load; of many targets, which are many pairs, first those that tell some apart."""
    ordered = sorted(lines, key=lambda line: line.startswith(NOT_SHOWN))
    first, rest = ([html.P(line, className="said") for line in part] for part in (ordered[:_FIRST], ordered[_FIRST:]))
    more = html.Details([html.Summary(f"{len(rest)} more"), *rest]) if rest else None
    return html.Div([html.H3(load), *first, more])


def _latency(summary: Summary) -> list[Any]:
    note = (
        "Of good requests; 95 % intervals over repeats in brackets."
        if summary.source == "samples"
        else "As Locust counts them: failures included."
    )
    waiting = card("Distributions", html.P("Reading the single requests", className="soft waiting"))
    return [
        card("Latency", run_tables.latencies(summary.results), note=note),
        html.Div(waiting, id="run-distributions", className="grid", **{"aria-live": "polite"}),
    ]


def _throughput(summary: Summary) -> list[Any]:
    note = "Requests/s offered (open load), sent, ended ok, and ended ok within every limit."
    return [card("Throughput", run_tables.rates(summary.results), note=note), _later("throughput")]


def _scaling(summary: Summary) -> list[Any]:
    lines = [] if summary.search is None else answer_lines(summary.search)
    lines += [text for sweep in summary.sweeps for text in (law(sweep), capacity(sweep)) if text]
    rows = run_tables.scaling(summary.results)
    if not lines and not summary.diagnoses and rows is None:
        return []
    causes = [
        html.Li([verdict(each), html.Ul([html.Li(cause_line(c)) for c in each.causes])]) for each in summary.diagnoses
    ]
    moved = [html.Li(trend_line(each)) for each in summary.trends if each.says]
    note = "Against the lowest load of the same target; 95 % intervals over repeats."
    parts: list[Any] = [card("Scaling", *(html.P(each, className="answer") for each in lines), rows, note=note)]
    if causes or moved:
        parts.append(card("What holds it up, and what changed within the run", html.Ul([*causes, *moved])))
    return [*parts, _later("scaling")]


def _reliability(summary: Summary) -> list[Any]:
    per_load = run_tables.reliability(summary.results)
    tables = [each for each in (run_tables.providers(summary), per_load) if each is not None]
    note = "Each provider over all loads, then each load, with 95 % intervals."
    ended = card("How requests ended", run_tables.outcomes(summary.results))
    return [card("Reliability", *tables, note=note), _later("reliability"), ended]


def _quality(summary: Summary) -> list[Any]:
    rows = run_tables.quality(summary.results)
    if rows is None:
        return []
    lines = [html.P(f"{load_line(each)}.", className="answer") for each in summary.quality_under_load]
    return [card("Quality", *lines, rows, note=" ".join(sources(summary))), _later("quality")]


def _cost(summary: Summary) -> list[Any]:
    tables = run_tables.cost(summary.results)
    prices = [html.P(line, className="soft") for line in price_lines(summary)]
    return [card("Tokens and cost", *tables, *prices)] if tables else []


def _later(part: str) -> Any:
    """Where the figures of a part come when the page is there."""
    return html.Div(id={"type": "run-figures", "part": part}, className="grid")


class FigureOf(TypedDict):
    """The id of a place for figures."""

    part: str


def callbacks(app: Any, site: Site) -> None:
    """Figures come after the page: its numbers are read first, and single requests may take a while to read."""

    @app.callback(
        Output({"type": "run-figures", "part": ALL}, "children"),
        Input("run-name", "data"),
        State({"type": "run-figures", "part": ALL}, "id"),
    )
    def figures(run: str, places: list[FigureOf]) -> Any:
        summary = site.runs.summary(run)
        parts = [run_figures.OF_PARTS.get(each["part"]) for each in places]
        return [no_update if part is None else _cards(part(summary)) for part in parts]

    @app.callback(Output("run-distributions", "children"), Input("run-name", "data"))
    def distributions(run: str) -> Any:
        try:
            summary, samples = site.runs.summary(run), site.runs.samples(run)
        except UsageFault as found:
            return card("Distributions", html.P(f"{found}; {found.hint}.", className="soft"))
        return _cards(run_figures.of_requests(summary, samples))


def _cards(found: Sequence[run_figures.Figure]) -> list[Any]:
    return [card(title, figure(drawn, title), note=note) for title, note, drawn in found if drawn is not None]


PAGE = Page(PATH, "Run", layout, callbacks)
