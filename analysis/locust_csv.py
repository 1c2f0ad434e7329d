"""Readers of Locust's CSV, of any run: made by this project or not, whole or cut short, of several Locust versions.

What Locust's CSV means, and does not: latencies include failures; `Requests/s` counts them too; the history has a row
a second, of all requests together unless `--csv-full-history` was on, so that outages are known to the second only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from analysis.reliability import mtbf, wilson
from analysis.summary import Dist, Estimate, Finding, Outage, Reliability, Result, Summary, Validity
from harness.errors import UsageFault

_NEEDED = ("Name", "Request Count", "Failure Count")
_QUANTILES = {"p50": "50%", "p90": "90%", "p95": "95%", "p99": "99%"}


def read_stats(path: Path) -> pd.DataFrame:
    """The rows of a `_stats.csv` but the aggregate; numbers as floats, what is missing as NaN. Raises UsageFault."""
    table = _read(path)
    missing = [name for name in _NEEDED if name not in table.columns]
    if missing:
        columns = ", ".join(str(name) for name in table.columns[:4])
        raise UsageFault(f"{path}: columns {columns} ...: not Locust's statistics", "name the PREFIX given to --csv")
    if "Type" not in table.columns:
        table["Type"] = table.get("Method", "")
    for name in table.columns.difference(["Type", "Name"]):
        table[name] = pd.to_numeric(table[name], errors="coerce")
    whole = table["Name"].notna() & (table["Name"] != "Aggregated") & table["Request Count"].notna()
    return table[whole & table["Failure Count"].notna()].reset_index(drop=True)


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, on_bad_lines="skip", encoding_errors="replace")
    except pd.errors.EmptyDataError as error:
        raise UsageFault(
            f"{path}: empty file", "was the run ended before Locust wrote its first statistics?"
        ) from error
    except OSError as error:
        hint = "name a run directory, or the PREFIX given to Locust's --csv"
        raise UsageFault(f"{path}: cannot be read: {error.strerror}", hint) from error
    except (pd.errors.ParserError, ValueError) as error:
        raise UsageFault(f"{path}: not CSV: {error}", "name the PREFIX given to Locust's --csv") from error


def summarise_csv(prefix: Path) -> Summary:
    """A summary of what `PREFIX_stats.csv` and its companions tell: one result for each Type and Name."""
    stats = read_stats(Path(f"{prefix}_stats.csv"))
    failures = _failures(Path(f"{prefix}_failures.csv"))
    history = _history(Path(f"{prefix}_stats_history.csv"))
    results = tuple(_result(row, failures, history) for _, row in stats.iterrows())
    findings = [_note_failures_included()] if any(result.outcomes.get("failed") for result in results) else []
    findings += _note_history_of_all(results, history)
    if not results:
        findings.append(_empty(prefix))
    return Summary(
        run=str(prefix),
        plan=None,
        source="locust-csv",
        validity=Validity(verdict="valid" if results else "invalid", findings=tuple(findings)),
        results=results,
    )


def _failures(path: Path) -> pd.DataFrame:
    columns = ["Method", "Name", "Error", "Occurrences"]
    if not path.exists() or path.stat().st_size == 0:
        return pd.DataFrame(columns=columns)
    table = _read(path)
    if not set(columns) <= set(table.columns):
        return pd.DataFrame(columns=columns)
    table["Occurrences"] = pd.to_numeric(table["Occurrences"], errors="coerce").fillna(0)
    return table


_TOTALS = ("Total Request Count", "Total Failure Count")


def _history(path: Path) -> pd.DataFrame:
    """Rows of second, name and counts since the start; empty where the file tells none of it."""
    columns = ["Timestamp", "Type", "Name", *_TOTALS]
    if not path.exists() or path.stat().st_size == 0:
        return pd.DataFrame(columns=columns)
    table = _read(path)
    if not {"Timestamp", "Name", *_TOTALS} <= set(table.columns):
        return pd.DataFrame(columns=columns)
    if "Type" not in table.columns:
        table["Type"] = table.get("Method", "")
    for name in ("Timestamp", *_TOTALS):
        table[name] = pd.to_numeric(table[name], errors="coerce")
    return table.loc[table[["Timestamp", *_TOTALS]].notna().all(axis=1), columns]


def _of_entry(history: pd.DataFrame, name: str, kind: str, requests: int) -> pd.DataFrame | None:
    """The history of one entry: its own rows, or those of all requests where it is all of them; else None."""
    own = history[(history["Name"] == name) & (history["Type"] == kind)]
    if len(own):
        return own
    every = history[history["Name"] == "Aggregated"]
    return every if len(every) and every["Total Request Count"].max() == requests else None


_RULE = (
    "a second is down when at least half of its requests failed (any failure: the CSV does not say whose); "
    "an outage is a run of such seconds; resolution 1 s"
)


def _reliability(requests: int, failed: int, history: pd.DataFrame | None) -> Reliability:
    nothing = Estimate(value=None)
    known = _outages(history) if history is not None and len(history) >= 2 else None
    found, watched_s = known or ((), 0.0)
    ends = [(each.end_s if each.end_s is not None else watched_s) - each.start_s for each in found]
    repairs = sum(each.end_s is not None for each in found)
    up_s = watched_s - sum(ends)
    return Reliability(
        rule=_RULE if known else "success ratio only: the CSV does not say when each request failed",
        resolution_s=1.0,
        success_ratio=wilson(requests - failed, requests),
        availability=Estimate(value=up_s / watched_s) if watched_s > 0 else nothing,
        mtbf_s=mtbf(up_s, len(found)) if known else nothing,
        mttr_s=Estimate(value=sum(ends) / repairs if repairs else None),
        provider_failures=failed,
        failures_per_1k=1000 * failed / requests if requests else None,
        outages=tuple(found),
        longest_outage_s=max(ends, default=None),
    )


def _outages(history: pd.DataFrame) -> tuple[tuple[Outage, ...], float]:
    """The outages by the rule above, in seconds since the history began, and how long it is."""
    totals = history.groupby("Timestamp")[list(_TOTALS)].max().cummax()
    steps = totals.diff().fillna(totals.iloc[0])
    since_s = totals.index.to_numpy(dtype=float) - float(totals.index[0])
    found: list[Outage] = []
    begin_s: float | None = None
    failures = 0
    before_s = 0.0
    for at_s, requests, failed in zip(since_s, steps[_TOTALS[0]], steps[_TOTALS[1]], strict=True):
        down = failed > 0 and failed >= requests / 2
        if down:
            begin_s = before_s if begin_s is None else begin_s
            failures += int(failed)
        elif requests > 0 and begin_s is not None:
            found.append(Outage(start_s=begin_s, end_s=before_s, failures=failures))
            begin_s, failures = None, 0
        before_s = float(at_s)
    if begin_s is not None:
        found.append(Outage(start_s=begin_s, end_s=None, failures=failures))
    return tuple(found), before_s


def _note_history_of_all(results: tuple[Result, ...], history: pd.DataFrame) -> list[Finding]:
    """Where outages are known of all requests together alone."""
    every = history[history["Name"] == "Aggregated"]
    if len(results) < 2 or len(every) < 2 or (history["Name"] != "Aggregated").any():
        return []
    found, length_s = _outages(every)
    if length_s == 0:
        return []
    down_s = sum((each.end_s if each.end_s is not None else length_s) - each.start_s for each in found)
    saw = f"a history of all requests together: available {100 * (1 - down_s / length_s):.1f} % of {length_s:.0f} s, "
    return [
        Finding(
            code="history-of-all",
            severity="note",
            saw=f"{saw}outages: {len(found)}",
            why=f"availability of each name is not known ({_RULE})",
            hint="run Locust with --csv-full-history",
        )
    ]


def _number(row: pd.Series[float], name: str) -> float | None:
    value = row.get(name)
    return None if value is None or pd.isna(value) else float(value)


def _in_seconds(row: pd.Series[float], name: str) -> float | None:
    value = _number(row, name)
    return None if value is None else value / 1000


def _result(row: pd.Series[float], failures: pd.DataFrame, history: pd.DataFrame) -> Result:
    requests, failed = int(row["Request Count"]), int(row["Failure Count"])
    quantiles: dict[str, Any] = {name: _in_seconds(row, column) for name, column in _QUANTILES.items()}
    e2e = Dist(
        n=requests,
        mean=_in_seconds(row, "Average Response Time"),
        max=_in_seconds(row, "Max Response Time"),
        **quantiles,
    )
    own = failures[(failures["Name"] == row["Name"]) & (failures["Method"] == row["Type"])]
    rate, bad_rate = _number(row, "Requests/s"), _number(row, "Failures/s")
    own_history = _of_entry(history, str(row["Name"]), str(row["Type"]), requests)
    return Result(
        target=str(row["Name"]),
        dialect=str(row["Type"]) or None,
        attempted=requests,
        outcomes={"ok": requests - failed, "failed": failed},
        errors={str(error): int(n) for error, n in zip(own["Error"], own["Occurrences"], strict=True)},
        window_s=requests / rate if rate else None,
        achieved_rps=rate,
        completed_rps=None if rate is None else rate - (bad_rate or 0.0),
        e2e_s=e2e if requests else None,
        reliability=_reliability(requests, failed, own_history),
    )


def _note_failures_included() -> Finding:
    return Finding(
        code="failures-in-latency",
        severity="note",
        saw="failed requests",
        why="Locust counts failures in its latencies, so that quick failures make a target look fast",
        hint="record samples (--run-dir, or a plan) to have latencies of successes alone",
    )


def _empty(prefix: Path) -> Finding:
    return Finding(
        code="no-requests",
        severity="invalid",
        saw=f"no row but the aggregate in {prefix}_stats.csv",
        why="there is nothing to judge",
        hint="was the run ended at once, or the file cut?",
    )
