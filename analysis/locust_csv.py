"""Readers of Locust's CSV, of any run: made by this project or not, whole or cut short, of several Locust versions.

What Locust's CSV means, and does not: latencies include failures; `Requests/s` counts them too; the history has a row
a second, of all requests together unless `--csv-full-history` was on, so that outages are known to the second only.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.failures.locust_history import (
    AVERAGE,
    FAILURES,
    REQUESTS,
    Steps,
    resolution_s,
    rule_text,
    seen_in,
    steps_of,
)
from analysis.reliability import UNKNOWN, Counts, put_together
from analysis.summary import Dist, Finding, Provider, Reliability, Result, Summary, Validity
from harness.errors import CLASS_OF, ErrorClass, ErrorKind, UsageFault, classify
from harness.plan import OutageRule

_HINT = "name a run directory, or the PREFIX given to Locust's --csv"
_NEEDED = ("Name", "Request Count", "Failure Count")
_QUANTILES = {"p50": "50%", "p90": "90%", "p95": "95%", "p99": "99%"}


def prefix_of(source: Path) -> Path:
    """The prefix of Locust's CSV files, where somebody named the file of statistics itself. Raises UsageFault: a file
    that is none."""
    if not source.is_file() or Path(f"{source}_stats.csv").is_file():
        return source
    prefix = source.name.removesuffix("_stats.csv")
    if prefix and prefix != source.name:
        return source.with_name(prefix)
    is_plan = source.suffix in (".yaml", ".yml")
    hint = "a plan is run first: `tokenswarm run`, or `compare --sequential`" if is_plan else _HINT
    raise UsageFault(f"{source}: a file that is no run, nor Locust's PREFIX_stats.csv", hint)


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
        table[name] = _numbers(table[name])
    for name in ("Request Count", "Failure Count"):
        table[name] = _counts(table[name])
    whole = table["Name"].notna() & (table["Name"] != "Aggregated") & table["Request Count"].notna()
    return table[whole & (table["Failure Count"] <= table["Request Count"])].reset_index(drop=True)


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, on_bad_lines="skip", encoding_errors="replace")
    except pd.errors.EmptyDataError as error:
        raise UsageFault(
            f"{path}: empty file", "was the run ended before Locust wrote its first statistics?"
        ) from error
    except OSError as error:
        raise UsageFault(f"{path}: cannot be read: {error.strerror}", _HINT) from error
    except (pd.errors.ParserError, ValueError) as error:
        raise UsageFault(f"{path}: not CSV: {error}", "name the PREFIX given to Locust's --csv") from error


_MOST = 1e15
_MOST_AWAY_S = 31 * 86_400.0


def _numbers(column: pd.Series[Any]) -> pd.Series[float]:
    """Numbers as floats; NaN where there is none, or one that nothing of a load test can be."""
    found = pd.to_numeric(column, errors="coerce").astype(float)
    return found.where(found.abs() < _MOST)


def _counts(column: pd.Series[Any]) -> pd.Series[float]:
    """As `_numbers`, and none below 0."""
    found = _numbers(column)
    return found.where(found >= 0)


def summarise_csv(prefix: Path, rule: OutageRule | None = None) -> Summary:
    """A summary of what `PREFIX_stats.csv` and its companions tell: one result for each Type and Name."""
    stats = read_stats(Path(f"{prefix}_stats.csv"))
    failures = _failures(Path(f"{prefix}_failures.csv"))
    history = _history(Path(f"{prefix}_stats_history.csv"))
    rule = rule or OutageRule()
    results = tuple(_result(row, failures, history, rule) for _, row in stats.iterrows())
    findings = [_note_failures_included()] if any(result.outcomes.get("failed") for result in results) else []
    findings += [*_note_history_of_all(results, history, rule), *_note_of_others(results)]
    if not results:
        findings.append(_empty(prefix))
    return Summary(
        run=str(prefix),
        plan=None,
        source="locust-csv",
        validity=Validity(verdict="valid" if results else "invalid", findings=tuple(findings)),
        results=results,
        providers=tuple(Provider(target=r.target, reliability=r.reliability) for r in results if r.reliability),
    )


def _failures(path: Path) -> pd.DataFrame:
    columns = ["Method", "Name", "Error", "Occurrences"]
    if not path.exists() or path.stat().st_size == 0:
        return pd.DataFrame(columns=columns)
    table = _read(path)
    if not set(columns) <= set(table.columns):
        return pd.DataFrame(columns=columns)
    table["Occurrences"] = _counts(table["Occurrences"]).fillna(0)
    return table


_TOTALS = (REQUESTS, FAILURES)


def _history(path: Path) -> pd.DataFrame:
    """Rows of second, name and counts since the start; empty where the file tells none of it."""
    columns = ["Timestamp", "Type", "Name", *_TOTALS, AVERAGE]
    if not path.exists() or path.stat().st_size == 0:
        return pd.DataFrame(columns=columns)
    table = _read(path)
    if not {"Timestamp", "Name", *_TOTALS} <= set(table.columns):
        return pd.DataFrame(columns=columns)
    if "Type" not in table.columns:
        table["Type"] = table.get("Method", "")
    if AVERAGE not in table.columns:
        table[AVERAGE] = ""
    for name in ("Timestamp", *_TOTALS, AVERAGE):
        table[name] = _counts(table[name])
    whole = table.loc[table[["Timestamp", *_TOTALS]].notna().all(axis=1), columns]
    away_s = (whole["Timestamp"] - whole["Timestamp"].median()).abs()
    return whole[away_s <= _MOST_AWAY_S]  # a damaged row, or one by a clock that was wrong


def _of_entry(history: pd.DataFrame, name: str, kind: str, requests: int) -> pd.DataFrame | None:
    """The history of one entry: its own rows, or those of all requests where it is all of them; else None."""
    own = history[(history["Name"] == name) & (history["Type"] == kind)]
    if len(own):
        return own
    every = history[history["Name"] == "Aggregated"]
    return every if len(every) and every["Total Request Count"].max() == requests else None


def _reliability(
    requests: int, failures: pd.DataFrame, failed: int, steps: Steps | None, rule: OutageRule
) -> Reliability:
    counts = Counts(requests, requests - failed, _classes(failures, failed))
    if steps is None:
        return put_together([], counts, "success ratio only: the CSV does not say when each request failed", None)
    refused = failed > 0 and counts.by_class[ErrorClass.THROTTLED] == failed
    return put_together(seen_in(steps, rule, refused=refused), counts, rule_text(rule), resolution_s(steps))


_STATUS = re.compile(
    r"\b([45]\d\d)\b(?= (?:Client|Server) Error|\)|$)|(?:HTTP|status)\D{0,8}([45]\d\d)\b", re.IGNORECASE
)
_LOST = re.compile(
    r"time(d )?out|refused|reset|aborted|disconnected|broken pipe|name resolution|SSL|ConnectionError", re.IGNORECASE
)


_KINDS = {each.value for each in ErrorKind}


def class_of_text(error: str) -> str:
    """The class of an error by what Locust's CSV says of it: this project's own kinds, an HTTP status, the words of a
    lost connection; else `unknown`, which counts as the provider's."""
    word = error.split(" ", 1)[0]
    if word in _KINDS:
        return CLASS_OF[ErrorKind(word)].value
    status = _STATUS.search(error)
    if status is not None:
        kind = classify(int(status[1] or status[2]))
        return UNKNOWN if kind is None else CLASS_OF[kind].value
    return ErrorClass.TRANSPORT.value if _LOST.search(error) else UNKNOWN


