"""Samples with known times -> the figures they must give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from runs_on_disk import HOSTILE, MS, S, header, sample, steady, write_journal, write_run

from analysis.report import render
from analysis.samples import load_samples
from analysis.summarise import summarise, summary_json
from analysis.summary import Result
from harness.errors import ErrorKind, UsageFault
from harness.rundir import RunDir
from harness.sample import SCHEMA, Outcome, RateLimit, Sample, ServerTime, Usage


def _only(run_dir: RunDir) -> Result:
    (result,) = summarise(run_dir)[0].results
    return result


def test_the_figures_of_known_samples(tmp_path: Path) -> None:
    result = _only(write_run(tmp_path, steady()))
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


def test_how_near_the_run_came_to_the_limits_that_headers_tell(tmp_path: Path) -> None:
    told = [
        sample(k, k * 100 * MS, limits=RateLimit(limit_requests=200, remaining_requests=190 - k)) for k in range(60)
    ]
    assert _only(write_run(tmp_path, [*told, *steady()[60:]])).limits_left == {"requests": 131 / 200}


def test_a_failure_counts_but_gives_no_latency_and_no_goodput(tmp_path: Path) -> None:
    quick = {"outcome": Outcome.FAILED, "error": ErrorKind.OVERLOADED, "event_ns": (), "usage": None, "items": None}
    failed = [sample(k, k * 100 * MS, end_ns=k * 100 * MS + MS, **quick) for k in range(50, 60)]
    result = _only(write_run(tmp_path, [*steady()[:50], *failed, *steady()[60:]]))
    assert (result.outcomes, result.errors, result.error_classes) == (
        {"failed": 10, "ok": 90}, {"overloaded": 10}, {"server": 10}
    )  # fmt: skip
    assert result.e2e_s is not None
    assert result.e2e_s.n == 90
    assert result.e2e_s.p50 == pytest.approx(0.15)
    assert result.goodput_rps == pytest.approx(9, rel=0.01)
    assert result.reliability is not None
    # Attempts count when they are sent: the success sent before the first failure ends after it, and is none of it.
    assert [outage.failures for outage in result.reliability.outages] == [10]
    assert result.reliability.mttr_s.value == pytest.approx(1.0, abs=0.001)
    assert result.reliability.error_ratio["server"].value == pytest.approx(0.1)


def test_tokens_that_no_reply_tells_are_not_zero_of_them(tmp_path: Path) -> None:
    (silent,) = summarise(write_run(tmp_path / "silent", steady(usage=None)))[0].results
    assert (silent.input_tokens_per_s, silent.output_tokens_per_s) == (None, None)
    nothing = Usage(source="provider", input_tokens=0, output_tokens=5)
    (told,) = summarise(write_run(tmp_path / "told", steady(usage=nothing)))[0].results
    assert told.input_tokens_per_s == 0


def test_what_misses_the_slo_is_no_goodput(tmp_path: Path) -> None:
    late = [sample(k, k * 100 * MS, event_ns=(k * 100 * MS + 130 * MS,)) for k in range(50, 60)]
    assert _only(write_run(tmp_path, [*steady()[:50], *late, *steady()[60:]])).goodput_rps == pytest.approx(9, rel=0.01)


def test_a_journal_without_footer_makes_the_run_suspect(tmp_path: Path) -> None:
    summary, _ = summarise(write_run(tmp_path, steady(), footer=False))
    assert summary.validity.verdict == "suspect"


def test_samples_written_twice_count_once_and_are_told(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path, [*steady(), steady()[0]])
    assert len(load_samples(run_dir).table) == 110
    assert "journal-damaged" in {finding.code for finding in summarise(run_dir)[0].validity.findings}


def test_an_unknown_schema_is_refused(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path, steady())
    journal = run_dir.journal("r1-w0")
    journal.write_bytes(journal.read_bytes().replace(b'"schema":%d' % SCHEMA, b'"schema":9', 1))
    with pytest.raises(UsageFault, match="schema 9"):
        load_samples(run_dir)


def test_a_journal_of_the_first_schema_is_read_alike(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path, steady())
    journal = run_dir.journal("r1-w0")
    now = summarise(run_dir)[0]
    journal.write_bytes(journal.read_bytes().replace(b'"schema":%d' % SCHEMA, b'"schema":1', 1))
    assert b'"schema":1' in journal.read_bytes()
    assert summarise(run_dir)[0] == now


def test_the_report_escapes_what_a_plan_or_provider_says(tmp_path: Path) -> None:
    hostile = [sample(0, 2 * S, target="t", outcome=Outcome.FAILED, error=ErrorKind.EMPTY, error_detail=HOSTILE)]
    run_dir = write_run(tmp_path, [*steady(), *hostile])
    run_dir.plan.write_text(run_dir.plan.read_text().replace("name: p\n", "name: p\nseed: 3\n"))
    summary, samples = summarise(run_dir)
    page = render([(summary, samples)])
    assert HOSTILE not in page
    assert summary_json(summary)


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path, steady())
    assert summary_json(summarise(run_dir)[0]) == summary_json(summarise(run_dir)[0])


def test_the_window_of_a_closed_stage_is_its_planned_span(tmp_path: Path) -> None:
    result = _only(write_run(tmp_path, steady()))
    assert result.window is not None
    assert (result.window.begin_s, result.window.end_s) == pytest.approx((1, 11))
    assert (result.offered_rps, result.lag_s) == (None, None)


def test_users_who_move_in_step_do_not_raise_the_rate(tmp_path: Path) -> None:
    """Eight users, a request each second: 8/s, wherever the last of the eight happened to start."""
    together = [sample(8 * k + u, k * S + u * MS, end_ns=(k + 1) * S) for k in range(11) for u in range(8)]
    result = _only(write_run(tmp_path, together, stages=[{"concurrency": 8, "duration_s": 10}]))
    assert result.achieved_rps == pytest.approx(8, rel=0.01)


OPEN = [{"rate_rps": 10, "duration_s": 10}]


def _open(seq: int, due_ns: int, lag_ns: int = 0, **changes: object) -> Sample:
    return sample(seq, due_ns + lag_ns, due_ns=due_ns, **changes)


def _dropped(seq: int, due_ns: int) -> Sample:
    nothing = {"event_ns": (), "headers_ns": None, "first_text_ns": None, "usage": None, "items": None, "status": None}
    changes = {"due_ns": due_ns, "end_ns": due_ns + S, "outcome": Outcome.DROPPED, **nothing}
    return sample(seq, None, **changes)


def test_an_open_stage_offers_what_was_due_and_sends_what_was_not_dropped(tmp_path: Path) -> None:
    arrivals = [_dropped(k, k * 100 * MS) if k % 10 == 5 else _open(k, k * 100 * MS) for k in range(110)]
    result = _only(write_run(tmp_path, arrivals, stages=OPEN))
    assert result.outcomes == {"dropped": 10, "ok": 90}
    rates = result.offered_rps, result.achieved_rps, result.completed_rps, result.goodput_rps
    assert rates == pytest.approx((10, 9, 9, 9))
    assert result.in_flight_mean == pytest.approx(0.9 * 1.5, rel=0.02)
    assert result.repeat_values[0].values["success_ratio"] == 1


def test_response_counts_from_when_a_request_was_due(tmp_path: Path) -> None:
    result = _only(write_run(tmp_path, [_open(k, k * 100 * MS, lag_ns=30 * MS) for k in range(110)], stages=OPEN))
    assert result.lag_s is not None
    assert result.response_s is not None
    assert result.e2e_s is not None
    assert (result.lag_s.p50, result.response_s.p50, result.e2e_s.p50) == pytest.approx((0.03, 0.18, 0.15))


def test_an_arrival_belongs_to_the_window_in_which_it_was_due(tmp_path: Path) -> None:
    """Due 50 ms before the warm-up ended, sent 50 ms after: it belongs to the warm-up."""
    late = _open(1, 950 * MS, lag_ns=100 * MS)
    result = _only(write_run(tmp_path, [_open(0, 0), late, *(_open(k, k * S) for k in range(2, 10))], stages=OPEN))
    assert (result.attempted, result.warmup_attempts) == (8, 2)


def test_the_window_ends_where_arrivals_end_early(tmp_path: Path) -> None:
    """A trace of 6 s in a stage of 10: nothing is due in the rest, which would thin out every rate."""
    result = _only(write_run(tmp_path, [_open(k, k * 100 * MS) for k in range(60)], stages=OPEN))
    assert result.window is not None
    assert (result.window.begin_s, result.window.end_s) == pytest.approx((1, 6))
    assert result.offered_rps == pytest.approx(10)


def test_a_repeat_that_was_cut_off_in_its_warm_up_takes_no_interval_along(tmp_path: Path) -> None:
    """Two repeats of ten seconds, and half a second of a third."""

    def moved(each: Sample, repeat: int) -> Sample:
        by = 20 * S * repeat
        later = {"start_ns": (each.start_ns or 0) + by, "headers_ns": None, "first_text_ns": None}
        events = tuple(at + by for at in each.event_ns)
        fields = {"repeat": repeat, "seq": each.seq + 1000 * repeat, "end_ns": each.end_ns + by, "event_ns": events}
        return msgspec.structs.replace(each, **later, **fields)

    made = [moved(each, repeat) for repeat, n in ((1, 110), (2, 110), (3, 5)) for each in steady()[:n]]
    result = _only(write_run(tmp_path, made, repeats=3))
    assert (result.repeats, result.attempted, result.warmup_attempts) == (2, 200, 25)
    assert result.ttft_s is not None
    assert result.ttft_s.ci95["p50"] == pytest.approx((0.1, 0.1))
    assert result.window is not None
    assert (result.window.begin_s, result.window.end_s, result.window_s) == (1, 11, 20)


def test_nothing_but_dropped_arrivals_is_a_result_without_latencies(tmp_path: Path) -> None:
    result = _only(write_run(tmp_path, [_dropped(k, k * 100 * MS) for k in range(110)], stages=OPEN))
    assert (result.outcomes, result.achieved_rps, result.goodput_rps) == ({"dropped": 100}, 0, 0)
    assert (result.ttft_s, result.e2e_s, result.lag_s, result.output_tokens_per_s) == (None,) * 4


def test_tokens_are_booked_when_their_events_arrived(tmp_path: Path) -> None:
    """A reply's events at 0.98, 0.99, 1.00, 1.01, 1.02 s carry 2, 0.75, 0.75, 0.75, 0.75 of its five tokens; the window
    begins at 1 s and ends with the last request, at 10.15 s."""
    straddling = sample(1, 880 * MS, first_event_tokens=2)
    result = _only(write_run(tmp_path, [sample(0, 0), straddling, sample(2, 10 * S)]))
    assert result.window_s == pytest.approx(9.15)
    assert result.output_tokens_per_s == pytest.approx((3 * 0.75 + 5) / 9.15)


def test_tpot_leaves_out_the_first_events_tokens_and_reasoning_that_was_not_sent(tmp_path: Path) -> None:
    hidden = Usage(source="provider", input_tokens=10, output_tokens=105, reasoning_tokens=100)
    run_dirs = [
        write_run(tmp_path / "a", steady(first_event_tokens=3)),
        write_run(tmp_path / "b", steady(usage=hidden)),
    ]
    found = [dist.mean for run_dir in run_dirs if (dist := _only(run_dir).tpot_s) is not None]
    assert found == pytest.approx([0.04 / 2, 0.04 / 4])


def test_the_servers_own_time_and_who_stamped(tmp_path: Path) -> None:
    told = ServerTime(source="usage", total_ns=120 * MS, queue_ns=5 * MS)
    half = [each if k % 2 else sample(k, k * 100 * MS, server=told, stamps="kernel") for k, each in enumerate(steady())]
    result = _only(write_run(tmp_path, half))
    assert result.stamps == {"kernel": 50}
    assert result.server_s is not None
    assert result.server_s.sources == {"usage": 50}
    assert result.server_s.prompt is None
    assert result.server_s.queue is not None
    assert result.network_s is not None
    assert (result.server_s.queue.p50, result.network_s.p50, result.network_s.n) == pytest.approx((0.005, 0.03, 50))


def test_clocks_of_workers_are_brought_onto_one_axis(tmp_path: Path) -> None:
    """Two workers whose anchors are 3 s apart, each with half of the arrivals, are one schedule."""
    run_dir = write_run(tmp_path, steady()[::2])
    later = [sample(k, k * 100 * MS - 3 * S, worker="r1-w1") for k in range(1, 110, 2)]
    write_journal(run_dir, later, head=header("r1-w1", wall_ns=10**18 + 3 * S))
    result = _only(run_dir)
    assert (result.attempted, result.warmup_attempts) == (100, 10)
    assert result.achieved_rps == pytest.approx(10)


def test_two_runs_in_one_report_are_compared(tmp_path: Path) -> None:
    runs = [summarise(write_run(tmp_path / name, steady())) for name in ("a", "b")]
    assert "Against " in render(runs)


def _users(stage: int, users: int, life_s: float) -> list[Sample]:
    """So many users for 10 s, each of whose requests takes `life_s`."""
    life_ns = round(life_s * S)
    times = [k * life_ns + u * MS for k in range(round(10 / life_s)) for u in range(users)]
    begin_ns = stage * 30 * S
    more: dict[str, object] = {"stage": stage, "event_ns": (), "first_text_ns": None}
    return [
        sample(1000 * stage + n, begin_ns + at_ns, end_ns=begin_ns + at_ns + life_ns, **more)
        for n, at_ns in enumerate(times)
    ]


def test_goals_of_a_stage_stand_beside_those_of_its_workload_and_may_concern_how_it_scales(tmp_path: Path) -> None:
    goals = ["scaling.efficiency > 0.8", "scaling.slo_attainment >= 1", "scaling.output_tokens_per_s_per_user > 9"]
    stages = [{"concurrency": 1, "duration_s": 10}, {"concurrency": 10, "duration_s": 10, "goals": goals}]
    samples = [*_users(0, 1, 0.25), *_users(1, 10, 0.5)]
    run_dir = write_run(tmp_path, samples, stages=stages, warmup_s=0, slo={"e2e_s": 0.4})
    alone, ten = summarise(run_dir)[0].results
    assert [goal.text for goal in alone.goals] == ["e2e_s.p50 < 1"]
    assert [goal.text for goal in ten.goals] == ["e2e_s.p50 < 1", *goals]
    assert [goal.saw for goal in ten.goals] == pytest.approx([0.5, 0.5, 0.0, 10.0], rel=0.06)
    assert [goal.met for goal in ten.goals] == [True, False, False, True]


def test_items_a_second_are_right_though_few_batches_fit_into_a_stage(tmp_path: Path) -> None:
    """Jobs of 100 prompts that take 3 s: three or four begin in ten seconds, whose count would be off by a third."""
    jobs = [
        sample(
            k, 3 * k * S, end_ns=3 * (k + 1) * S, items=100, event_ns=(), first_text_ns=None, dialect="openai-batches"
        )
        for k in range(4)
    ]
    target = {"name": "t", "dialect": "openai-batches", "base_url": "http://h/v1", "model": "m"}
    workload = {"name": "w", "kind": "batch", "batch": 100}
    result = _only(write_run(tmp_path, jobs, targets=[target], workload=workload, warmup_s=0))
    assert result.batch is not None
    assert result.batch.items_per_s == pytest.approx(100 / 3, rel=0.01)
    assert result.batch.efficiency is None, "there is no batch of one to compare with"


def _texts(workload: str, begin_s: int, took_ms: int, items: int) -> list[Sample]:
    """One request after another for ten seconds."""
    return [
        sample(
            1000 * begin_s + k, begin_s * S + k * took_ms * MS, end_ns=begin_s * S + (k + 1) * took_ms * MS,
            workload=workload, items=items, event_ns=(), first_text_ns=None, dialect="openai-embeddings",
        )
        for k in range(10_000 // took_ms)
    ]  # fmt: skip


def test_a_batch_is_set_against_a_single_text_as_long_as_its_own(tmp_path: Path) -> None:
    made = [*_texts("short_1", 0, 50, 1), *_texts("long_1", 20, 200, 1), *_texts("short_8", 40, 100, 8)]
    made += _texts("other_8", 60, 100, 8)
    sizes = {"short_1": (10, 1), "long_1": (500, 1), "short_8": (10, 8), "other_8": (99, 8)}
    workloads = [
        {"name": name, "kind": "embeddings", "input_tokens": tokens, "batch": batch}
        for name, (tokens, batch) in sizes.items()
    ]
    target = {"name": "t", "dialect": "openai-embeddings", "base_url": "http://h/v1", "model": "m"}
    plan: dict[str, Any] = {"targets": [target], "workloads": workloads, "warmup_s": 0}
    run_dir = write_run(tmp_path, made, **plan)
    text = yaml.safe_load(run_dir.plan.read_text())
    run_dir.plan.write_text(yaml.safe_dump({name: text[name] for name in text if name != "workload"}))
    found = {each.workload: each.batch for each in summarise(run_dir)[0].results}
    ratios = {name: batch and batch.versus_sequential for name, batch in found.items()}
    assert ratios["other_8"] is None
    assert [ratios[name] for name in ("short_1", "long_1")] == [1, 1]
    assert ratios["short_8"] == pytest.approx(80 / 20, rel=0.02)


def _with_csv_median(run_dir: RunDir, requests: int, median_ms: float) -> bool:
    head = "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,"
    head += "Max Response Time,Average Content Size,Requests/s,Failures/s,50%\n"
    row = f"openai-chat,t w,{requests},0,{median_ms},150,100,200,1,1,0,{median_ms}\n"
    run_dir.locust_csv("stats").write_text(head + row)
    (found,) = summarise(run_dir)[0].reconciliation
    return found.agree


def test_entries_of_one_name_and_several_types_are_counted_together(tmp_path: Path) -> None:
    """A locustfile may send requests of its own beside those that are recorded."""
    run_dir = write_run(tmp_path, steady())
    head = "Type,Name,Request Count,Failure Count,Median Response Time"
    rows = ["openai-chat,t w,110,0,150", "GET,/x,5,1,3", "POST,/x,7,0,4"]
    run_dir.locust_csv("stats").write_text("\n".join([head, *rows]) + "\n")
    other, own = summarise(run_dir)[0].reconciliation
    assert (other.entry, other.csv_requests, other.csv_failures, other.csv_median_ms) == ("/x", 12, 1, None)
    assert (own.entry, own.csv_requests, own.csv_median_ms, own.agree) == ("t w", 110, 150, True)


def test_the_median_of_an_even_count_is_either_of_the_two_in_the_middle(tmp_path: Path) -> None:
    run_dir = write_run(
        tmp_path, [sample(k, 2 * S + k * S, end_ns=2 * S + k * S + (k + 1) * 100 * MS) for k in range(4)]
    )
    agree = {median: _with_csv_median(run_dir, 4, median) for median in (100, 190, 200, 250, 300, 310, 400)}
    assert [median for median, does in agree.items() if does] == [200, 250, 300]
    assert not _with_csv_median(run_dir, 5, 200)
