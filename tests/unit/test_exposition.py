"""What Prometheus reads: the counts of the samples, names escaped, families that `promtool` takes."""

from __future__ import annotations

import shutil
import subprocess
from bisect import bisect_right
from collections.abc import Mapping

import msgspec
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from made_samples import made_sample
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain

from harness.errors import ErrorClass, ErrorKind
from harness.live.exposition import (
    MOST_CELLS,
    OTHERS,
    CellNow,
    Exposition,
    Level,
    Shown,
    WorkerNow,
    cumulative,
    families,
)
from harness.live.live import Board, CellReport, Live
from harness.live.live_cell import LiveCell, bucket_of
from harness.live.monitor_shown import Counted, shown_of_picture
from harness.live.run_shown import Whose, shown_of
from harness.plan import Budget, Price, Slo, Target
from harness.records.metric_table import METRICS, REPLY_S, TOKEN_S, as_markdown
from harness.records.monitor_record import AlertState, Burn, Doubt, Picture, Shift, SlaState, SpendNow
from harness.records.monitor_record import LiveCell as Watched
from harness.sample import Outcome, Sample, Usage, outcome_of

MS = 1_000_000
HOSTILE = 'a"b\\n\n} 1\nevil{x="'


def sample_of(seq: int, target: str = "t", error: ErrorKind | None = None) -> Sample:
    start = seq * 50 * MS
    events = tuple(start + (100 + 10 * k) * MS for k in range(5))
    return made_sample(
        target=target,
        seq=seq,
        start_ns=start,
        event_ns=events,
        end_ns=events[-1] + MS,
        outcome=outcome_of(error),
        error=error,
        usage=Usage(source="provider", input_tokens=30, output_tokens=5, cached_tokens=10, reasoning_tokens=0),
        text="a reply that nobody may read here",
    )


def counts_of(*samples: Sample, price: Price | None = None) -> list[CellReport]:
    names = {sample.target for sample in samples}
    targets = [Target(name=name, dialect="openai-chat", base_url="http://h", model="m", price=price) for name in names]
    counted = Counted(Slo(ttft_s=0.5), targets)
    counted.add(samples)
    return counted.ever()


