"""How the history of runs is said, in the terminal and on its page alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis.records.history_record import Break, Latest, Series, Step, Trends
from analysis.wording import NAMES, NOTHING, digits, percent, seconds

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def name_of(metric: str) -> str:
    """A metric as people call it."""
    plain = metric.removeprefix("reliability.").removeprefix("quality.").removeprefix("cost.")
    if plain in NAMES:
        return NAMES[plain]
    head, _, part = plain.partition("_s.")
    return f"{head.upper()} {part}" if part else plain.replace("_", " ").replace("usd", "USD").replace("mt", "MT")


def whose(series: Series | Break) -> str:
    """Plan, target and load of a series in one phrase."""
    label = series.stage_label if isinstance(series, Series) else None
    stage = label or (None if series.stage is None else f"stage {series.stage}")
    return ", ".join(part for part in (series.plan, series.target, series.workload, stage) if part)


def value(metric: str, x: float | None) -> str:
    """A value of a metric in its unit."""
    if x is None:
        return NOTHING
    if (metric.endswith("_s") and "per" not in metric) or "_s." in metric:
        return seconds(x)
    if metric.startswith(("reliability.", "quality.")):
        return percent(x)
    return f"${x:.4g}" if metric.startswith("cost.") else digits(x)


def change(series: Series, x: float | None) -> str:
    """A ratio as per cent more or less; a difference of parts of one in percentage points."""
    if x is None:
        return NOTHING
    if series.scale == "ratio":
        return f"{100 * (x - 1):+.1f} %" if x < 10 else f"x {x:.3g}"
    if series.metric.startswith(("reliability.success", "reliability.avail", "quality.")):
        return f"{100 * x:+.2f} pp"
    return f"{x:+.3g}"


def day(utc: str | None) -> str:
    """A time to the minute."""
    return NOTHING if utc is None else utc[:16].replace("T", " ")


def step_line(series: Series, step: Step) -> str:
    """What changed when by how much."""
    low, high = step.change.ci95 or (None, None)
    return (
        f"{whose(series)}: {name_of(series.metric)} {_turned(step.verdict)} by {change(series, step.change.value)} "
        f"[{change(series, low)}, {change(series, high)}] from {day(step.utc)} on "
        f"({value(series.metric, step.before)} -> {value(series.metric, step.after)}, "
        f"first in {step.run}, p {step.p_adjusted:.2g})"
    )


def _turned(verdict: str) -> str:
    return "changed" if verdict == "changed" else f"became {verdict}"


def slope_line(series: Series) -> str:
    """Where it drifts to; "" where no slope is shown."""
    slope = series.slope
    if slope.verdict not in ("better", "worse", "changed") or slope.per_week is None:
        return ""
    low, high = slope.per_week.ci95 or (None, None)
    return (
        f"{whose(series)}: {name_of(series.metric)} is getting {slope.verdict.replace('changed', 'other')}: "
        f"{change(series, slope.per_week.value)} a week [{change(series, low)}, {change(series, high)}] "
        f"since {day(slope.since_utc)} (p {slope.p_adjusted:.2g})"
    )


def season_lines(series: Series) -> Iterator[str]:
    """The highest and the lowest hour and weekday, where a season is shown."""
    for season in (series.hour, series.weekday):
        known = [(effect, place) for place, effect in enumerate(season.effects) if effect is not None]
        if season.verdict != "seasonal" or not known:
            continue
        (low, least), (high, most) = min(known), max(known)
        names = [f"{each:02}:00 UTC" if season.by == "hour" else _DAYS[each] for each in (most, least)]
        yield (
            f"{whose(series)}: {name_of(series.metric)} goes by the {season.by}: most at {names[0]} "
            f"({change(series, high)}), least at {names[1]} ({change(series, low)}; p {season.p_adjusted:.2g})"
        )


def latest_line(series: Series) -> str:
    """How the latest run differs from those before it; "" where no difference is shown, or
    where the plan no longer asks for this."""
    latest = series.latest
    if not series.current or latest.verdict not in ("better", "worse", "changed"):
        return ""
    return (
        f"{whose(series)}: {name_of(series.metric)} of the latest run is {latest.verdict}: "
        f"{value(series.metric, latest.value)} where {expected(series, latest)} was to be expected "
        f"({change(series, latest.change)}, p {latest.p_adjusted:.2g}; {latest.run})"
    )


def expected(series: Series, latest: Latest) -> str:
    """Where the latest run was to be expected."""
    low, high = latest.interval or (None, None)
    return f"{value(series.metric, low)} to {value(series.metric, high)}"


def forecast(series: Series) -> str:
    """The last day of the forecast, or why there is none."""
    week = series.forecast
    if not week.expected:
        return week.refused
    ends = f"{value(series.metric, week.low[-1])} to {value(series.metric, week.high[-1])}"
    return f"{value(series.metric, week.expected[-1])} [{ends}]"


def break_line(found: Break) -> str:
    """Where a new series begins, and why."""
    return f"{whose(found)}: a new series begins on {day(found.utc)} with {found.run}: {found.differs}"


def claims(series: Sequence[Series]) -> list[str]:
    """Everything that is claimed of some series, the newest changes first."""
    steps = sorted(((step.utc, step_line(each, step)) for each in series for step in each.changes), reverse=True)
    found = [line for _, line in steps]
    found += filter(None, map(slope_line, series))
    found += filter(None, map(latest_line, series))
    return found + [line for each in series for line in season_lines(each)]


def unclaimed(found: Trends) -> str:
    """What is said where nothing is claimed: that nothing is shown, or that nothing could be."""
    judged = ("slope", "hour", "weekday", "latest")
    if all(getattr(each, name).verdict == "too little data" for each in found.series for name in judged):
        return "Too few runs to say what changes: a latest run wants 8 before it, a change or a slope 10 runs."
    return "No change is shown: no step, no slope, no season, and the latest runs are as those before."


def overview(found: Trends) -> str:
    """What was looked at."""
    if not found.runs:
        return f"{found.root}: no run could be read"
    span = f"{day(found.first_utc)} to {day(found.last_utc)}"
    apart = f", {len(found.invalid_runs):,} of them invalid and kept apart" if found.invalid_runs else ""
    return f"{found.root}: {found.runs:,} runs, {span}{apart}; {len(found.series):,} series"
