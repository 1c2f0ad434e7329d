"""Rankings as tables for a terminal. Data is never read as markup."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.deciding.ranking_record import Place, Ranking
from analysis.deciding.wording_decision import (
    load_text,
    quote_text,
    rank_text,
    ranking_lines,
    score_text,
    share_text,
)
from analysis.ranking import MATRIX
from analysis.wording import NOTHING, metric_name


def print_ranking(found: Ranking, console: Console) -> None:
    """Leaderboard, matrix, then who stands apart and what it all rests on."""
    console.print(Text(load_text(found.workload, found.stage_label), style="bold"))
    if found.places:
        console.print(_leaderboard(found.places))
        console.print(_matrix(found.places))
    for line in ranking_lines(found):
        console.print(Text(line))


def _leaderboard(places: Sequence[Place]) -> Table:
    categories = [score.category for score in places[0].scores]
    table = Table("Rank", "Target", "Total", "First", *categories, title="Leaderboard", title_justify="left")
    for place in places:
        first = NOTHING if place.first is None else share_text(place.first)
        scores = [Text(score_text(score.score)) for score in place.scores]
        head = (rank_text(place), place.target, score_text(place.total), first)
        table.add_row(*(Text(each) for each in head), *scores, end_section=_ends_group(place, places))
    return table


def _ends_group(place: Place, places: Sequence[Place]) -> bool:
    """A line is drawn between groups of targets that are not told apart."""
    after = places[place.rank] if place.rank < len(places) else place
    return after.group != place.group


def _matrix(places: Sequence[Place]) -> Table:
    """A row for each metric, a column for each target: metrics are many."""
    table = Table("Metric", title="Matrix", title_justify="left")
    for place in places:
        table.add_column(Text(place.target))
    for path in MATRIX:
        if any(path in place.numbers for place in places):
            row = [quote_text(path, place.numbers[path]) if path in place.numbers else NOTHING for place in places]
            table.add_row(metric_name(path), *(Text(each) for each in row))
    return table
