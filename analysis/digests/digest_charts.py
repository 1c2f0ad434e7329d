"""Small charts as SVG text: a latency hour by hour with failures below it. No script, no data from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from analysis.digests.digest_figures import quantile
from analysis.digests.digest_hours import Hour

_WIDTH, _HEIGHT, _LEFT, _TOP, _BARS = 640.0, 190.0, 46.0, 12.0, 36.0


def chart(hours: Sequence[Hour], latency: str, ticks: Sequence[str]) -> Markup:
    """p50 and p95 of a latency of each hour, and the share of its attempts that failed. `ticks`: what to write below,
    evenly spread. Where an hour has too few values its line has a gap."""
    lines = {name: [quantile(hour.spreads.get(latency), name) for hour in hours] for name in ("p50", "p95")}
    highest = max((value for line in lines.values() for value in line if value is not None), default=0.0)
    top = _nice(highest)
    bottom = _HEIGHT - _BARS - 24
    parts = [_grid(top, bottom)]
    for name, line in lines.items():
        parts.append(_line(line, top, bottom, name))
    parts.append(_bars(hours))
    parts += [_tick(text, number, len(ticks)) for number, text in enumerate(ticks)]
    label = escape(f"{latency.upper()} by hour, failures below")
    box = f"0 0 {_WIDTH:g} {_HEIGHT:g}"
    svg = f'<svg viewBox="{box}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    return Markup(svg)  # noqa: S704  (numbers and escaped texts)


def _nice(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def _x(number: float, count: int) -> float:
    return _LEFT + (_WIDTH - _LEFT - 6) * number / max(count, 1)


def _grid(top: float, bottom: float) -> str:
    found = []
    for part in (0.0, 0.5, 1.0):
        y = bottom - part * (bottom - _TOP)
        found.append(f'<line class="grid" x1="{_LEFT:g}" x2="{_WIDTH - 6:g}" y1="{y:.1f}" y2="{y:.1f}"/>')
        found.append(f'<text x="{_LEFT - 5:g}" y="{y + 4:.1f}" text-anchor="end">{top * part:g} s</text>')
    return "".join(found)


def _line(values: Sequence[float | None], top: float, bottom: float, name: str) -> str:
    """A line with gaps; an hour alone is a dot."""
    found, run = "", list[str]()
    for number, value in enumerate([*values, None]):
        if value is not None:
            y = bottom - min(value / top, 1.0) * (bottom - _TOP)
            run.append(f"{_x(number + 0.5, len(values)):.1f},{y:.1f}")
            continue
        if len(run) == 1:
            x, _, y_text = run[0].partition(",")
            found += f'<circle class="dot {name}" cx="{x}" cy="{y_text}" r="2.5"/>'
        elif run:
            found += f'<polyline class="line {name}" points="{" ".join(run)}"/>'
        run = []
    return found


def _bars(hours: Sequence[Hour]) -> str:
    """Failures as a share of each hour's attempts, hanging from a line; an hour without attempts is grey."""
    y = _HEIGHT - _BARS - 12
    found = [f'<text x="{_LEFT - 5:g}" y="{y + 14:.1f}" text-anchor="end">failed</text>']
    width = _x(1, len(hours)) - _x(0, len(hours))
    for number, hour in enumerate(hours):
        x = _x(number, len(hours))
        if not hour.counted:
            found.append(f'<rect class="none" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="3"/>')
            continue
        share = 1 - hour.ok / hour.counted
        height = 3 if share == 0 else 4 + share * (_BARS - 14)
        kind = "good" if share == 0 else "bad"
        found.append(
            f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(width - 1, 0.5):.1f}" height="{height:.1f}">'
            f"<title>{share:.1%} of {hour.counted} failed</title></rect>"
        )
    return "".join(found)


def _tick(text: str, number: int, count: int) -> str:
    anchor = "start" if number == 0 else "end" if number == count - 1 else "middle"
    x = _x(number, count - 1)
    return str(
        Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(f"{x:.1f}", f"{_HEIGHT - 3:g}", anchor, text)
    )
