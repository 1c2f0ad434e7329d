"""Recovery and integrity, from samples with known times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from runs_on_disk import MS, header, sample, write_journal, write_plan

from analysis.report import render
from analysis.summarise import summarise
from analysis.summary import Recovery, Result
from analysis.wording import integrity, made_to_fail, recovery
from harness.errors import ErrorKind
from harness.sample import Outcome, Sample

BEGIN_MS, REPAIR_MS, END_MS = 2000, 5000, 10_000
STAGE = {"rate_rps": 10, "duration_s": 10, "inject": {"kind": "timeout", "start_s": 2, "duration_s": 3}}
GOALS = ["recovery.worst_s < 2", "integrity >= 1"]
BROKEN = {"outcome": Outcome.TRUNCATED, "error": ErrorKind.TRUNCATED}
DOWN = {"outcome": Outcome.FAILED, "error": ErrorKind.OVERLOADED}
FOREIGN = {"outcome": Outcome.FAILED, "error": ErrorKind.MISMATCHED, "echo": "other"}


def attempt(at_ms: int, **changes: Any) -> Sample:
    """Due each 100 ms; what is sent between the begin and the repair times out 4 s later."""
    fields: dict[str, Any] = {"due_ns": at_ms * MS, "repair_ns": REPAIR_MS * MS, "echo": "own"}
    if BEGIN_MS <= at_ms < REPAIR_MS:
        late = {"end_ns": (at_ms + 4000) * MS, "outcome": Outcome.TIMED_OUT, "error": ErrorKind.READ_TIMEOUT}
        fields |= {"injected": "timeout", "echo": None, "event_ns": ()} | late
    return sample(at_ms // 100, at_ms * MS, **(fields | changes))


def result_of(folder: Path, *repeats: dict[int, dict[str, Any]], echo: bool = True) -> Result:
    """The result of repeats in which the attempts at some moments (ms) were otherwise."""
    workload = {"name": "w", "goals": GOALS, "echo": echo}
    run_dir = write_plan(folder, repeats=len(repeats), warmup_s=0, workload=workload, stages=[STAGE])
    for number, others in enumerate(repeats, 1):
        worker = f"r{number}-w0"
        samples = [
            attempt(at_ms, **({"worker": worker, "repeat": number} | others.get(at_ms, {})))
            for at_ms in range(0, END_MS, 100)
        ]
        write_journal(run_dir, samples, head=header(worker, number, wall_ns=10**18 + number * 60 * 10**9))
    summary, read = summarise(run_dir)
    assert "Recovery" in render([(summary, read)])
    (result,) = summary.results
    return result


def found(result: Result) -> Recovery:
    assert result.recovery is not None
    return result.recovery


def test_recovery_ends_with_the_first_of_three_whole_replies_to_what_was_sent_after_the_repair(tmp_path: Path) -> None:
    result = result_of(tmp_path, {5000: DOWN, 5300: BROKEN, 5600: DOWN})
    seen = found(result)
    assert list(seen.times_s) == [pytest.approx(0.85)]  # 5.7 s is the first of three, and takes 150 ms
    assert (seen.injected, seen.failed, seen.errors) == (30, 30, {"read_timeout": 30})
    assert seen.integrity is not None
    assert (seen.integrity.replies, seen.integrity.own, seen.integrity.ratio.value) == (43, 43, 1.0)
    assert [goal.met for goal in result.goals] == [True, True]
    assert result.integrity is not None
    assert (result.integrity.replies, result.integrity.own) == (20 + 48, 67)  # 50 after the repair: 2 had no reply


def test_what_had_the_fault_on_purpose_is_not_the_providers_failure(tmp_path: Path) -> None:
    result = result_of(tmp_path, {})
    assert result.reliability is not None
    assert result.reliability.provider_failures == 0
    assert result.reliability.availability.value == 1.0
    assert result.outcomes == {"ok": 70, "timed_out": 30}


def test_the_worst_repeat_counts_and_one_that_was_not_seen_is_told(tmp_path: Path) -> None:
    result = result_of(tmp_path / "a", {}, {5000: DOWN})
    assert list(found(result).times_s) == [pytest.approx(0.15), pytest.approx(0.25)]
    assert found(result).worst_s == pytest.approx(0.25)
    result = result_of(tmp_path / "b", {}, dict.fromkeys(range(5000, END_MS, 100), DOWN))
    assert list(found(result).times_s) == [pytest.approx(0.15), None]
    assert found(result).worst_s is None
    assert found(result).at_least_s == pytest.approx(5.0)
    assert recovery(found(result)) == "not within 5.00 s"
    assert [(goal.saw, goal.met) for goal in result.goals] == [(None, False), (1.0, True)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (FOREIGN, "98.00 % (49 of 50; 1 to other requests)"),
        ({"echo": "missing"}, "98.00 % (49 of 50; 1 without their code)"),
        (BROKEN, "98.00 % (49 of 50; 1 not whole)"),
        (DOWN, "100.00 % (49 of 49)"),
    ],
)
def test_a_single_wrong_reply_after_the_recovery_breaks_integrity(
    tmp_path: Path, wrong: dict[str, Any], said: str
) -> None:
    result = result_of(tmp_path, {8000: wrong})
    assert integrity(found(result).integrity) == said
    assert result.goals[1].met is (wrong is DOWN)


def test_where_nothing_failed_or_no_codes_were_asked_nothing_is_claimed(tmp_path: Path) -> None:
    fine = {"outcome": Outcome.OK, "error": None, "end_ns": 10 * 10**9}
    result = result_of(tmp_path, dict.fromkeys(range(BEGIN_MS, REPAIR_MS, 100), fine), echo=False)
    seen = found(result)
    assert recovery(seen) == "nothing failed"
    assert made_to_fail(seen) == "0 of 30"
    assert seen.times_s == ()
    assert result.integrity is None
    assert integrity(seen.integrity) == "50 of 50 whole; belonging not checked"
    assert [goal.met for goal in result.goals] == [None, None]
