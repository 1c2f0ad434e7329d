"""`docs/evidence.svg`, the chart of the README, drawn from `benchmarks/results.json`: `python -m benchmarks.evidence`.

Two panels, the less the better: CPU per chunk of every client under the paced load, and how far a gap between tokens is
off (p99) as streams grow, by whoever stamps them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import msgspec

from benchmarks.tally import Results, cost, middles
from benchmarks.workloads import PACED

ROOT = Path(__file__).parent.parent
CHART = ROOT / "docs" / "evidence.svg"
_OURS = "tokenswarm"
_STREAMS = (20, 50, 500, 1000, 2000)
_WIDTH, _LEFT, _BAR, _TOP = 900, 120, 22, 64
_INK, _MUTED, _BLUE, _ORANGE, _GREY = "#1b1f23", "#57606a", "#0072b2", "#d55e00", "#b8c0c8"


def chart(results: Results) -> str:
    """The whole picture as SVG. It has a ground of its own, so that it is read on dark pages too."""
    names = [name for name in results.clients if name != "own, user stamps"]
    costs = sorted((found.us_per_chunk, name) for name in names if (found := cost(results, name, PACED.name)))
    height = _TOP + _BAR * len(costs) + 56
    parts = [*_costs(costs), *_errors(results, height)]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"'
    style = f'aria-label="{_label(costs)}" font-family="system-ui, sans-serif" font-size="13">'
    ground = f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="#ffffff"/>'
    return "\n".join([f"{head} {style}", ground, *parts, "</svg>", ""])


def _label(costs: Sequence[tuple[float, str]]) -> str:
    return escape("CPU in µs per chunk: " + ", ".join(f"{name} {value:.1f}" for value, name in costs), {'"': "&quot;"})


def _text(x: float, y: float, said: str, *, fill: str = _INK, anchor: str = "start", weight: str = "400") -> str:
    look = f'fill="{fill}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escape(said)}</text>'


def _costs(costs: Sequence[tuple[float, str]]) -> list[str]:
    """The left panel: a bar for each client."""
    most, room = max(value for value, _ in costs), 250.0
    parts = [_text(16, 26, "CPU per chunk (µs), 200 paced streams", weight="600"), _text(16, 44, _LESS, fill=_MUTED)]
    for place, (value, name) in enumerate(costs):
        y = _TOP + place * _BAR
        ours = name == _OURS
        colour = _BLUE if ours else _GREY
        parts.append(_text(_LEFT, y + 14, name, anchor="end", weight="600" if ours else "400"))
        parts.append(
            f'<rect x="{_LEFT + 8}" y="{y + 3}" width="{room * value / most:.1f}" height="15" rx="2" fill="{colour}"/>'
        )
        parts.append(_text(_LEFT + 14 + room * value / most, y + 15, f"{value:.1f}", fill=_MUTED))
    return parts


_LESS = "less is better"


def _errors(results: Results, height: int) -> list[str]:
    """The right panel: lines on logarithmic axes."""
    x0, x1, y0, y1 = 540.0, 860.0, float(_TOP) + 6, height - 52.0
    lows, highs = math.log10(0.005), math.log10(100)

    def at(streams: int, error_ms: float) -> tuple[float, float]:
        across = math.log10(streams / _STREAMS[0]) / math.log10(_STREAMS[-1] / _STREAMS[0])
        up = (math.log10(error_ms) - lows) / (highs - lows)
        return x0 + across * (x1 - x0), y1 - up * (y1 - y0)

    parts = [
        _text(460, 26, "Error of a 20 ms gap between tokens (ms, p99)", weight="600"),
        _text(460, 44, _LESS, fill=_MUTED),
    ]
    for error_ms in (0.01, 0.1, 1, 10, 100):
        _, y = at(_STREAMS[0], error_ms)
        parts.append(f'<line x1="{x0}" x2="{x1}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e4e8ec"/>')
        parts.append(_text(x0 - 8, y + 4, f"{error_ms:g}", fill=_MUTED, anchor="end"))
    parts += [_text(at(n, 1)[0], y1 + 20, f"{n:,}", fill=_MUTED, anchor="middle") for n in _STREAMS]
    parts.append(_text((x0 + x1) / 2, y1 + 40, "streams at a time", fill=_MUTED, anchor="middle"))
    for name, colour in ((_OURS, _BLUE), ("naive Locust", _ORANGE)):
        points = [(n, _error_ms(results, name, n)) for n in _STREAMS]
        line = [at(n, value) for n, value in points if value]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in line]
        parts.append(_text(line[-1][0], line[-1][1] - 12, name, fill=colour, anchor="end", weight="600"))
    return parts


def _error_ms(results: Results, client: str, streams: int) -> float | None:
    runs = results.runs(client, f"paced-{streams}")
    return middles(runs, lambda one: one.errors.itl if one.errors else None)[2] if runs else None


def main() -> int:
    """Draw it."""
    results = msgspec.json.decode((ROOT / "benchmarks" / "results.json").read_bytes(), type=Results)
    CHART.write_text(chart(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
