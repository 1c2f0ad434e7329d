"""Leaderboard: the targets of a load by weighted scores, how sure each rank is, and sliders for the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict
from urllib.parse import parse_qsl

from dash import ALL, Input, Output, State, dcc, html, no_update

from analysis.deciding.burdens import CATEGORIES
from analysis.deciding.entrants import Contest
from analysis.deciding.ranking_record import Ranking
from analysis.deciding.use_cases import shipped
from dashboard import picker
from dashboard.board import COLOUR, board
from dashboard.pieces import card, empty, fault, heading
from dashboard.site import Page, Query, Site
from dashboard.typed_callbacks import pressed
from dashboard.weighing import chosen_load, load_key
from harness.errors import UsageFault

PATH = ""
_SIDES = {
    "latency": "TTFT and E2E",
    "throughput": "requests/s, tokens/s",
    "quality": "accuracy of the answers",
    "reliability": "share of success",
    "cost": "USD a request",
}
_STEP = 5  # of a slider, from 0 to 100


def layout(site: Site, query: Query) -> Any:
    """The page."""
    run = picker.chosen(site, query, lambda each: len(each.targets) > 1)
    if run is None:
        return [heading("Leaderboard"), picker.no_runs(site)]
    head = [heading("Leaderboard", says=_LEAD), picker.picker(site, run)]
    try:
        found = site.weighing.contests(site.runs.summary(run))
    except UsageFault as reason:
        return [*head, fault(reason)]
    if not found:
        return [*head, empty("Nothing to rank", "Plain CSV tells no loads apart, so its targets cannot be compared.")]
    contest, known = chosen_load(found, query.get("load"))
    weights = _asked(query)
    ranking = site.weighing.rank(contest, known, weights)
    head.append(picker.load_chips(site, PATH, run, [each for each, _ in found], contest))
    if not ranking.places:  # then there is nothing to weigh
        return [*head, html.Div(board(ranking), id="leaderboard-board", className="board")]
    return [
        *head,
        html.Div(
            [
                html.Div(board(ranking), id="leaderboard-board", className="board", **{"aria-live": "polite"}),
                html.Div(
                    [_sliders(weights, ranking, _link(site, run, contest, weights)), _presets()],
                    className="sticky stack",
                ),
            ],
            className="side",
        ),
    ]


_LEAD = "Targets under one load by weighted scores. What these repeats do not tell apart stands together."


def _asked(query: Query) -> dict[str, float]:
    """The weights in an address; else all alike."""
    found: dict[str, float] = {}
    for name in CATEGORIES:
        value = query.get(name, "")
        found[name] = min(100.0, float(value)) if value.isascii() and value.isdigit() else 100.0 if not value else 0.0
    return found if any(found.values()) else dict.fromkeys(CATEGORIES, 100.0)


def _sliders(weights: Mapping[str, float], ranking: Ranking, keep: Any) -> Any:
    rows = [_slider(name, weights[name], ranking) for name in CATEGORIES]
    rows.append(html.Div(keep, id="leaderboard-link", className="keep"))
    return card("Weights", *rows, note="How much each counts. Arrow keys move a slider too.")


def _link(site: Site, run: str, contest: Contest, weights: Mapping[str, float]) -> Any:
    """The address of the page as it is."""
    asked = {name: f"{weight:.0f}" for name, weight in weights.items()}
    return dcc.Link("Link to these weights", href=site.href(PATH, run=run, load=load_key(contest), **asked))


def _slider(name: str, value: float, ranking: Ranking) -> Any:
    missing = ranking.left_out.get(name)
    return html.Div(
        [
            html.Label(
                [
                    html.Span(className="swatch", style={"background": COLOUR[name]}),
                    html.Span(name),
                    html.Small("not measured" if missing else _SIDES[name], title=missing or ""),
                ],
                htmlFor=f"leaderboard-{name}",
            ),
            html.Output(_percent(ranking.weights.get(name)), id=f"leaderboard-{name}-share"),
            dcc.Input(
                id=f"leaderboard-{name}",
                type="range",
                min=0,
                max=100,
                step=_STEP,
                value=int(value),
                debounce=0.03,
                disabled=missing is not None,
            ),
        ],
        className="slider",
    )


def _percent(weight: float | None) -> str:
    return "0 %" if weight is None else f"{100 * weight:.0f} %"


def _presets() -> Any:
    names = ["equal", *sorted(shipped())]
    buttons = [
        html.Button(
            name.replace("_", " "), id={"type": "leaderboard-preset", "name": name}, className="chip", type="button"
        )
        for name in names
    ]
    return card("For a use case", html.Div(buttons, className="chips"), note="Weights of the shipped use cases.")


def preset(name: str) -> list[int]:
    """Where the sliders stand for a use case; the largest weight is 100."""
    weights = dict.fromkeys(CATEGORIES, 1.0) if name == "equal" else shipped()[name].weights
    most = max(weights.values())
    return [round(100 * weights.get(each, 0.0) / most / _STEP) * _STEP for each in CATEGORIES]


class Preset(TypedDict):
    """The id of a button that sets the sliders."""

    name: str


def callbacks(app: Any, site: Site) -> None:
    """Sliders weigh, presets set sliders."""

    @app.callback(
        Output("leaderboard-board", "children"),
        Output("leaderboard-link", "children"),
        *[Output(f"leaderboard-{name}-share", "children") for name in CATEGORIES],
        *[Input(f"leaderboard-{name}", "value") for name in CATEGORIES],
        State("address", "search"),
        prevent_initial_call=True,
    )
    def weigh(*values: str | float | None) -> Any:
        query = dict(parse_qsl(str(values[-1] or "").removeprefix("?")))
        run = picker.chosen(site, query, lambda each: len(each.targets) > 1)
        weights = {name: _whole(value) for name, value in zip(CATEGORIES, values[:-1], strict=True)}
        if run is None or not any(weights.values()):
            return [empty("All weights are 0", "Move one slider at least."), None, *["0 %"] * len(CATEGORIES)]
        contest, known = chosen_load(site.weighing.contests(site.runs.summary(run)), query.get("load"))
        ranking = site.weighing.rank(contest, known, weights)
        link = _link(site, run, contest, weights)
        return [board(ranking), link, *[_percent(ranking.weights.get(name)) for name in CATEGORIES]]

    @app.callback(
        *[Output(f"leaderboard-{name}", "value") for name in CATEGORIES],
        Input({"type": "leaderboard-preset", "name": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )
    def choose(clicks: list[int | None]) -> Any:
        if not any(clicks):
            return [no_update] * len(CATEGORIES)
        name = pressed(Preset)["name"]
        return preset(name) if name == "equal" or name in shipped() else [no_update] * len(CATEGORIES)


def _whole(value: object) -> float:
    """What a slider says; anything else counts nothing."""
    try:
        return min(100.0, max(0.0, float(str(value))))
    except ValueError:
        return 0.0


PAGE = Page(PATH, "Leaderboard", layout, callbacks)
