"""Which price a target has, what a request of it costs at most, and what is told before and during a run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_samples import made_sample

from harness.allowances.budget import check_limits
from harness.capacity.estimate import estimate
from harness.errors import UsageFault
from harness.launch import _Follower
from harness.plan import Plan, Price, Target
from harness.plan_file import dump_plan, plan_of, plan_of_text
from harness.prices import PLAN, most_usd, priced, read_prices, spend_of, usd_of
from harness.rundir import RunDir
from harness.sample import Usage, encode

OPENAI = "https://api.openai.com/v1"
TABLE = """
- provider: mine
  as_of: 2026-02-03
  source: my contract
  dialects: [openai-*]
  batch_factor: 0.25
  models:
    "*": {input: 9}
    gpt-4.1: {input: 3, output: 5, as_of: 2026-03-04}
"""


def plan(**target: Any) -> Plan:
    whole = {"name": "t", "dialect": "openai-chat", "base_url": OPENAI, "model": "gpt-4.1"} | target
    kind = {"kind": "embeddings"} if "embeddings" in whole["dialect"] else {}
    document = {"name": "p", "targets": [whole], "workload": kind, "stages": [{"rate_rps": 10, "duration_s": 10}]}
    return plan_of(document | {"repeats": 1, "warmup_s": 0}, "plan.yaml")


def price_of(whole: Plan) -> Price | None:
    return whole.targets[0].price


def table(folder: Path) -> Path:
    path = folder / "mine.yaml"
    path.write_text(TABLE)
    return path


@pytest.mark.parametrize(
    ("target", "per_million"),
    [
        ({}, 2.0),
        ({"model": "gpt-4.1-2025-04-14"}, 2.0),
        ({"model": "gpt-4.1-mini"}, 0.4),  # the longer name, though gpt-4.1 begins it too
        ({"model": "gpt-4.1-mini-2025-04-14"}, 0.4),
        ({"model": "gpt-4.1-huge"}, None),  # another model, not a version of one that is listed
        ({"model": "gpt-4"}, None),
        ({"dialect": "openai-responses"}, 2.0),
        ({"dialect": "openai-embeddings", "model": "text-embedding-3-small"}, 0.02),
        ({"dialect": "anthropic-messages"}, None),
        ({"base_url": "https://eu.api.openai.com/v1"}, None),  # others may charge otherwise
        ({"base_url": "http://127.0.0.1:8000/v1"}, None),
        ({"base_url": "sim://openai-sim"}, None),
        ({"dialect": "anthropic-messages", "base_url": "https://api.anthropic.com", "model": "claude-haiku-4-5"}, 1.0),
        (
            {
                "dialect": "anthropic-messages",
                "base_url": "https://api.anthropic.com",
                "model": "claude-haiku-4-5-20251001",
            },
            1.0,
        ),
        (
            {
                "dialect": "google-generate",
                "base_url": "https://generativelanguage.googleapis.com",
                "model": "models/gemini-2.5-flash",
            },
            0.3,
        ),
    ],
)
def test_the_shipped_table_prices_a_model_of_the_provider_itself(
    target: dict[str, str], per_million: float | None
) -> None:
    price = price_of(priced(plan(**target)))
    assert (None if price is None else price.input) == per_million
    if price is not None:
        assert price.source is not None
        assert price.source.startswith("shipped table, ")
        assert price.as_of is not None
        assert price.batch_factor == 0.5


def test_the_shipped_table_is_dated_and_makes_sense() -> None:
    listed = read_prices(None)
    assert {each.provider for each in listed} == {"openai", "anthropic", "google"}
    for each in listed:
        assert each.hosts
        for name, price in each.models.items():
            assert (price.as_of or each.as_of) <= datetime.now(UTC).date()
            assert 0 < price.input <= 10, name
            assert 0 < (price.input_cached or price.input) <= price.input, name
            assert price.output == 0 or price.output > price.input, name


def test_a_price_in_the_plan_wins_then_the_users_table_then_the_shipped_one(tmp_path: Path) -> None:
    mine = table(tmp_path)
    own = price_of(priced(plan(price={"input": 1, "output": 7}), mine))
    assert own == Price(input=1, output=7, source=PLAN)
    price = price_of(priced(plan(), mine))
    assert price is not None
    assert (price.input, price.output, price.batch_factor, price.source) == (3, 5, 0.25, "mine.yaml, mine: my contract")
    assert str(price.as_of) == "2026-03-04"
    fallback = price_of(priced(plan(model="other", base_url="http://gateway/v1"), mine))
    assert fallback is not None
    assert (fallback.input, str(fallback.as_of)) == (9, "2026-02-03")
    assert price_of(priced(plan(base_url="sim://openai-sim"), mine)) is None
    shipped = {"dialect": "anthropic-messages", "base_url": "https://api.anthropic.com", "model": "claude-opus-5"}
    assert (price_of(priced(plan(**shipped), mine)) or Price(input=0)).input == 5


def test_a_resolved_plan_keeps_its_price_until_another_table_is_named(tmp_path: Path) -> None:
    resolved = priced(plan())
    again = plan_of_text(dump_plan(resolved), "plan.yaml")
    assert again == resolved
    assert priced(again) == resolved
    assert (price_of(priced(again, table(tmp_path), shipped=False)) or Price(input=0)).input == 3
    given = priced(plan(price={"input": 1}))
    assert price_of(priced(given, table(tmp_path))) == Price(input=1, source=PLAN)


@pytest.mark.parametrize("text", ["a: 1", "- {provider: x}", "- [", TABLE.replace("input: 9", "input: -9"), "- &a {}"])
def test_a_table_that_is_none_is_a_usage_fault(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UsageFault, match=r"bad\.yaml: not a table of prices"):
        read_prices(path)
    with pytest.raises(UsageFault, match="No such file"):
        read_prices(tmp_path / "none.yaml")


counts = st.integers(0, 10_000)
usd = st.floats(0, 100)
maybe_usd = st.none() | usd
prices = st.builds(
    Price, input=usd, output=usd, input_cached=maybe_usd, input_cache_write=maybe_usd, reasoning=maybe_usd,
    batch_factor=st.none() | st.floats(0, 1), per_request_usd=usd,
)  # fmt: skip


@given(prices, counts, counts, counts, counts, st.sampled_from(["openai-chat", "openai-batches"]))
def test_no_usage_costs_more_than_what_is_set_aside_for_its_length(
    price: Price, fresh: int, cached: int, written: int, thought: int, dialect: str
) -> None:
    usage = Usage(
        source="provider", input_tokens=fresh + cached + written, cached_tokens=cached, cache_write_tokens=written,
        output_tokens=thought + 5, reasoning_tokens=thought,
    )  # fmt: skip
    target = Target(name="t", dialect=dialect, base_url=OPENAI, model="m", price=price)  # type: ignore[arg-type]
    most = most_usd(target, usage.input_tokens or 0, usage.output_tokens or 0)
    assert spend_of(price, dialect, usage).usd <= most * (1 + 1e-9)


def test_the_estimate_is_by_the_price_and_says_whose_it_is() -> None:
    whole = priced(plan(price={"input": 2, "output": 8, "per_request_usd": 0.001}))
    figures = estimate(whole)
    # 100 arrivals of 256 tokens in and out
    assert figures["usd"] == pytest.approx((100 * 256 * 2 + 100 * 256 * 8) / 1e6 + 100 * 0.001)
    assert figures["prices"] == {"t": "USD per 1M tokens: in 2, out 8, 0.001 a request (plan)"}
    figures = estimate(priced(plan()))
    assert "shipped table, openai: https://" in figures["prices"]["t"]
    assert "as of 2026-06-21: check before use" in figures["prices"]["t"]
    unknown = estimate(priced(plan(model="nobody")))
    assert unknown["usd"] is None
    assert unknown["prices"] == {"t": "unknown for openai-chat, model nobody"}


def test_what_a_request_has_cost_is_not_known_without_its_input_unless_that_is_free() -> None:
    told = Usage(source="provider", output_tokens=500_000)
    (paid,), (free,) = (plan(price={"input": dollars, "output": 2}).targets for dollars in (1, 0))
    assert usd_of(paid, told) is None
    assert usd_of(free, told) == pytest.approx(1)


def test_a_budget_is_refused_where_the_price_does_not_hold_for_the_prompts() -> None:
    whole = plan(price={"input": 1, "up_to_input_tokens": 100})
    check_limits(whole, 1, shared=False)
    bounded = msgspec.structs.replace(whole, budget=msgspec.convert({"usd": 1}, type(whole.budget)))
    with pytest.raises(UsageFault, match="holds up to 100 input tokens, workload default has 256"):
        check_limits(bounded, 1, shared=False)


def test_the_spend_is_followed_while_the_run_goes_on(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.journals.mkdir()
    whole = plan(price={"input": 2.0, "output": 8.0, "input_cached": 0.5})
    usage = Usage(source="provider", input_tokens=1000, output_tokens=100, cached_tokens=400)
    sample = made_sample(
        workload="default",
        worker="w",
        end_ns=1,
        usage=usage,
        error_detail='"target":"x","usage":{"output_tokens":99999999}',
    )
    replace = msgspec.structs.replace
    others = [replace(sample, usage=None), replace(sample, target="free")]
    each = (600 * 2 + 400 * 0.5 + 100 * 8) / 1e6
    follower = _Follower(run_dir, whole)
    assert follower.progress().usd == 0
    journal = run_dir.journal("r1-w0")
    journal.write_bytes(b"".join(map(encode, [sample, *others, sample])) + encode(sample)[:-20])
    progress = follower.progress()
    assert progress.samples == 4
    assert progress.usd == pytest.approx(2 * each)
    with journal.open("ab") as file:
        file.write(encode(sample)[-20:])
    assert follower.progress().usd == pytest.approx(3 * each)
    run_dir.journal("r2-w0").write_bytes(encode(sample))
    follower.begin(2)
    progress = follower.progress()
    assert progress.samples == 1
    assert progress.usd == pytest.approx(4 * each)
    assert _Follower(run_dir, plan()).progress().usd is None