def values(
    shown: Shown, accept: str | None = None, *more: Shown
) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every series of the page, as a parser reads it; the label `run` is left out where there is one run."""
    page, content_type = Exposition(lambda: [shown, *more]).page(accept)
    parse = open_metrics if content_type.startswith("application/openmetrics-text") else plain
    found = {}
    for family in parse(page.decode()):
        for each in family.samples:
            assert "run" in each.labels
            labels = each.labels if more else {name: text for name, text in each.labels.items() if name != "run"}
            series = (each.name, tuple(sorted(labels.items())))
            assert series not in found, "a series that stands twice fails the whole scrape"
            found[series] = each.value
    return found


def of(shown: Shown, name: str, **labels: str) -> float:
    return values(shown)[f"tokenswarm_{name}", tuple(sorted(labels.items()))]


def whole(*, hostile: str = "x") -> Shown:
    """Everything that can be told, told."""
    shift = Shift(
        metric="ttft",
        kind="level",
        baseline=0.1,
        now=0.2,
        ratio=2.0,
        p_or_statistic=0.0,
        threshold=0.01,
        since_utc=None,
        confirmed=True,
    )
    alert = AlertState(
        id="1",
        rule=hostile,
        severity="warning",
        target=hostile,
        workload="w",
        state="firing",
        since_utc="",
        value=1.0,
        threshold=0.5,
        summary=hostile,
    )
    return Shown(
        run=hostile,
        plan=hostile,
        mode="run",
        state="running",
        counts=counts_of(sample_of(1, hostile), sample_of(2, hostile, ErrorKind.RESET), price=Price(input=1, output=2)),
        cells=[CellNow(hostile, "w", 3, 1.5, [Level("availability", 0.9, 0.5, -4.0, {"run": 5.0})], [shift])],
        workers=[WorkerNow(hostile, 2, 0.003, 0.5, 0.1, 1000)],
        verdict="suspect",
        findings=[(hostile, "suspect")],
        alerts=[alert],
        budget_usd=5.0,
        budget_requests=100,
        elapsed_s=3.0,
        planned_s=60.0,
        repeat=2,
        repeats=3,
    )


@pytest.mark.parametrize("accept", [None, "text/plain", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"])
def test_every_metric_of_the_table_is_told_with_its_labels_and_no_other(accept: str | None) -> None:
    found = values(whole(), accept)
    for metric in METRICS.values():
        labels = [dict(labels) for name, labels in found if name in metric.series]
        assert labels, metric.name
        assert all(set(each) - {"le"} == set(metric.labels) for each in labels), metric.name
    known = {name for metric in METRICS.values() for name in metric.series}
    assert {name for name, _ in found} == known


def test_a_client_gets_the_format_that_it_accepts() -> None:
    told = Exposition(lambda: [whole()])
    page, content_type = told.page("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")
    assert content_type.startswith("application/openmetrics-text")
    assert page.endswith(b"# EOF\n")
    assert told.page(None)[1].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("hostile", [HOSTILE, "\ud800", "\u2028\0", "x" * 10_000, ""])
def test_hostile_names_stay_labels(hostile: str) -> None:
    found = values(whole(hostile=hostile))
    assert {name for name, _ in found} == {name for metric in METRICS.values() for name in metric.series}
    written = hostile[:128].encode("utf-8", "replace").decode()
    labels = (("outcome", "ok"), ("target", written), ("workload", "w"))
    assert found["tokenswarm_requests_total", labels] == 1


def test_no_text_of_a_request_or_reply_is_told() -> None:
    page, _ = Exposition(lambda: [whole()]).page(None)
    assert b"nobody may read" not in page


def test_counts_are_those_of_the_samples_and_what_was_not_seen_is_zero() -> None:
    shown = whole()
    cell = {"target": "x", "workload": "w"}
    assert of(shown, "requests_total", **cell, outcome="ok") == 1
    assert of(shown, "requests_total", **cell, outcome="failed") == 1
    for outcome in set(Outcome) - {Outcome.OK, Outcome.FAILED}:
        assert of(shown, "requests_total", **cell, outcome=outcome) == 0
    assert of(shown, "errors_total", **cell, **{"class": "transport"}) == 1
    assert {of(shown, "errors_total", **cell, **{"class": each}) for each in set(ErrorClass) - {"transport"}} == {0}
    assert of(shown, "good_requests_total", **cell) == 1
    assert of(shown, "input_tokens_total", **cell) == 60
    assert of(shown, "cached_tokens_total", **cell) == 20
    assert of(shown, "output_tokens_total", **cell) == 10
    assert of(shown, "spend_usd_total", **cell) == pytest.approx(2 * (30 + 2 * 5) / 1e6)
    assert of(shown, "ttft_seconds_sum", **cell) == pytest.approx(0.1)
    assert of(shown, "itl_seconds_count", **cell) == 4
    assert of(shown, "itl_seconds_sum", **cell) == pytest.approx(0.04)
    assert of(shown, "e2e_seconds_sum", **cell) == pytest.approx(0.141)
    assert of(shown, "validity") == 1
    assert of(shown, "run_state", state="running") == 1
    assert of(shown, "run_state", state="ended") == 0


def test_runs_are_told_side_by_side_and_one_that_stands_twice_once() -> None:
    runs = [Shown(run=name, plan="p", mode="run", state="running", counts=counts_of(sample_of(1))) for name in "abca"]
    found = values(runs[0], None, *runs[1:])
    told = {
        dict(labels)["run"]: value for (name, labels), value in found.items() if name == "tokenswarm_ttft_seconds_sum"
    }
    assert told == dict.fromkeys("abc", pytest.approx(0.1))


def test_what_was_not_measured_is_absent() -> None:
    bare = msgspec.structs.replace(sample_of(1), usage=None)
    found = {name for name, _ in values(Shown(run="r", plan="p", mode="run", state="waiting", counts=counts_of(bare)))}
    assert not found & {f"tokenswarm_{name}_total" for name in ("input_tokens", "output_tokens", "spend_usd")}
    assert not found & {"tokenswarm_validity", "tokenswarm_budget_usd", "tokenswarm_in_flight_requests"}


def test_there_is_a_limit_to_how_many_targets_are_told_and_nothing_is_lost_beyond_it() -> None:
    names = [f"t{k:04}" for k in range(MOST_CELLS + 50)]
    one = LiveCell(outcomes={"ok": 2})
    counts = [CellReport(target=name, workload="w", in_flight=0, new=one) for name in names]
    shown = Shown(run="r", plan="p", mode="locust", state="running", counts=counts)
    told = {family.name: family for family in families([shown])}
    requests = told["tokenswarm_requests"].samples
    assert len({each.labels["target"] for each in requests}) == MOST_CELLS + 1
    assert sum(each.value for each in requests) == 2 * len(names)
    assert {each.value for each in requests if each.labels["target"] == OTHERS} == {0, 100}
    assert told["tokenswarm_folded_cells"].samples[0].value == 50
    counted = Counted()
    counted.add([sample_of(k, name) for k, name in enumerate(names)])
    kept = counted.ever()
    assert len(kept) == MOST_CELLS
    assert sum(each.new.attempted for each in kept) == len(names)


NS = st.lists(st.integers(1, 400 * 10**9), max_size=60)


@given(NS, st.sampled_from([REPLY_S, TOKEN_S]))
def test_buckets_are_exact_for_bounds_at_most_one_percent_away(
    durations_ns: list[int], bounds_s: tuple[float, ...]
) -> None:
    sketch: dict[int, int] = {}
    for each in durations_ns:
        sketch[bucket_of(each)] = sketch.get(bucket_of(each), 0) + 1
    told = cumulative(sketch, bounds_s)
    assert told == sorted(told)
    assert told[-1] == len(durations_ns)
    exact = sorted(durations_ns)
    for bound_s, n in zip(bounds_s, told, strict=False):
        least, most = (bisect_right(exact, bound_s * 1e9 * edge) for edge in (0.989, 1.0111))
        assert least <= n <= most


def shown_at(board: Board, whose: Whose) -> Mapping[tuple[str, tuple[tuple[str, str], ...]], float]:
    return values(shown_of(board, whose, "running", 5.0, repeat=1))


def test_a_planned_cell_is_zero_before_its_first_request() -> None:
    whose = Whose("r", "p", "run", cells=(("t", "w"), ("u", "w")), budget=Budget(usd=1.0))
    found = shown_at(Board(), whose)
    for target in "tu":
        assert found["tokenswarm_requests_total", (("outcome", "ok"), ("target", target), ("workload", "w"))] == 0
        assert found["tokenswarm_ttft_seconds_count", (("target", target), ("workload", "w"))] == 0
    assert found["tokenswarm_budget_usd", ()] == 1


def test_the_error_budget_counts_what_the_provider_spoilt() -> None:
    errors = [ErrorKind.RESET, ErrorKind.RATE_LIMIT, ErrorKind.AUTH, None, None, None]
    live, board = Live(0.0), Board()
    for seq, error in enumerate(errors * 10):
        live.add(sample_of(seq, error=error))
    board.merge("w", live.take(4.0), 4.0)
    found = shown_at(board, Whose("r", "p", "run", slo=Slo(availability=0.5, ttft_s=0.05)))
    labels = (("objective", "availability"), ("target", "t"), ("workload", "w"))
    assert found["tokenswarm_slo_compliance_ratio", labels] == 0.75
    assert found["tokenswarm_slo_budget_left_ratio", labels] == pytest.approx(0.5)
    for window in ("run", "10s"):
        assert found["tokenswarm_slo_burn_rate", tuple(sorted((*labels, ("window", window))))] == pytest.approx(0.5)
    late = (("objective", "ttft_s<=0.05"), ("target", "t"), ("workload", "w"))
    assert found["tokenswarm_slo_compliance_ratio", late] == 0
    assert found["tokenswarm_slo_budget_left_ratio", late] == pytest.approx(-19)


def test_a_monitors_picture_is_told() -> None:
    burn = {"1h/5m": Burn(long=2.0, short=3.0, limit=14.4, burning=False)}
    sla = SlaState(objective="availability", target_ratio=0.99, compliance=0.98, budget_left=-1.0, burn=burn)
    picture = Picture(
        run="r",
        at_utc="",
        at_wall_s=0.0,
        mode="probe",
        state="running",
        plan="p",
        elapsed_s=None,
        planned_s=None,
        cells=[Watched(target="t", workload="w", windows={}, sla=[sla], silence_s=4.0)],
        findings=[Doubt(code="slow-loop", severity="invalid", saw="", why="", hint="")],
        spend=SpendNow(usd=None, requests=1, tokens=None, budget_requests=7),
    )
    found = values(shown_of_picture(picture, counts_of(sample_of(1))))
    cell = (("target", "t"), ("workload", "w"))
    rates = {dict(labels)["window"]: v for (name, labels), v in found.items() if name == "tokenswarm_slo_burn_rate"}
    assert rates == {"1h": 2.0, "5m": 3.0}
    assert found["tokenswarm_silence_seconds", cell] == 4
    assert found["tokenswarm_validity", ()] == 2
    assert found["tokenswarm_budget_requests", ()] == 7
    assert found["tokenswarm_ttft_seconds_count", cell] == 1


@pytest.mark.skipif(shutil.which("promtool") is None, reason="wants promtool (Debian: prometheus)")
def test_promtool_finds_nothing_to_say_about_the_page() -> None:
    page, _ = Exposition(lambda: [whole(hostile=HOSTILE)]).page(None)
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False, timeout=30)
    assert (done.returncode, done.stderr.decode(), done.stdout.decode()) == (0, "", "")


def test_the_page_of_the_documentation_has_the_table_of_the_code() -> None:
    assert as_markdown() in (ROOT / "docs/prometheus.md").read_text(encoding="utf-8")
