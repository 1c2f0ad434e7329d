"""The history of a folder of runs, judged: each series by itself, then all claims corrected for how many there are.

Claims of one kind (changes, slopes, seasons, latest runs) make a family. Benjamini and Hochberg hold the share of false
ones among those that are made at 5 %; where nothing changes at all, that is the chance of any. Whatever is shown, all
series of the folder are counted.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from analysis.comparing.compared_metrics import BY_SLO
from analysis.comparing.differences import differences
from analysis.histories.history import History, Progress, keep, load_history, quiet
from analysis.histories.history_index import digest_of
from analysis.histories.history_metrics import METRICS, Metric
from analysis.histories.history_reading import SeriesKey
from analysis.histories.series_told import Corrected, iso, told
from analysis.reading.parallel import over_parts
from analysis.records.history_record import Break, Findings, Trends
from analysis.statistics.discoveries import discoveries
from analysis.statistics.series_noise import Floats, Whole

LEVEL = 0.05
METHOD = (
    "change points: seeded binary segmentation with noise that is AR(1), p of the largest split (James, James and "
    "Siegmund) and of the likelihood ratio; slope: Theil-Sen, Mann-Kendall with Hamed and Rao's correction; seasons: "
    "Kruskal-Wallis; latest run: robust prediction interval of the 20 before it; forecast: level or line with AR(1) "
    "noise, or random walk; each kind of claim corrected over all series by Benjamini and Hochberg at 5 %"
)
_WORTH = 200_000  # values, from which on other processes analyse too
_AT_ONCE = 8


@dataclass(frozen=True)
class Line:
    """One series before it is told: whose it is, which rows of the table it has (valid runs, in the order in which they
    began), and the rows of runs that are invalid."""

    key: SeriesKey
    metric: Metric
    rows: Whole
    invalid: Whole
    times_s: Floats
    values: Floats
    digest: str
    current: bool


def trend(
    root: str | Path,
    *,
    metrics: Sequence[str] = (),
    targets: Sequence[str] = (),
    plans: Sequence[str] = (),
    last: int = 500,
    progress: Progress = quiet,
) -> Trends:
    """The history of a folder of runs, by its index where that is still true. `metrics` (paths in summary.json),
    `targets` and `plans` choose what is given (nothing: all), not what is corrected for. `last`: how many values of
    each series are given. Raises UsageFault."""
    history = load_history(root, progress=progress)
    judged = judge(history, progress=progress)
    note = keep(history, {line.digest: each for line, each in zip(judged.lines, judged.found, strict=True)})
    given = trends_of(history, judged, metrics=metrics, targets=targets, plans=plans, last=last)
    return msgspec.structs.replace(given, notes=(*given.notes, note)) if note else given


@dataclass(frozen=True)
class Judged:
    """Every series of a history, what was found of it, and what of that is believed."""

    lines: list[Line]
    found: list[Findings]
    corrected: list[Corrected]
    breaks: list[Break]
    notes: list[str]


def judge(history: History, *, progress: Progress = quiet) -> Judged:
    """Judge every series of a history, all of them together."""
    lines, breaks, notes = _lines(history)
    corrected, found = _corrected(lines, _found(lines, history.stored, progress))
    return Judged(lines, found, corrected, breaks, notes)


def trends_of(
    history: History,
    judged: Judged,
    *,
    metrics: Sequence[str] = (),
    targets: Sequence[str] = (),
    plans: Sequence[str] = (),
    last: int = 500,
) -> Trends:
    """What is told of a history: the series that were asked for, as records."""
    runs = history.runs
    series = [
        told(line.key, line.metric, history.table, (line.rows, line.invalid), found, claims, last, current=line.current)
        for line, found, claims in zip(judged.lines, judged.found, judged.corrected, strict=True)
        if _wanted(line.metric.path, metrics) and _wanted(line.key.target, targets) and _wanted(line.key.plan, plans)
    ]
    return Trends(
        root=str(history.root),
        runs=len(runs),
        invalid_runs=tuple(each.run for each in runs if each.verdict == "invalid"),
        first_utc=iso(runs[0].started_s) if runs else None,
        last_utc=iso(runs[-1].started_s) if runs else None,
        level=LEVEL,
        method=METHOD,
        notes=tuple(judged.notes),
        skipped=history.skipped,
        breaks=tuple(each for each in judged.breaks if _wanted(each.target, targets) and _wanted(each.plan, plans)),
        series=tuple(series),
    )


def _wanted(name: str, names: Sequence[str]) -> bool:
    return not names or name in names


def _lines(history: History) -> tuple[list[Line], list[Break], list[str]]:
    """Every series; where plans asked for something else; and what else must be told."""
    table = history.table
    started = np.array([each.started_s for each in table.entries])
    invalid = np.array([each.verdict == "invalid" for each in table.entries], dtype=bool)
    slos = {slo: code for code, slo in enumerate(dict.fromkeys(each.slo for each in table.entries))}
    slo = np.array([slos[each.slo] for each in table.entries], dtype=np.int64)
    order = np.lexsort((table.run, started[table.run], table.key))
    keys, firsts = np.unique(table.key[order], return_index=True)
    groups = dict(zip(map(int, keys), np.split(order, firsts[1:]), strict=True)) if len(keys) else {}
    breaks, past = _breaks(history, groups)
    lines, notes = [], []
    for place, rows in sorted(groups.items(), key=lambda each: _sorted_by(table.keys[each[0]])):
        key, runs = table.keys[place], table.run[rows]
        as_now = slo[runs] == slo[runs[-1]]
        if not as_now.all():
            says = "the SLO was another before; goodput, and its cost, are those of the present one"
            notes.append(f"{key.plan}, {key.target}: {says}")
        measured = ~np.isnan(table.figures[rows, :, 0])
        for column, metric in enumerate(METRICS):
            there = measured[:, column] & as_now if metric.path in BY_SLO else measured[:, column]
            good = there & ~invalid[runs]
            if good.any():
                times, values = started[runs[good]], table.figures[rows[good], column, 0].astype(np.float64)
                digest = digest_of([b"share" if metric.share else b"", times.tobytes(), values.tobytes()])
                whose = (key, metric, rows[good], rows[there & invalid[runs]])
                lines.append(Line(*whose, times, values, digest, place not in past))
    return lines, breaks, list(dict.fromkeys(notes))


def _sorted_by(key: SeriesKey) -> tuple[str, str, int, str]:
    return key.plan, key.workload or "", -1 if key.stage is None else key.stage, key.target


def _breaks(history: History, groups: dict[int, Whole]) -> tuple[list[Break], set[int]]:
    """Where the same place of a plan asks for something else than before; and the series that are past."""
    table = history.table
    places: dict[tuple[object, ...], list[tuple[float, float, int]]] = {}
    for place, rows in groups.items():
        key = table.keys[place]
        first, last = (table.entries[table.run[row]].started_s for row in (rows[0], rows[-1]))
        places.setdefault((key.plan, key.target, key.workload, key.stage), []).append((first, last, place))
    breaks, past = [], set()
    for each in places.values():
        each.sort()
        latest = max(each, key=lambda span: span[1])[2]
        past |= {place for *_, place in each if place != latest}
        for (*_, before), (at_s, _, after) in itertools.pairwise(each):
            key = table.keys[after]
            made = Break(
                plan=key.plan,
                target=key.target,
                workload=key.workload,
                stage=key.stage,
                run=table.entries[table.run[groups[after][0]]].run,
                utc=iso(at_s),
                differs=_differs(table.keys[before], key),
            )
            breaks.append(made)
    return sorted(breaks, key=lambda made: made.utc), past


def _differs(before: SeriesKey, after: SeriesKey) -> str:
    found = []
    for name in ("kind", "dialect", "model", "label"):
        here, there = getattr(before, name), getattr(after, name)
        if here != there and not (name == "label" and before.load != after.load):
            found.append(f"{name} {here} -> {there}")
    for name in ("load", "request"):
        old, new = (msgspec.json.decode(getattr(each, name), type=dict) for each in (before, after))
        found += differences(old, new, "->")
    return ", ".join(found)


def _found(lines: Sequence[Line], stored: dict[str, Findings], progress: Progress) -> list[Findings]:
    """The findings of every series; what is stored of an equal one is taken."""
    known = dict(stored)
    news = list({line.digest: line for line in lines if line.digest not in known}.values())
    news.sort(key=lambda line: -len(line.values))
    parts = [[_asked(line) for line in news[at : at + _AT_ONCE]] for at in range(0, len(news), _AT_ONCE)]
    few = sum(len(line.values) for line in news) < _WORTH
    done = 0
    if news:
        from analysis.histories.series_findings import findings_of_many  # noqa: PLC0415  (slow to load; an index makes it needless)

        for made in over_parts(findings_of_many, parts, here=few):
            known |= {line.digest: each for line, each in zip(news[done:], made, strict=False)}
            done += len(made)
            progress("analysing series", done, len(news))
    return [known[line.digest] for line in lines]


def _asked(line: Line) -> tuple[Floats, Floats, bool]:
    return line.times_s, line.values, line.metric.share


def _corrected(lines: Sequence[Line], found: list[Findings]) -> tuple[list[Corrected], list[Findings]]:
    """Corrected p, kind by kind; and the findings with slope and forecast since the last change that is believed."""
    of_change, cutoff = discoveries(np.array([each.first_p for each in found]), LEVEL)
    scale = [
        float(adjusted) / each.first_p if each.first_p > 0 else 1.0
        for adjusted, each in zip(of_change, found, strict=True)
    ]
    jumps = [tuple(jump for jump in each.jumps if jump.p_value <= cutoff) for each in found]
    found = [
        _since(line, each, mine[-1].at if mine else 0) for line, each, mine in zip(lines, found, jumps, strict=True)
    ]
    slopes = _family([each.slope and each.slope[3] for each in found])
    latest = _family([each.latest and each.latest[3] for each in found])
    seasons = [None if each.hour is None else each.hour.p_value for each in found] + [
        None if each.weekday is None else each.weekday.p_value for each in found
    ]
    hours, weekdays = (_family(seasons)[at : at + len(found)] for at in (0, len(found)))
    corrected = [
        Corrected(mine, scale[place], slopes[place], hours[place], weekdays[place], latest[place])
        for place, mine in enumerate(jumps)
    ]
    return corrected, found


def _since(line: Line, found: Findings, begin: int) -> Findings:
    if found.begin == begin:
        return found
    from analysis.histories.series_findings import since  # noqa: PLC0415  (as above)

    return since(found, line.times_s, line.values, begin)


def _family(raw: Sequence[float | None]) -> list[float | None]:
    """Corrected p of one kind of claim; None where there is none."""
    known = [place for place, p_value in enumerate(raw) if p_value is not None]
    adjusted, _ = discoveries(np.array([raw[place] for place in known], dtype=np.float64), LEVEL)
    made: list[float | None] = [None] * len(raw)
    for place, p_value in zip(known, adjusted, strict=True):
        made[place] = float(p_value)
    return made
