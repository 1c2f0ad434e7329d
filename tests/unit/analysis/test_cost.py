"""Samples with known usages -> the cost that a hand calculation gives, and what is said where it is not known."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console
from runs_on_disk import MS, S, header, sample, steady, write_journal, write_plan, write_run

from analysis.cost import quality_per_dollar, speed_quality_ratio, with_accuracy
from analysis.deciding.burdens import read_weights
from analysis.gating.gate_rules import read_gate
from analysis.gating.gates import within_run
from analysis.ranking import rank
from analysis.records.comparison_record import Comparison
from analysis.report import render
from analysis.showing.tables import print_summary
from analysis.summarise import summarise
from analysis.summary import Cost, Result, Summary
from harness.errors import ErrorKind
from harness.plan import Price
from harness.records.health_record import Health, encode_health
from harness.rundir import RunDir
from harness.sample import Outcome, Usage

USAGE = Usage(
    source="provider", input_tokens=1000, output_tokens=50, cached_tokens=300, cache_write_tokens=200,
    reasoning_tokens=20,
)  # fmt: skip
PRICE = {
    "input": 2, "input_cached": 0.5, "input_cache_write": 2.5, "output": 8, "reasoning": 10, "per_request_usd": 0.002,
}  # fmt: skip
EACH_USD = (500 * 2 + 300 * 0.5 + 200 * 2.5 + 30 * 8 + 20 * 10) / 1e6 + 0.002


def target(price: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    whole = {"name": "t", "dialect": "openai-chat", "base_url": "https://h/v1", "model": "m", "price": price}
    return {"targets": [whole | more]}


def result_of(run_dir: RunDir) -> tuple[Result, set[str]]:
    summary, _ = summarise(run_dir)
    (result,) = summary.results
    return result, {finding.code for finding in summary.validity.findings}


def cost_of(run_dir: RunDir) -> Cost:
    result, _ = result_of(run_dir)
    assert result.cost is not None
    return result.cost


def test_the_cost_of_a_run_is_that_of_the_hand_calculation(tmp_path: Path) -> None:
    cost = cost_of(write_run(tmp_path, steady(usage=USAGE), **target(PRICE)))
    assert (cost.requests, cost.unknown_requests) == (100, 0)
    assert cost.usd == pytest.approx(100 * EACH_USD)
    assert cost.usd_per_request == pytest.approx(EACH_USD)
    assert cost.usd_per_1k_good == pytest.approx(1000 * EACH_USD)
    assert cost.usd_per_1m_input_tokens == pytest.approx(EACH_USD / 1000 * 1e6)
    assert cost.usd_per_1m_output_tokens == pytest.approx(EACH_USD / 50 * 1e6)
    assert cost.usd_per_1m_tokens == pytest.approx(EACH_USD / 1050 * 1e6)
    assert cost.cost_per_token == pytest.approx(EACH_USD / 1050)
    assert cost.spend.usd == pytest.approx(cost.usd)
    assert cost.spend.requests_usd == pytest.approx(0.2)
    assert cost.price.reasoning == 10


def test_what_failed_and_was_billed_makes_good_requests_dearer(tmp_path: Path) -> None:
    """Half of the requests were refused with a usage: 50 good ones bear the cost of 100."""
    refused = {"outcome": Outcome.FAILED, "error": ErrorKind.REFUSED}
    half = [sample(k, k * 100 * MS, usage=USAGE, **(refused if k % 2 else {})) for k in range(110)]
    cost = cost_of(write_run(tmp_path, half, **target(PRICE)))
    assert cost.usd == pytest.approx(100 * EACH_USD)
    assert cost.usd_per_1k_good == pytest.approx(2 * 1000 * EACH_USD)


def test_requests_of_unknown_cost_are_counted_and_told(tmp_path: Path) -> None:
    """Of each ten: one reply without usage, one cut off after its first event, one refused at the door (which costs
    nothing), one with more input than the price holds for, one whose input is not told (as it is by Ollama where the
    cache held it)."""
    nothing = {"usage": None, "event_ns": (), "first_text_ns": None, "status": 429}
    long = Usage(source="provider", input_tokens=5000, output_tokens=50)
    changes: dict[int, dict[str, Any]] = {
        0: {"usage": None},
        1: {"usage": None, "outcome": Outcome.TRUNCATED, "error": ErrorKind.TRUNCATED},
        2: nothing | {"outcome": Outcome.THROTTLED, "error": ErrorKind.RATE_LIMIT},
        3: {"usage": long},
        4: {"usage": Usage(source="provider", output_tokens=50)},
    }
    made = [sample(k, k * 100 * MS, **({"usage": USAGE} | changes.get(k % 10, {}))) for k in range(110)]
    price = PRICE | {"up_to_input_tokens": 4000}
    result, codes = result_of(write_run(tmp_path, made, **target(price)))
    assert result.cost is not None
    assert (result.cost.requests, result.cost.unknown_requests) == (50, 40)
    assert result.cost.usd == pytest.approx(50 * EACH_USD)
    assert "cost-incomplete" in codes


def test_what_has_no_price_has_no_cost_rather_than_none(tmp_path: Path) -> None:
    result, codes = result_of(write_run(tmp_path / "a", steady(), **target(None)))
    assert result.cost is None
    assert "no-price" in codes
    result, codes = result_of(write_run(tmp_path / "b", steady(), **target(None, base_url="sim://openai-sim")))
    assert result.cost is None
    assert "no-price" not in codes
    _, codes = result_of(write_run(tmp_path / "c", steady(), **target({"input": 0})))
    assert "no-price" not in codes  # somebody said that it is free


def test_a_run_is_priced_afterwards_and_never_by_the_shipped_table(tmp_path: Path) -> None:
    known = {"base_url": "https://api.openai.com/v1", "model": "gpt-4.1"}
    run_dir = write_run(tmp_path / "run", steady(usage=USAGE), **target(None, **known))
    assert result_of(run_dir)[0].cost is None
    table = tmp_path / "mine.yaml"
    table.write_text("- {provider: x, as_of: 2026-01-02, source: y, models: {gpt-4.1: {input: 4}}}")
    summary, samples = summarise(run_dir, prices=table)
    cost = summary.results[0].cost
    assert cost is not None
    assert cost.usd_per_request == pytest.approx(1000 * 4 / 1e6)
    page = render([(summary, samples)])
    assert "price of t: USD per 1M tokens: in 4, out 0 (mine.yaml, x: y, as of 2026-01-02: check before use)" in page


@pytest.mark.parametrize("width", [80, 200])
def test_a_narrow_terminal_gets_fewer_columns_and_whole_names(width: int, tmp_path: Path) -> None:
    run_dir = write_run(tmp_path, steady(usage=USAGE, text_chars=120), **target(PRICE, name="the-target"))
    run_dir.journal("r1-w0").write_bytes(run_dir.journal("r1-w0").read_bytes().replace(b'"t"', b'"the-target"'))
    page = StringIO()
    print_summary(summarise(run_dir)[0], Console(file=page, width=width))
    rows = [line for line in page.getvalue().splitlines() if "the-target" in line and line.startswith("│")]
    assert len(rows) == 3  # latencies, tokens, cost
    assert all(row.endswith("│") for row in rows)
    assert ("USD/1M tok" in page.getvalue()) == (width == 200)


def test_what_quality_and_speed_are_worth(tmp_path: Path) -> None:
    assert quality_per_dollar(0.8, 0.004) == pytest.approx(0.8 / 4)
    assert (quality_per_dollar(None, 0.004), quality_per_dollar(0.8, None), quality_per_dollar(0.8, 0.0)) == (None,) * 3
    assert speed_quality_ratio(0.5, 300.0) == 150
    assert (speed_quality_ratio(None, 300.0), speed_quality_ratio(0.5, None)) == (None, None)
    result, _ = result_of(write_run(tmp_path, steady(usage=USAGE), **target(PRICE)))
    assert result.cost is not None
    assert (result.speed_quality_ratio, result.cost.quality_per_dollar) == (None, None)
    graded = with_accuracy(result, 0.9)
    assert graded.cost is not None
    assert graded.cost.quality_per_dollar == pytest.approx(0.9 / (1000 * EACH_USD))
    assert graded.speed_quality_ratio == pytest.approx(0.9 * (result.output_tokens_per_s or 0))


def test_what_the_client_used_for_a_thousand_requests(tmp_path: Path) -> None:
    """Ten requests a second by a worker that used a fifth of a core in the window (1 to 11 s), and all of it in the
    warm-up."""
    run_dir = write_run(tmp_path, steady(response_bytes=2000))
    rows = [
        Health(run="r", worker="r1-w0", repeat=1, t_ns=k * S, span_s=1.0, cpu_share=0.2 if k > 1 else 1.0,
               rss_bytes=10**8 + k)
        for k in range(1, 14)
    ]  # fmt: skip
    run_dir.health.write_bytes(b"".join(map(encode_health, rows)))
    used = result_of(run_dir)[0].resource_utilization
    assert used is not None
    assert used.cpu_s_per_1k == pytest.approx(20, rel=0.02)
    assert used.rss_bytes == 10**8 + 11
    assert used.bytes_received_per_1k == 2_000_000


def test_without_health_the_use_of_the_cpu_is_not_known(tmp_path: Path) -> None:
    used = result_of(write_run(tmp_path, steady()))[0].resource_utilization
    assert used is not None
    assert (used.cpu_s_per_1k, used.rss_bytes) == (None, None)


def test_a_price_says_in_its_record_that_somebody_wrote_it() -> None:
    assert Price(input=1).source is None


def _twice(folder: Path, *, bad: int = 0, more_tokens: int = 0) -> Summary:
    """Two targets of which one takes 0.4 times as much, three repeats; the last repeat has `bad` replies, or replies
    that are longer."""
    targets = [target({"input": 2 * by, "output": 8 * by})["targets"][0] | {"name": name} for name, by in _PRICES]
    run_dir = write_plan(folder, targets=targets, repeats=3)
    for repeat in (1, 2, 3):
        last = repeat == 3
        usage = msgspec.structs.replace(USAGE, output_tokens=50 + (more_tokens if last else 0))
        samples = [
            each
            for place, (name, _) in enumerate(_PRICES)
            for each in steady(target=name, repeat=repeat, worker=f"r{repeat}-w0", usage=usage)
            for each in [msgspec.structs.replace(each, seq=each.seq + 1000 * place)]
        ]
        if last and bad:
            failed = {"outcome": Outcome.FAILED, "error": ErrorKind.SERVER_ERROR}
            samples = [msgspec.structs.replace(each, **failed if 50 <= each.seq < 50 + bad else {}) for each in samples]
        write_journal(run_dir, samples, head=header(f"r{repeat}-w0", repeat))
    summary, _ = summarise(run_dir)
    return summary


_PRICES = (("dear", 1.0), ("cheap", 0.4))


def _cost_row(summary: Summary) -> Comparison:
    (found,) = (each for each in summary.comparisons if each.metric == "cost.usd_per_1k_good")
    return found


def test_a_cost_of_the_same_tokens_in_every_repeat_is_exact(tmp_path: Path) -> None:
    """Three repeats without any spread show nothing of what was drawn by chance; here nothing was."""
    summary = _twice(tmp_path / "exact")
    found = _cost_row(summary)
    assert (found.verdict, found.p_value, found.p_adjusted) == ("worse", 0.0, 0.0)
    assert found.method == "exact: by prices and tokens that are the same in every repeat"
    assert found.ratio.ci95 == pytest.approx((2.5, 2.5))
    (ranking,) = rank([summary], read_weights("cost=1"))
    assert [(each.target, each.first, each.group) for each in ranking.places] == [("cheap", 1.0, 1), ("dear", 0.0, 2)]
    gates = within_run([read_gate("cost.usd_per_1k_good:+10%")], list(reversed(summary.results)))
    assert [each.verdict for each in gates] == ["failed"]
    gates = within_run([read_gate("cost.usd_per_1k_good:+10%")], summary.results)
    assert [each.verdict for each in gates] == ["met"]


@pytest.mark.parametrize("changes", [{"bad": 1}, {"more_tokens": 1}])
def test_a_cost_in_which_chance_has_a_part_is_not_exact(changes: dict[str, int], tmp_path: Path) -> None:
    found = _cost_row(_twice(tmp_path / "drawn", **changes))
    assert not found.method.startswith("exact: by prices")
