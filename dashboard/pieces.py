"""What pages are made of: cards, badges, tables, figures, and what is shown where there is nothing. Text stays text:
Dash sets it as text, and labels of figures are escaped where they are made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import plotly.graph_objects as go
from dash import dcc, html

from analysis.summary import Finding
from harness.errors import UsageFault

Part = Any  # a component of Dash, or text
_CONFIG = {"displayModeBar": False, "responsive": True}
_MARKS = {"valid": "✓", "suspect": "!", "invalid": "✗"}


def heading(title: str, *beside: Part, says: Part = "") -> Part:
    """The head of a page. Scripts give it the focus when the page changes, so that screen readers begin there."""
    lead = html.P(says, className="lead") if says else None
    return html.Header([html.Div([html.H1(title, tabIndex="-1"), *beside], className="title"), lead], className="head")


def badge(verdict: str) -> Part:
    """A verdict on a run, as a mark and a word: colour alone tells nothing."""
    known = verdict if verdict in _MARKS else "open"
    return html.Span(f"{_MARKS.get(verdict, '·')} {verdict or 'no summary'}", className=f"badge {known}")


def card(title: str, *children: Part, note: Part = "", kind: str = "", **more: Any) -> Part:
    """A titled box; `kind`: further classes of it."""
    said = html.P(note, className="note") if note else None
    return html.Section([html.H2(title), said, *children], className=f"card {kind}".strip(), **more)


def empty(title: str, says: str, hint: str = "", code: str = "") -> Part:
    """What is shown where there is nothing, or what is there cannot be read: what to do."""
    parts: list[Part] = [html.Div("∅", className="sign", **{"aria-hidden": "true"}), html.H2(title), html.P(says)]
    parts += [html.P(hint, className="soft")] if hint else []
    parts += [html.Pre(code, tabIndex="0")] if code else []
    return html.Section(parts, className="empty", role="status")


def fault(found: UsageFault) -> Part:
    """A fault as a page shows it: what is wrong, and what to do."""
    return empty("This cannot be shown", str(found), found.hint)


def finding(found: Finding) -> Part:
    """A doubt about a run."""
    return html.Div(
        [
            html.Strong(f"{found.severity}: {found.saw}"),
            html.P(found.why),
            html.P(f"hint: {found.hint}", className="soft"),
        ],
        className=f"finding is-{found.severity}",
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[Part]], *, left: int = 1, label: str = "") -> Part:
    """A table that scrolls by itself where it is too wide. The first cell of a row names it; the first `left` columns
    are text, the others numbers."""

    def side(place: int) -> str:
        return "left" if place < left else ""

    head = html.Tr([html.Th(name, scope="col", className=side(place)) for place, name in enumerate(heads)])
    body = [
        html.Tr(
            [html.Th(row[0], scope="row", className="left")]
            + [html.Td(cell, className=side(place)) for place, cell in enumerate(row[1:], 1)]
        )
        for row in rows
    ]
    inner = html.Table([html.Thead(head), html.Tbody(body)])
    return html.Div(inner, className="scroll", tabIndex="0", role="region", **{"aria-label": label or heads[0]})


def ends(text: str) -> Part:
    """A number with its interval, the interval small below it."""
    number, bracket, rest = text.partition(" [")
    return [number, html.Small(f"[{rest}")] if bracket else number


def figure(found: go.Figure, says: str, *, height: int | None = None, name: Any = None) -> Part:
    """A figure; `says` is read out in its place; `name`: its id, where something answers to it."""
    if height is not None:
        found.update_layout(height=height)
    tall = {"height": f"{found.layout.height or 360}px"}
    own = {} if name is None else {"id": name}
    graph = dcc.Graph(figure=found.to_plotly_json(), config=_CONFIG, style=tall, **own)
    return html.Div(graph, className="figure", role="img", **{"aria-label": says})


def chips(entries: Iterable[tuple[str, str, bool]], label: str) -> Part:
    """Links of which one is the present: (text, address, whether it is that)."""
    links = [
        dcc.Link(text, href=href, className="chip on" if here else "chip", target="_self")
        for text, href, here in entries
    ]
    return html.Nav(links, className="chips", **{"aria-label": label})


def dot(value: float, low: float | None, high: float | None, end: float) -> Part:
    """A value with its interval on a line from 0 to `end`, drawn by the page's own means."""

    def at(x: float) -> str:
        return f"{min(100.0, max(0.0, 100 * x / end)):.2f}%"

    parts = []
    if low is not None and high is not None:
        width = min(100.0, max(0.6, 100 * (high - low) / end))
        parts.append(html.Span(className="reach", style={"left": at(low), "width": f"{width:.2f}%"}))
    parts.append(html.Span(className="point", style={"left": at(value)}))
    return html.Span(parts, className="line", **{"aria-hidden": "true"})
