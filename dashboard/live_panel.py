"""What the live page says of a picture: progress, figures of every target, doubts, shifts, promises, spend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dash import html

from analysis.summary import Finding
from analysis.validity import verdict_of
from analysis.wording import NOTHING, number
from dashboard.live_charts import cell_name
from dashboard.pieces import badge, card, finding, table
from dashboard.plan_draft import duration_text
from harness.records.monitor_record import WINDOWS_S, Latency, Picture, Shift, SlaState, Window

_METRICS = {
    "ttft": "TTFT",
    "itl": "ITL",
    "tpot": "TPOT",
    "e2e": "E2E",
    "error_ratio": "errors",
    "throttled_ratio": "throttled",
}
_STATES = {"running": "running", "ended": "has ended", "died": "died", "waiting": "waiting for requests"}
HEADS = (
    "Target",
    "Workload",
    "Last",
    "Requests",
    "TTFT p50 (ms)",
    "TTFT p95 (ms)",
    "ITL p50 (ms)",
    "E2E p95 (ms)",
    "Ok/s",
    "Good/s",
    "Tokens/s",
    "Errors",
    "Throttled",
)


def progress(picture: Picture, repeat: str) -> Any:
    """How far the run is, what it asks just now, and how it fares."""
    elapsed_s, planned_s = picture.elapsed_s, picture.planned_s
    parts: list[Any] = [html.Strong(_STATES[picture.state]), " "]
    if elapsed_s is not None:
        planned = "" if planned_s is None else f" of about {duration_text(planned_s)}"
        parts.append(f"{duration_text(elapsed_s)}{planned}{repeat}")
    busy = [cell_name(each, picture) for each in picture.cells if each.windows["10s"].attempted]
    asked = f"Answered in the last 10 s: {', '.join(busy)}." if busy else "Nothing was answered in the last 10 s."
    bar = None
    if elapsed_s is not None and planned_s:
        share = min(1.0, elapsed_s / planned_s)
        bar = html.Progress(value=f"{share:.3f}", max="1", className="progress", **{"aria-label": "Time of the plan"})
    return card(
        "Progress", html.P([badge(verdict_of(picture.findings)), " ", *parts]), bar, html.P(asked, className="soft")
    )


def windows(picture: Picture) -> Any:
    """The figures of every target in each window."""
    rows = [
        [each.target, each.workload, html.Span(name, **{"data-window": name}), *_figures(each.windows[name])]
        for each in picture.cells
        for name in WINDOWS_S
    ]
    if not rows:
        return html.P("No request has ended yet.", className="soft")
    return table(HEADS, rows, left=3, label="Figures of every target")


def _figures(window: Window) -> list[Any]:
    shown = [
        ("attempted", window.attempted, f"{window.attempted:,}"),
        *(_latency(name, getattr(window, f"{name}_s"), q) for name, q in _LATENCIES),
        *((name, getattr(window, name), number(getattr(window, name))) for name in _RATES),
        ("error_ratio", window.error_ratio, _percent(window.error_ratio)),
        ("throttled_ratio", window.throttled_ratio, _percent(window.throttled_ratio)),
    ]
    return [
        html.Span(text, **{"data-figure": name, "data-value": "" if value is None else repr(value)})
        for name, value, text in shown
    ]


_LATENCIES = (("ttft", "p50"), ("ttft", "p95"), ("itl", "p50"), ("e2e", "p95"))
_RATES = ("completed_rps", "goodput_rps", "output_tokens_per_s")


def _latency(name: str, found: Latency | None, q: str) -> tuple[str, float | None, str]:
    value = None if found is None else getattr(found, q)
    return f"{name}_s.{q}", value, number(None if value is None else 1000 * value)


def _percent(ratio: float | None) -> str:
    return NOTHING if ratio is None else "0 %" if ratio == 0 else f"{100 * ratio:.2g} %"


def doubts(picture: Picture) -> Any:
    """What speaks against the figures; what the client's own state makes of them."""
    found = [
        finding(Finding(code=each.code, severity=each.severity, saw=each.saw, why=each.why, hint=each.hint))
        for each in picture.findings
    ]
    return card("Doubts about the measurement", *(found or [html.P("None so far.", className="soft")]))


def shifts(picture: Picture) -> Any:
    """Degradation against the baseline: what is confirmed, and what is looked at."""
    lines = [
        html.Li([html.Strong("degraded: " if each.confirmed else "watched: "), _shift(name, each)])
        for cell in picture.cells
        for name in (cell_name(cell, picture),)
        for each in sorted(cell.degradation, key=lambda shift: not shift.confirmed)
        if each.confirmed or each.since_utc is not None
    ]
    nothing = html.P("Nothing has got worse than its baseline, as far as there is one.", className="soft")
    return card("Degradation", html.Ul(lines) if lines else nothing)


def _shift(name: str, shift: Shift) -> str:
    ratios = shift.metric.endswith("ratio")
    before, now = (_percent(value) if ratios else f"{number(1000 * value)} ms" for value in (shift.baseline, shift.now))
    times = "" if shift.ratio is None else f", {shift.ratio:.2f} times"
    since = "" if shift.since_utc is None else f", since {shift.since_utc[11:19]} UTC"
    return f"{name}: {_METRICS[shift.metric]} {before} before, {now} now{times}{since}"


def promises(picture: Picture) -> Any:
    """What is left of the error budgets."""
    rows = [
        [f"{cell_name(cell, picture)}: {each.objective}", *_promise(each)]
        for cell in picture.cells
        for each in cell.sla
    ]
    if not rows:
        nothing = html.P("No SLO is set: `slo` of the plan, or `sla` of its alerts.", className="soft")
        return card("SLA", nothing)
    return card("SLA", table(("Promise", "Kept", "Wanted", "Budget left", "Burning"), rows, label="Promises"))


def _promise(found: SlaState) -> Iterator[Any]:
    left = found.budget_left
    yield NOTHING if found.compliance is None else f"{100 * found.compliance:.3f} %"
    yield f"{100 * found.target_ratio:g} %"
    yield html.Span(
        NOTHING if left is None else f"{100 * left:.0f} %", className="missed" if left is not None and left < 0 else ""
    )
    burning = [name for name, each in found.burn.items() if each.burning]
    yield html.Span(", ".join(burning) or "no", className="missed" if burning else "met")


def spend(picture: Picture) -> Any:
    """What was used, against the budget."""
    found = picture.spend
    usd = "cost not known" if found.usd is None else f"${found.usd:,.4f}"
    limits = [f"${found.budget_usd:g}"] if found.budget_usd is not None else []
    limits += [f"{found.budget_requests:,} requests"] if found.budget_requests is not None else []
    tokens = "" if found.tokens is None else f", {found.tokens:,} tokens"
    unknown = f"; of {found.unknown_requests:,} the cost is not known" if found.unknown_requests else ""
    budget = f"Budget: {' and '.join(limits)}." if limits else "No budget is set."
    return card(
        "Spend", html.P(f"{usd}, {found.requests:,} requests{tokens}{unknown}."), html.P(budget, className="soft")
    )


def firing(picture: Picture, href: str) -> Any:
    """Alerts that are pending or firing."""
    if not picture.alerts:
        return card("Alerts", html.P("None is firing.", className="soft"))
    lines = [
        html.Li([html.Strong(f"{each.state}, {each.severity}: "), each.summary or f"{each.rule} {each.target}"])
        for each in picture.alerts
    ]
    return card("Alerts", html.Ul(lines), html.A("Acknowledge or silence", href=href))
