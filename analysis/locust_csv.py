"""Readers of Locust's CSV, of any run: made by this project or not, whole or cut short, of several Locust versions.

What Locust's CSV means, and does not: latencies include failures; `Requests/s` counts them too; in the history
percentiles are since the start unless `--csv-full-history` was on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from analysis.reliability import wilson
from analysis.summary import Dist, Estimate, Finding, Reliability, Result, Summary, Validity
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


def _history(path: Path) -> pd.DataFrame:
    if not path.exists() or path.stat().st_size == 0:
        return pd.DataFrame(columns=["Timestamp", "Name"])
    table = _read(path)
    if "Timestamp" not in table.columns or "Name" not in table.columns:
        return pd.DataFrame(columns=["Timestamp", "Name"])
    table["Timestamp"] = pd.to_numeric(table["Timestamp"], errors="coerce")
    return table[table["Timestamp"].notna()]


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
    span = history["Timestamp"]
    return Result(
        target=str(row["Name"]),
        dialect=str(row["Type"]) or None,
        attempted=requests,
        outcomes={"ok": requests - failed, "failed": failed},
        errors={str(error): int(n) for error, n in zip(own["Error"], own["Occurrences"], strict=True)},
        window_s=float(span.max() - span.min()) if len(span) else None,
        achieved_rps=rate,
        completed_rps=None if rate is None else rate - (bad_rate or 0.0),
        e2e_s=e2e if requests else None,
        reliability=_reliability(requests, failed),
    )


def _reliability(requests: int, failed: int) -> Reliability:
    nothing = Estimate(value=None)
    return Reliability(
        rule="success ratio only: Locust's statistics do not say when each request failed",
        resolution_s=1.0,
        success_ratio=wilson(requests - failed, requests),
        availability=nothing,
        mtbf_s=nothing,
        mttr_s=nothing,
        provider_failures=failed,
        failures_per_1k=1000 * failed / requests if requests else None,
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
