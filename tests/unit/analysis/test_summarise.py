"""Samples with known times -> the figures they must give."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from analysis.report import render
from analysis.samples import load_samples
from analysis.summarise import summarise, summary_json
from analysis.summary import Result
from harness.errors import ErrorKind, UsageFault
from harness.rundir import RunDir
from harness.sample import Footer, Header, Outcome, Sample, Usage, encode

MS = 1_000_000
S = 1_000_000_000
HOSTILE = "<script>alert(1)</script>"


def _sample(seq: int, start_ns: int, **changes: object) -> Sample:
    """TTFT 100 ms, then 4 events 10 ms apart that carry 5 tokens, E2E 150 ms."""
    events = tuple(start_ns + 100 * MS + 10 * MS * k for k in range(5))
    fields = {
        "run": "r", "target": "t", "dialect": "openai-chat", "model": "m", "workload": "w", "stage": 0, "repeat": 1,
        "worker": "r1-w0", "seq": seq, "prompt_id": "p", "start_ns": start_ns, "headers_ns": start_ns + 50 * MS,
        "event_ns": events, "first_text_ns": events[0], "end_ns": start_ns + 150 * MS, "outcome": Outcome.OK,
        "status": 200, "items": 1, "usage": Usage(source="provider", input_tokens=10, output_tokens=5),
    } | changes  # fmt: skip
    return Sample(**fields)  # type: ignore[arg-type]


def _run(folder: Path, samples: list[Sample], *, footer: bool = True) -> RunDir:
    run_dir = RunDir(folder)
    run_dir.journals.mkdir(parents=True)
    target = {
        "name": "t",
        "dialect": "openai-chat",
        "base_url": "http://h/v1",
        "model": HOSTILE,
        "price": {"input": 1, "output": 2},
    }
    plan = {
        "name": "p", "repeats": 1, "warmup_s": 1, "targets": [target],
        "workload": {"name": "w", "goals": ["e2e_s.p50 < 1"]},
        "stages": [{"concurrency": 1, "duration_s": 10}], "slo": {"ttft_s": 0.12},
    }  # fmt: skip
    run_dir.plan.write_text(yaml.safe_dump(plan))
    run_dir.run_json.write_text('{"ended": "complete"}')
    header = Header(
        schema=1, run="r", worker="r1-w0", repeat=1, share=(0, 1), wall_ns=10**18, mono_ns=5, pid=1, host="h"
    )
    lines = [
        encode(header),
        *map(encode, samples),
        *([encode(Footer(samples=len(samples), end_ns=1))] if footer else []),
    ]
    run_dir.journal("r1-w0").write_bytes(b"".join(lines))
    return run_dir


def _steady() -> list[Sample]:
    """A request each 100 ms from 0 s to 11 s: 10 of them in the warm-up."""
    return [_sample(k, k * 100 * MS) for k in range(110)]


def _only(run_dir: RunDir) -> Result:
    (result,) = summarise(run_dir)[0].results
    return result


def test_the_figures_of_known_samples(tmp_path: Path) -> None:
    result = _only(_run(tmp_path, _steady()))
    assert (result.attempted, result.warmup_attempts, result.outcomes) == (100, 10, {"ok": 100})
    assert result.window_s == pytest.approx(10, abs=0.06)
    assert result.achieved_rps == pytest.approx(10, rel=0.01)
    assert result.output_tokens_per_s == pytest.approx(50, rel=0.02)
    assert result.in_flight_mean == pytest.approx(1.5, rel=0.02)
    assert result.ttft_s is not None
    assert result.itl_s is not None
    assert result.tpot_s is not None
    assert (result.ttft_s.p50, result.itl_s.p99, result.tpot_s.mean) == pytest.approx((0.1, 0.01, 0.01))
    assert result.goals[0].met
    assert result.cost is not None
    assert result.cost.usd_per_request == pytest.approx((10 * 1 + 5 * 2) / 1e6)


def test_a_failure_counts_but_gives_no_latency_and_no_goodput(tmp_path: Path) -> None:
    quick = {"outcome": Outcome.FAILED, "error": ErrorKind.OVERLOADED, "event_ns": (), "usage": None, "items": None}
    failed = [_sample(k, k * 100 * MS, end_ns=k * 100 * MS + MS, **quick) for k in range(50, 60)]
    result = _only(_run(tmp_path, [*_steady()[:50], *failed, *_steady()[60:]]))
    assert (result.outcomes, result.errors, result.error_classes) == (
        {"failed": 10, "ok": 90}, {"overloaded": 10}, {"server": 10}
    )  # fmt: skip
    assert result.e2e_s is not None
    assert result.e2e_s.n == 90
    assert result.e2e_s.p50 == pytest.approx(0.15)
    assert result.goodput_rps == pytest.approx(9, rel=0.01)
    assert result.reliability is not None
    # The success that started before the first failure ends after it, so the outage has nine: 5.101 s to 6.150 s.
    assert [outage.failures for outage in result.reliability.outages] == [9]
    assert result.reliability.mttr_s.value == pytest.approx(1.049, abs=0.001)


def test_what_misses_the_slo_is_no_goodput(tmp_path: Path) -> None:
    late = [_sample(k, k * 100 * MS, event_ns=(k * 100 * MS + 130 * MS,)) for k in range(50, 60)]
    assert _only(_run(tmp_path, [*_steady()[:50], *late, *_steady()[60:]])).goodput_rps == pytest.approx(9, rel=0.01)


def test_a_journal_without_footer_makes_the_run_suspect(tmp_path: Path) -> None:
    summary, _ = summarise(_run(tmp_path, _steady(), footer=False))
    assert summary.validity.verdict == "suspect"


def test_samples_written_twice_count_once_and_are_told(tmp_path: Path) -> None:
    run_dir = _run(tmp_path, [*_steady(), _steady()[0]])
    assert len(load_samples(run_dir).table) == 110
    assert "journal-damaged" in {finding.code for finding in summarise(run_dir)[0].validity.findings}


def test_an_unknown_schema_is_refused(tmp_path: Path) -> None:
    run_dir = _run(tmp_path, _steady())
    journal = run_dir.journal("r1-w0")
    journal.write_bytes(journal.read_bytes().replace(b'"schema":1', b'"schema":9', 1))
    with pytest.raises(UsageFault, match="schema 9"):
        load_samples(run_dir)


def test_the_report_escapes_what_a_plan_or_provider_says(tmp_path: Path) -> None:
    hostile = [_sample(0, 2 * S, target="t", outcome=Outcome.FAILED, error=ErrorKind.EMPTY, error_detail=HOSTILE)]
    run_dir = _run(tmp_path, [*_steady(), *hostile])
    run_dir.plan.write_text(run_dir.plan.read_text().replace("name: p\n", "name: p\nseed: 3\n"))
    summary, samples = summarise(run_dir)
    page = render([(summary, samples)])
    assert HOSTILE not in page
    assert summary_json(summary)
