"""What a run found of each target, in a few large numbers."""

from __future__ import annotations

from typing import Any

from dash import html

from analysis.deciding.quotes import quoted
from analysis.showing.charts import colours_of
from analysis.summary import Summary
from analysis.wording import metric_name, metric_value, place
from dashboard.run_tables import exact

MOST = 8
_SHOWN = (
    *("ttft_s.p50", "e2e_s.p50", "e2e_s.p95", "output_tokens_per_s", "completed_rps"),
    *("success_ratio", "quality.accuracy", "cost.usd_per_1k_good"),
)
_NUMBERS = 6  # of a tile


def tiles(summary: Summary) -> Any:
    """A tile for each target, of its last load."""
    last = {result.target: index for index, result in enumerate(summary.results)}
    colours = colours_of(summary)
    return html.Div(
        [_tile(summary, index, colours[name]) for name, index in list(last.items())[:MOST]], className="tiles"
    )


def _tile(summary: Summary, index: int, colour: str) -> Any:
    result = summary.results[index]
    quotes = [(path, quoted(summary.run, index, result, path)) for path in _SHOWN]
    known = [(path, quote) for path, quote in quotes if quote is not None][:_NUMBERS]
    numbers = [
        html.Div([html.Dt(metric_name(path)), html.Dd(exact(quote.path, quote.value, metric_value(path, quote.value)))])
        for path, quote in known
    ]
    head = [html.Span(className="swatch", style={"background": colour}), result.target]
    return html.Section(
        [html.H3(head), html.P(place(result), className="note"), html.Dl(numbers)], className="card tile"
    )
