"""What `tokenswarm monitor` shows on a terminal: one table of targets, then alerts and doubts."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.records.monitor_record import Latency, LiveCell, Picture, Window

_NOTHING = "\N{EN DASH}"
_STYLE = {"critical": "bold red", "warning": "yellow", "info": "cyan", "invalid": "red", "suspect": "yellow"}
_SHOWN = 8  # alerts, and doubts


def shown(pictures: Sequence[Picture]) -> RenderableType:
    """All that is watched, for `rich`. Names are text, never markup."""
    parts: list[RenderableType] = []
    for picture in pictures:
        parts.append(_head(picture))
        if picture.cells:
            parts.append(_table(picture.cells))
        parts += _lines(picture)
    return Group(*parts) if parts else Text("no run yet: waiting")


def _head(picture: Picture) -> Text:
    spend = picture.spend
    planned = "" if picture.planned_s is None else f" of about {picture.planned_s:.0f} s"
    elapsed = "" if picture.elapsed_s is None else f", {picture.elapsed_s:.0f} s{planned}"
    usd = "" if spend.usd is None else f", {spend.usd:.4f} USD"
    limit = "" if spend.budget_usd is None else f" of {spend.budget_usd:g}"
    return Text(
        f"{picture.run}: {picture.state}{elapsed}, {spend.requests} requests{usd}{limit}  {picture.at_utc}", "bold"
    )


def _table(cells: Sequence[LiveCell]) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for title in ("target", "workload", "window"):
        table.add_column(title, no_wrap=title == "window")
    for title in ("ended", "ok/s", "tok/s", "errors", "throttled", "TTFT p50", "p95", "ITL p50", "E2E p95", "worse"):
        table.add_column(title, justify="right")
    for cell in cells:
        for number, (name, window) in enumerate(cell.windows.items()):
            first = number == 0
            names = (cell.target, cell.workload) if first else ("", "")
            worse = ", ".join(shift.metric for shift in cell.degradation if shift.confirmed) if first else ""
            table.add_row(*map(Text, (*names, name, *_figures(window), worse)))
    return table


def _figures(window: Window) -> tuple[str, ...]:
    return (
        str(window.attempted),
        _number(window.completed_rps),
        _number(window.output_tokens_per_s),
        _share(window.error_ratio),
        _share(window.throttled_ratio),
        _ms(window.ttft_s, "p50"),
        _ms(window.ttft_s, "p95"),
        _ms(window.itl_s, "p50"),
        _ms(window.e2e_s, "p95"),
    )


def _lines(picture: Picture) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for cell in picture.cells[:_SHOWN]:
        errors = cell.windows["1m"].errors if "1m" in cell.windows else {}
        if errors:
            counted = ", ".join(f"{n} {name}" for name, n in sorted(errors.items(), key=lambda each: -each[1]))
            lines.append(Text(f"{cell.target} {cell.workload}: errors of the last minute by class: {counted}"))
    for alert in picture.alerts[:_SHOWN]:
        known = (
            " (silenced)" if alert.silenced else f" (seen by {alert.acknowledged_by})" if alert.acknowledged_by else ""
        )
        lines.append(Text(f"{alert.state}: {alert.summary} since {alert.since_utc}{known}", _STYLE[alert.severity]))
    lines += [
        Text(f"{doubt.severity}: {doubt.saw}: {doubt.why}", _STYLE.get(doubt.severity, ""))
        for doubt in picture.findings[:_SHOWN]
    ]
    return lines


def _number(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _share(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.1%}"


def _ms(latency: Latency | None, quantile: str) -> str:
    value = None if latency is None else getattr(latency, quantile)
    return _NOTHING if value is None else f"{value * 1e3:.4g} ms"
