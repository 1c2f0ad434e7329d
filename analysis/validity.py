"""Doubts about a run, each as saw / why / hint, and the verdict they amount to: the worst wins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from analysis.cells.health import health_findings
from analysis.cells.lengths import length_findings
from analysis.cells.sends import send_findings
from analysis.cells.token_counts import token_findings
from analysis.cost import cost_findings
from analysis.samples import Samples
from analysis.summary import Finding, Reconciliation, Result, Validity, Verdict
from harness.cells import left_out
from harness.errors import ErrorKind
from harness.plan import Plan, Stage, Target, Workload
from harness.records.health_record import Health
from harness.records.monitor_record import Doubt
from harness.rules.target_rules import travels_in_clear

CLOCK_OFFSET_S = 0.01


def judge_run(
    samples: Samples,
    run: dict[str, Any],
    results: Sequence[Result],
    rows: Sequence[Reconciliation],
    repeats: int,
    health: Sequence[Health],
    plan: Plan,
) -> Validity:
    """Every finding about a run of this project, the generator's own first. `run`: run.json, empty if missing."""
    ended = str(run.get("ended", "died"))
    findings = [
        *health_findings(health, samples, results),
        *send_findings(samples, results),
        *_ending(ended, run),
        *_journals(samples),
        *_own_limits(samples),
        *_nothing_worked(results),
        *_reconciled(rows, whole=ended == "complete"),
        *_few_repeats(results, repeats),
        *_thin_p99(results),
        *_no_usage(results),
        *token_findings(results),
        *length_findings(results),
        *cost_findings(results, plan.targets),
        *_not_injected(left_out(plan)),
        *_foreign(results),
        *_in_clear(plan),
    ]
    return Validity(verdict=verdict_of(findings), findings=tuple(findings))


def _not_injected(missing: Sequence[tuple[Target, Workload, Stage]]) -> list[Finding]:
    if not missing:
        return []
    stages = list(dict.fromkeys(f"{workload.name}, {stage.label}" for _, workload, stage in missing))
    targets = list(dict.fromkeys(target.name for target, _, _ in missing))
    saw = f"not applicable to {', '.join(targets)}: {'; '.join(stages)}"
    why = "nobody but the provider itself can refuse a request because of its limits"
    hint = "`tokenswarm limits` passes them within a bounded spend, and tells how the provider behaves then"
    return [Finding(code="not-applicable", severity="note", saw=saw, why=why, hint=hint)]


def _in_clear(plan: Plan) -> list[Finding]:
    """Keys that were sent unencrypted."""
    names = [target.name for target in plan.targets if travels_in_clear(target)]
    if not names:
        return []
    saw = f"http:// to another machine, with a key: {', '.join(names)}"
    why = "whoever carries the traffic can read the key"
    hint = "use https://, or a tunnel whose end is on this machine; give out a new key"
    return [Finding(code="key-in-clear", severity="note", saw=saw, why=why, hint=hint)]


def _foreign(results: Sequence[Result]) -> list[Finding]:
    """Replies to other requests: the gravest thing that a provider can do."""
    found = []
    for result in results:
        count = result.errors.get(ErrorKind.MISMATCHED, 0)
        if count:
            saw = f"{result.target} {result.workload}: {count} of {result.attempted} replies were to other requests"
            why = "a reply held the code of another request: somebody crossed them; each counts as failed"
            hint = "tell the provider; `error: mismatched` in samples.parquet names the requests by their ids"
            found.append(Finding(code="mismatched", severity="note", saw=saw, why=why, hint=hint))
    return found


def verdict_of(findings: Iterable[Finding | Doubt]) -> Verdict:
    """The worst severity; a note harms nothing."""
    severities = {finding.severity for finding in findings}
    return "invalid" if "invalid" in severities else "suspect" if "suspect" in severities else "valid"


def _ending(ended: str, run: dict[str, Any]) -> list[Finding]:
    if ended == "complete":
        return []
    missing = "; ".join(str(each) for each in run.get("missing", [])) or "nothing further is known"
    saw = {"running": "the run died before it ended, or it still goes on", "died": "no run.json"}.get(
        ended, f"the run ended {ended}"
    )
    why = "some of the planned requests were never sent or are lost; what is here was measured all the same"
    hint = "if it goes on, wait for its end; else run it again" if ended == "running" else "run it again"
    return [Finding(code="not-complete", severity="suspect", saw=f"{saw}: {missing}", why=why, hint=hint)]


def _journals(samples: Samples) -> list[Finding]:
    found = []
    cut = [state.worker for state in samples.journals if not state.closed]
    if cut:
        saw = f"journal without its last line: {', '.join(cut)}"
        why = "the worker was ended before it could finish; requests then in flight are missing"
        found.append(Finding(code="worker-lost", severity="suspect", saw=saw, why=why, hint="see locust/*.log"))
    bad = sum(state.bad_lines for state in samples.journals)
    if bad or samples.duplicates:
        saw = f"{bad} unreadable lines, {samples.duplicates} samples written twice"
        why = "a journal was damaged or copied together; these lines are left out"
        found.append(Finding(code="journal-damaged", severity="suspect", saw=saw, why=why, hint="check the disk"))
    return found + _clocks(samples)


