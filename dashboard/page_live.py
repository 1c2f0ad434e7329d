"""Live: runs that go on, followed while they do: progress, figures, charts, doubts, degradation, promises, spend."""

from __future__ import annotations

from typing import Any

from dash import Input, Output, State, dcc, html, no_update

from analysis.wording import NOTHING
from dashboard import live_panel
from dashboard.live_charts import CHARTS, Trails, figures, no_figure
from dashboard.pieces import card, empty, heading, table
from dashboard.run_list import Listed, latest, listed_of
from dashboard.site import Page, Query, Site
from dashboard.watching import Watch
from harness.errors import UsageFault
from harness.records.monitor_record import Picture, read_picture
from harness.rundir import RunDir

LOOK_MS = 500  # a monitor writes once a second: what is shown is then hardly older
_LIST_MS = 3000
_FIGURES = (
    "Of what ended in the last 10 seconds, minute or 10 minutes; errors and throttling by attempts. The longer ones "
    "are worked out less often: of a long run the minute may lag by a second, the 10 minutes by 10."
)
_OVER = "This run is over, and no monitor watched it."
_CONFIG = {"displayModeBar": False, "responsive": True}


def layout(site: Site, query: Query) -> Any:
    """The page: the run that is asked for, else the first that goes on, and the list of all."""
    listed = latest(site.runs.root)
    name = query.get("run") or next((each.name for each in listed if each.state == "running"), "")
    if name:
        site.runs.folder(name)
    parts: list[Any] = [
        heading("Live", says="Runs that go on, as their monitor sees them. What is shown is at most 2 s old."),
        dcc.Store(id="live-run", data=name),
        dcc.Store(id="live-at"),
        dcc.Interval(id="live-list-tick", interval=_LIST_MS),
    ]
    if name:
        parts += [_unwatched(site, name) if _is_over(site, name) else _watched(name)]
    return [*parts, html.Div(_runs(site, listed, name), id="live-list")]


def _is_over(site: Site, name: str) -> bool:
    """Whether a run has ended and left no picture to show."""
    listed = listed_of(site.runs.root, name)
    over = listed is not None and listed.state != "running"
    return over and not site.runs.folder(name).monitor.exists()


def _unwatched(site: Site, name: str) -> Any:
    link = dcc.Link("Its numbers", href=site.href("run", run=name))
    return card("Run", html.P(html.Code(name)), html.P([f"{_OVER} ", link, "."]))


def _watched(name: str) -> Any:
    charts = [
        card(
            title,
            html.Div(
                dcc.Graph(id=f"live-{key}", config=_CONFIG, style={"height": "190px"}, figure=no_figure()),
                className="figure",
                role="img",
                **{"aria-label": f"{title}, over the last minutes"},
            ),
        )
        for key, title, _ in CHARTS
    ]
    return html.Div(
        [
            dcc.Interval(id="live-tick", interval=LOOK_MS),
            html.P(["Run ", html.Code(name)], className="lead"),
            html.P("", id="live-trouble", className="note", role="status"),
            html.Div(card("Progress", html.P("Waiting for the monitor.", className="soft")), id="live-progress"),
            html.Div(charts, className="grid three"),
            card(
                "Figures",
                html.Div(html.P("No request has ended yet.", className="soft"), id="live-windows"),
                note=_FIGURES,
            ),
            html.Div(id="live-parts", className="grid"),
        ],
        className="stack",
    )


def _runs(site: Site, listed: list[Listed], here: str) -> Any:
    if not listed:
        return empty(
            "No runs yet", "Whatever is started over this folder appears here.", code="tokenswarm run plan.yaml"
        )
    rows = [_row(site, each, here) for each in listed]
    return card("Running and latest", table(("Run", "Plan", "State", "Look at"), rows, left=4, label="Runs"))


def _row(site: Site, run: Listed, here: str) -> list[Any]:
    watch = dcc.Link("live", href=site.href("live", run=run.name))
    links = [html.Strong("shown")] if run.name == here else [watch] if run.state == "running" else []
    if run.ended not in (None, "running"):
        links += [" " if links else "", dcc.Link("numbers", href=site.href("run", run=run.name))]
    if run.report:
        links += [" ", html.A("report", href=site.href(f"download/{run.name}/report.html"))]
    state = html.Span(run.ended if run.state == "ended" and run.ended else run.state)
    return [html.Code(run.name), run.plan, state, html.Span(links or NOTHING)]


def callbacks(app: Any, site: Site) -> None:
    """The panel is asked for once a second; what did not change is not sent again."""
    watch, trails = Watch(site.runs.root), Trails()
    charts = [Output(f"live-{key}", "figure") for key, _, _ in CHARTS]

    @app.callback(
        Output("live-progress", "children"),
        Output("live-windows", "children"),
        Output("live-parts", "children"),
        Output("live-trouble", "children"),
        Output("live-at", "data"),
        *charts,
        Input("live-tick", "n_intervals"),
        State("live-run", "data"),
        State("live-at", "data"),
    )
    def follow(_: Any, name: str, seen: float | None) -> Any:
        picture, trouble = _look(site, watch, name)
        nothing = [no_update] * (5 + len(charts))
        if picture is None:
            return [*nothing[:3], trouble, *nothing[4:]]
        if seen == picture.at_wall_s:
            return [*nothing[:3], trouble, *nothing[4:]]
        drawn = figures(trails.add(picture))
        run_dir = site.runs.folder(name)
        return [
            live_panel.progress(picture, _repeat(run_dir)),
            live_panel.windows(picture),
            _parts(site, picture, name),
            trouble,
            picture.at_wall_s,
            *drawn,
        ]

    @app.callback(Output("live-list", "children"), Input("live-list-tick", "n_intervals"), State("live-run", "data"))
    def look_for_runs(_: Any, name: str) -> Any:
        return _runs(site, latest(site.runs.root), name)


def _look(site: Site, watch: Watch, name: str) -> tuple[Picture | None, str]:
    """The picture of a run, and what is wrong with it."""
    try:
        run_dir = site.runs.folder(name)
        listed = listed_of(site.runs.root, name)
        if listed is not None and listed.state == "running":
            watch.look(run_dir)
        picture = read_picture(run_dir.monitor)
    except UsageFault as fault:
        return None, f"{fault.message} ({fault.hint})"
    if picture is None:
        ended = listed is not None and listed.state != "running"
        return None, _OVER if ended else watch.trouble(run_dir)
    return picture, ""


def _repeat(run_dir: RunDir) -> str:
    """Which repeat it is, by the names of the journals."""
    found = [path.name.partition("-")[0] for path in run_dir.journals.glob("r*-*.jsonl")]
    repeats = [int(each[1:]) for each in found if each[1:].isdigit()]
    return f", repeat {max(repeats)}" if repeats else ""


def _parts(site: Site, picture: Picture, name: str) -> list[Any]:
    return [
        live_panel.firing(picture, site.href("alerts", run=name)),
        live_panel.doubts(picture),
        live_panel.shifts(picture),
        live_panel.promises(picture),
        live_panel.spend(picture),
    ]


PAGE = Page("live", "Live", layout, callbacks)
