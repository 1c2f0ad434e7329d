"""The leaderboard itself: a row for each target, with its total, its rank, how sure these are, and its scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import html

from analysis.deciding.burdens import CATEGORIES
from analysis.deciding.entrants import Apart
from analysis.deciding.ranking_record import Place, Ranking, Score
from analysis.deciding.wording_decision import notes_of, rank_text, score_text, share_text
from analysis.showing.charts import COLOURS
from dashboard.pieces import card, dot, empty

COLOUR = dict(zip(CATEGORIES, COLOURS, strict=False))


def board(ranking: Ranking) -> Any:
    """A ranking as rows, the best first."""
    if not ranking.places:
        none = empty("Nobody can be ranked under this load", "A ranking needs two targets that are comparable.")
        return [none, left_apart(ranking.apart)]
    rows: list[Any] = []
    for place in ranking.places:
        group = [each for each in ranking.places if each.group == place.group]
        first = place is group[0]
        rows.append(_row(place, tied=len(group) > 1 and ranking.note is None, first=first))
    return [
        html.P(_says(ranking), className="answer", id="leaderboard-says"),
        html.Ol(rows, className="places"),
        left_apart(ranking.apart),
        _notes(ranking),
    ]


def _says(ranking: Ranking) -> str:
    """The answer in a sentence."""
    leader, tied = ranking.places[0], [each.target for each in ranking.places if each.group == 1]
    if ranking.note is not None:
        return f"{leader.target} is ahead; how surely is not known: {ranking.note}."
    if len(tied) > 1:
        names = f"{', '.join(tied[:-1])} and {tied[-1]}"
        return f"{names} are not told apart: {leader.target} is first in {share_text(leader.first)} of the draws."
    return f"{leader.target} leads: first in {share_text(leader.first)} of {ranking.draws:,} draws of what may be true."


def _row(place: Place, *, tied: bool, first: bool) -> Any:
    low, high = place.total.ci95 or (None, None)
    total = html.Div(
        [
            html.Span(f"{place.total.value:.1f}", className="score", **{"data-value": repr(place.total.value)}),
            dot(place.total.value or 0.0, low, high, 100.0),
            html.Small(f"{score_text(place.total).partition(' ')[2]} of 100"),
        ],
        className="total",
    )
    sure = "" if place.first is None else f"first in {share_text(place.first)}"
    return html.Li(
        [
            html.Div([html.Span(f"{place.rank}", className="number"), html.Small(_between(place))], className="rank"),
            html.Div([html.Strong(place.target), html.Small(sure)], className="who"),
            total,
            html.Div([_bar(each) for each in place.scores], className="bars"),
        ],
        className=f"place{' tied' if tied else ''}{' begins' if first else ''}",
        **{"data-target": place.target},
    )


def _between(place: Place) -> str:
    """The interval of a rank in words; nothing where it is certain."""
    text = rank_text(place)
    if place.rank_ci95 is None or "[" not in text:
        return ""
    return f"{place.rank_ci95[0]} to {place.rank_ci95[1]}"


def _bar(score: Score) -> Any:
    text = score_text(score.score)
    fill = {"width": f"{score.score.value or 0.0:.1f}%", "background": COLOUR[score.category]}
    return html.Div(
        [
            html.Span(score.category, className="name"),
            html.Span(html.Span(style=fill), className="track", **{"aria-hidden": "true"}),
            html.Span(text.partition(" [")[0], className="amount", title=text),
        ],
        className="bar-row",
    )


def left_apart(found: Sequence[Apart]) -> Any:
    """Who is not compared with the others, and why; None: nobody."""
    if not found:
        return None
    return card(
        "Stands apart",
        html.Ul([html.Li([html.Strong(each.target), f": {each.reason}"]) for each in found]),
        note="Not ranked, and why.",
    )


def _notes(ranking: Ranking) -> Any:
    lines = notes_of(ranking.weights, ranking.left_out, ranking.formula)
    return html.Details(
        [html.Summary("What this rests on"), html.Ul([html.Li(line) for line in lines])], className="notes"
    )