def _clocks(samples: Samples) -> list[Finding]:
    """Hosts whose clock was off."""
    known = [state for state in samples.journals if state.clock_error_ns is not None]
    worst = max(known, key=lambda state: abs(state.clock_offset_ns), default=None)
    if worst is None or abs(worst.clock_offset_ns) < CLOCK_OFFSET_S * 1e9:
        return []
    offset_s, error_s = worst.clock_offset_ns / 1e9, (worst.clock_error_ns or 0) / 1e9
    saw = f"{worst.worker}: its host's clock was {offset_s:+.3f} s off the master's, known to {error_s * 1e3:.2g} ms"
    why = "times of all hosts are brought onto the master's clock by it; durations do not depend on it"
    return [Finding(code="clock-offset", severity="note", saw=saw, why=why, hint="keep the hosts' clocks with NTP")]


_OWN_LIMITS = {
    "Too many open files": "raise the limit of open files (ulimit -n), or use more workers",
    "Cannot assign requested address": "use more workers on other hosts, or keep connections alive: no port is left",
    "Cannot allocate memory": "give the load more memory, or less load",
    "No buffer space available": "give the load more memory, or less load",
}


def _own_limits(samples: Samples) -> list[Finding]:
    """Failures that are this machine's own, though they look like those of a provider."""
    failed = samples.table[samples.table["error"].notna()]
    found = []
    for words, hint in _OWN_LIMITS.items():
        count = int(failed["error_detail"].astype(object).fillna("").str.contains(words, regex=False).sum())
        if count:
            saw = f"{count} of {len(samples.table)} requests failed here: {words}"
            why = "they are failures of the machine that makes the load, and are counted as the provider's"
            found.append(Finding(code="own-limits", severity="invalid", saw=saw, why=why, hint=hint))
    return found


def _nothing_worked(results: Sequence[Result]) -> list[Finding]:
    found = []
    for result in results:
        if not result.outcomes.get("ok"):
            errors = ", ".join(f"{kind} x {n}" for kind, n in sorted(result.errors.items())) or "none was sent"
            saw = f"{result.target} {result.workload}: no success in {result.attempted} requests ({errors})"
            why = "a target that never answered well cannot be compared"
            hint = "check base_url, model, key and the provider's status"
            found.append(Finding(code="no-success", severity="invalid", saw=saw, why=why, hint=hint))
    return found


def _reconciled(rows: Sequence[Reconciliation], *, whole: bool) -> list[Finding]:
    apart = [row for row in rows if not row.agree]
    if not apart:
        return []
    saw = "; ".join(
        f"{row.entry}: {row.csv_requests} requests in Locust's CSV, {row.samples_requests} samples" for row in apart[:3]
    )
    why = "two records of the same requests must agree"
    hint = "see reconciliation in summary.json; a worker that was killed takes up to 3 s of Locust's counts along"
    severity = "invalid" if whole else "suspect"
    return [Finding(code="counts-disagree", severity=severity, saw=saw, why=why, hint=hint)]  # type: ignore[arg-type]


def _few_repeats(results: Sequence[Result], repeats: int) -> list[Finding]:
    if repeats >= 3 or not results:
        return []
    saw = f"{repeats} repeat{'s' if repeats > 1 else ''}"
    why = "intervals and comparisons rest on repeats; requests within one are correlated"
    return [Finding(code="few-repeats", severity="note", saw=saw, why=why, hint="set repeats: 3, better 5")]


def _thin_p99(results: Sequence[Result]) -> list[Finding]:
    thin = [result for result in results if result.e2e_s is not None and 100 <= result.e2e_s.n < 459]
    if not thin:
        return []
    fewest = min(result.e2e_s.n for result in thin if result.e2e_s is not None)
    saw = f"fewer than 459 good requests in {len(thin)} of {len(results)} results (fewest {fewest})"
    why = "below 459 the largest value need not lie above the true p99 (at 99 % confidence)"
    return [Finding(code="thin-p99", severity="note", saw=saw, why=why, hint="longer stages or more repeats")]


def _no_usage(results: Sequence[Result]) -> list[Finding]:
    silent = [result for result in results if result.kind == "chat" and result.outcomes.get("ok")]
    names = sorted({result.target for result in silent if result.output_tokens is None})
    if not names:
        return []
    why = "without the provider's count there is no TPOT, no tokens/s and no cost"
    saw = f"no usage in the replies of {', '.join(names)}"
    return [
        Finding(code="no-usage", severity="note", saw=saw, why=why, hint="does the server report usage in streams?")
    ]
