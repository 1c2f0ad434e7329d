"""What if: the same definitions as `tokenswarm recommend`, asked with other weights, limits, prices and volumes."""

from __future__ import annotations

import math
from typing import Any

import pytest

from analysis.deciding.use_cases import shipped
from analysis.recommendation import recommend
from analysis.summarise import summarise
from analysis.summary import Summary
from dashboard.what_if import Supposed, answer, billed, loads_of, use_case_of, usual_weights, with_prices
from harness.errors import UsageFault
from harness.plan_file import plan_of
from harness.rundir import RunDir
from harness.simulator.config import config_from
from harness.simulator.offline import play_offline


def _supposed(use_case: str = "real_time_chat", **supposed: Any) -> Supposed:
    return Supposed(use_case, workload="chat", stage=0, **supposed)


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    """A slow cheap target against a quick dear one, in virtual time."""
    quick = {"kind": "lognormal", "median_s": 0.2, "sigma": 0.1}
    slow = {"kind": "lognormal", "median_s": 0.6, "sigma": 0.1}
    prices = {"quick": 8.0, "cheap": 1.0}
    plan = plan_of(
        {
            "name": "two",
            "repeats": 4,
            "targets": [
                {"name": name, "dialect": "openai-chat", "base_url": f"sim://{name}", "model": "m"}
                | {"price": {"input": usd, "output": usd}}
                for name, usd in prices.items()
            ],
            "workload": {"name": "chat", "input_tokens": 50, "output_tokens": 20},
            "stages": [{"concurrency": 4, "duration_s": 20}],
            "simulator": {
                "providers": {
                    "quick": {"dialects": ["openai-chat"], "ttft": quick},
                    "cheap": {"dialects": ["openai-chat"], "ttft": slow},
                }
            },
        },
        "plan",
    )
    run_dir = RunDir(tmp_path_factory.mktemp("runs") / "two" / "20260101T000000Z-abcd")
    play_offline(plan, config_from(plan.simulator, "simulator"), run_dir)
    return summarise(run_dir)[0]


def test_nothing_supposed_is_the_recommendation(summary: Summary) -> None:
    usual = recommend([summary], shipped()["real_time_chat"], workload="chat", stage=0)
    assert answer([summary], _supposed()) == usual
    same = _supposed(weights=usual_weights("real_time_chat"), factors={"quick": 1.0})
    found = answer([summary], same)
    assert (found.answer, found.primary, found.says) == (usual.answer, usual.primary, usual.says)
    assert found.weights == pytest.approx(usual.weights)
    assert loads_of([summary]) == [("chat", 0, "4 users", "chat")]
    assert billed([summary]) == ["quick", "cheap"]


def test_weights_limits_and_prices_change_the_answer(summary: Summary) -> None:
    def primary(**supposed: Any) -> str | None:
        return answer([summary], _supposed(**supposed)).primary

    latency, cost = {"latency": 1.0, "cost": 0.0}, {"latency": 0.0, "cost": 1.0}
    assert (primary(weights=latency), primary(weights=cost)) == ("quick", "cheap")
    assert primary(weights=cost, factors={"quick": 0.05}) == "quick"
    assert primary(weights=cost, limits=("ttft_s.p95 < 0.4",)) == "quick"
    assert primary(weights=latency, requests_per_month=1e6, budget_usd=150.0) == "cheap"
    assert primary(weights=latency, limits=("ttft_s.p95 < 0.001",)) is None


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_a_price_that_many_times_costs_that_many_times(summary: Summary, factor: float) -> None:
    changed = with_prices(summary, {"quick": factor})
    for before, after in zip(summary.results, changed.results, strict=True):
        expected = factor if before.target == "quick" else 1.0
        assert before.cost is not None
        assert after.cost is not None
        assert after.cost.usd_per_request == pytest.approx((before.cost.usd_per_request or 0) * expected)
        assert after.cost.price.output == pytest.approx(before.cost.price.output * expected)
        assert after.cost.spend.usd == pytest.approx(after.cost.usd)
        assert after.ttft_s == before.ttft_s
    assert summary.results == with_prices(summary, {}).results


def test_what_cannot_be_supposed_is_said(summary: Summary) -> None:
    for factor in (0.0, -1.0, math.nan, math.inf, 1e9):
        with pytest.raises(UsageFault, match="price of quick"):
            answer([summary], _supposed(factors={"quick": factor}))
    for supposed, words in (
        (Supposed("world_peace"), "there is none"),
        (Supposed("real_time_chat", weights={"latency": 0.0}), "all are 0"),
        (Supposed("real_time_chat", limits=("ttft_s.p95 is nice",)), "limits"),
        (Supposed("real_time_chat", budget_usd=5.0), "requests_per_month"),
    ):
        with pytest.raises(UsageFault, match=words):
            use_case_of(supposed)