def _classes(failures: pd.DataFrame, failed: int) -> Counter[str]:
    """Failures by class; those that the list of failures leaves out are unknown."""
    found: Counter[str] = Counter()
    for error, occurrences in zip(failures["Error"], failures["Occurrences"], strict=True):
        found[class_of_text(str(error))] += int(occurrences)
    left = failed - found.total()
    if left < 0:  # of another run, or of an entry of the same name: it tells nothing of this one
        return Counter({UNKNOWN: failed})
    found[UNKNOWN] += left
    return found


def _note_history_of_all(results: tuple[Result, ...], history: pd.DataFrame, rule: OutageRule) -> list[Finding]:
    """Where outages are known of all requests together alone."""
    every = history[history["Name"] == "Aggregated"]
    if len(results) < 2 or (history["Name"] != "Aggregated").any():
        return []
    steps = steps_of(every, float(history["Timestamp"].min()))
    if steps is None or steps.end_s[-1] == 0:
        return []
    found = put_together(seen_in(steps, rule), Counts(), rule_text(rule), None)
    available = 0.0 if found.availability.value is None else found.availability.value
    saw = f"a history of all requests together: available {100 * available:.1f} % of {steps.end_s[-1]:.0f} s, "
    return [
        Finding(
            code="history-of-all",
            severity="note",
            saw=f"{saw}outages: {len(found.outages)}",
            why=f"availability of each name is not known ({rule_text(rule)})",
            hint="run Locust with --csv-full-history",
        )
    ]


def _note_of_others(results: tuple[Result, ...]) -> list[Finding]:
    """Failures that are not the provider's, among others that are: the history does not tell one from the other."""
    found = []
    for result in results:
        all_of_it, own = result.outcomes.get("failed", 0), result.reliability
        if own is not None and own.watched_s and own.outages and own.provider_failures < all_of_it:
            found.append(
                Finding(
                    code="history-of-any-failure",
                    severity="note",
                    saw=f"{result.target}: {all_of_it - own.provider_failures} of {all_of_it} failures are refusals or "
                    "errors of the client",
                    why="the history does not tell them from the provider's, so that its outages hold them too",
                    hint="record samples (--run-dir, or a plan) to have each failure's cause",
                )
            )
    return found


def _number(row: pd.Series[float], name: str) -> float | None:
    value = row.get(name)
    return None if value is None or pd.isna(value) else float(value)


def _in_seconds(row: pd.Series[float], name: str) -> float | None:
    value = _number(row, name)
    return None if value is None else value / 1000


def _result(row: pd.Series[float], failures: pd.DataFrame, history: pd.DataFrame, rule: OutageRule) -> Result:
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
    steps = None if own_history is None else steps_of(own_history, float(history["Timestamp"].min()))
    return Result(
        target=str(row["Name"]),
        dialect=str(row["Type"]) or None,
        attempted=requests,
        outcomes={"ok": requests - failed, "failed": failed},
        error_classes={name: n for name, n in sorted(_classes(own, failed).items()) if n},
        errors={str(error): int(n) for error, n in zip(own["Error"], own["Occurrences"], strict=True)},
        window_s=requests / rate if rate else None,
        achieved_rps=rate,
        completed_rps=None if rate is None else rate - (bad_rate or 0.0),
        e2e_s=e2e if requests else None,
        reliability=_reliability(requests, own, failed, steps, rule),
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
