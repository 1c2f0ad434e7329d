"""Small charts of the last minutes: TTFT, rate and errors of each target, as plain records of plotly figures.

What was seen is kept in this process and only while somebody looks, one point for each picture of a monitor. Figures
are dicts, not plotly's classes, whose checks take longer than the drawing, once a second.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from analysis.showing.charts import COLOURS, label
from harness.records.monitor_record import LiveCell, Picture

POINTS = 300  # a picture a second: five minutes
_RUNS = 16
_WINDOW = "10s"
_FEWEST = 5
_SOFT = "rgba(128,128,128,0.3)"


@dataclass(frozen=True)
class Point:
    """What the last 10 s held of one target and workload; None: not measured. Latencies in ms, errors in per cent."""

    name: str
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    completed_rps: float | None
    errors_percent: float | None


@dataclass
class Trails:
    """The points of the runs that were looked at lately, oldest first. Threads may share it."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _runs: OrderedDict[str, deque[tuple[float, tuple[Point, ...]]]] = field(default_factory=OrderedDict)

    def add(self, picture: Picture) -> list[tuple[float, tuple[Point, ...]]]:
        """All points of the picture's run, with those of this picture."""
        with self._lock:
            trail = self._runs.setdefault(picture.run, deque(maxlen=POINTS))
            self._runs.move_to_end(picture.run)
            while len(self._runs) > _RUNS:
                self._runs.popitem(last=False)
            if not trail or trail[-1][0] < picture.at_wall_s:
                trail.append((picture.at_wall_s, tuple(_point(each, picture) for each in picture.cells)))
            return list(trail)


def _point(cell: LiveCell, picture: Picture) -> Point:
    window = cell.windows.get(_WINDOW)
    ttft = None if window is None else window.ttft_s
    ratio = None if window is None else window.error_ratio
    return Point(
        name=cell_name(cell, picture),
        ttft_p50_ms=None if ttft is None else _ms(ttft.p50),
        ttft_p95_ms=None if ttft is None else _ms(ttft.p95),
        completed_rps=None if window is None else window.completed_rps,
        errors_percent=None if ratio is None else 100 * ratio,
    )


def cell_name(cell: LiveCell, picture: Picture) -> str:
    """The target, and its workload where there are several."""
    several = len({each.workload for each in picture.cells}) > 1
    return f"{cell.target} {cell.workload}" if several else cell.target


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds


CHARTS = (
    ("ttft", "TTFT, ms: p50 and p95 (dotted)", (("ttft_p50_ms", "solid"), ("ttft_p95_ms", "dot"))),
    ("rate", "Completed a second", (("completed_rps", "solid"),)),
    ("errors", "Errors, %", (("errors_percent", "solid"),)),
)  # the name, the title and the lines of each


def no_figure() -> dict[str, Any]:
    """What is there before anything was seen."""
    layout = _layout()
    for axis in ("xaxis", "yaxis"):
        layout[axis] = layout[axis] | {"visible": False}  # else it would have numbers of nothing
    return {"data": [], "layout": layout}


def figures(trail: Sequence[tuple[float, tuple[Point, ...]]]) -> list[dict[str, Any]]:
    """A figure for each of `CHARTS`; a line breaks where nothing was measured."""
    names = list(dict.fromkeys(point.name for _, points in trail for point in points))
    times = [datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] for at, _ in trail]
    by_name = [{point.name: point for point in points} for _, points in trail]
    return [_figure(names, times, by_name, lines) for _, _, lines in CHARTS]


def _figure(
    names: Sequence[str], times: Sequence[str], points: Sequence[dict[str, Point]], lines: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    drawn = [
        {
            "type": "scatter",
            "mode": "lines" if len(times) >= _FEWEST else "lines+markers",  # one point alone makes no line
            "x": times,
            "y": [_rounded(getattr(each.get(name), field, None)) for each in points],
            "name": label(name),
            "legendgroup": str(number),
            "showlegend": dash == "solid" and len(names) > 1,
            "line": {"color": COLOURS[number % len(COLOURS)], "width": 2, "dash": dash},
            "hovertemplate": "%{y}<extra>%{fullData.name}</extra>",
        }
        for number, name in enumerate(names)
        for field, dash in lines
    ]
    return {"data": drawn, "layout": _layout()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _layout() -> dict[str, Any]:
    axis = {"gridcolor": "rgba(128,128,128,0.18)", "zerolinecolor": _SOFT, "tickcolor": _SOFT, "automargin": True}
    return {
        "template": "none",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#7a828c"},
        "margin": {"l": 40, "r": 8, "t": 6, "b": 28},
        "height": 190,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "hovermode": "x unified",
        "xaxis": axis | {"nticks": 4, "tickformat": "%H:%M:%S"},
        "yaxis": axis | {"rangemode": "tozero", "nticks": 4},
        "uirevision": "live",
    }
