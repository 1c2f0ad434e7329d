"""How near an attempt came to its limits."""

from __future__ import annotations

import math
from typing import Any

import pytest

from harness.live.margin import margin_of
from harness.plan import Slo
from harness.sample import Outcome, Sample, Usage

S = 10**9


def sample(**fields: Any) -> Sample:
    """A reply of 11 tokens in 11 events: the first after 1 s, then one each 0.1 s; it ends at 2.5 s."""
    known: dict[str, Any] = {
        "run": "r",
        "target": "t",
        "dialect": "openai-chat",
        "model": "m",
        "workload": "w",
        "stage": 0,
        "repeat": 1,
        "worker": "w0",
        "seq": 0,
        "prompt_id": "p",
        "start_ns": 0,
        "event_ns": tuple(S + k * S // 10 for k in range(11)),
        "first_text_ns": S,
        "end_ns": 5 * S // 2,
        "outcome": Outcome.OK,
        "usage": Usage(source="provider", input_tokens=3, output_tokens=11),
    }
    return Sample(**(known | fields))


@pytest.mark.parametrize(
    ("slo", "margin"),
    [
        (Slo(), 0.0),
        (Slo(availability=0.99), 0.0),
        (Slo(ttft_s=2), 0.5),
        (Slo(tpot_s=0.05), 2.0),
        (Slo(e2e_s=2.5), 1.0),
        (Slo(ttft_s=2, tpot_s=0.2, e2e_s=10), 0.5),
        (Slo(ttft_s=0.5, tpot_s=0.2, e2e_s=10), 2.0),
    ],
)
def test_the_worst_limit_decides(slo: Slo, margin: float) -> None:
    assert margin_of(sample(), slo) == pytest.approx(margin)


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.OK])
def test_what_did_not_end_ok_is_infinitely_far_off(outcome: Outcome) -> None:
    assert margin_of(sample(outcome=outcome), Slo(e2e_s=100)) == math.inf


def test_what_was_not_measured_is_not_met() -> None:
    assert margin_of(sample(usage=None), Slo(tpot_s=1)) == math.inf


@pytest.mark.parametrize(
    ("reasoning", "output", "first_text_ns", "tokens"),
    [
        (100, 111, S, 10),  # hidden: eleven visible tokens
        (100, 110, S, 9),  # hidden, and one event more than tokens
        (6, 11, 8 * S // 5, 10),  # sent before the first text
        (6, 11, S, 10),  # sent, in one read with the first text
    ],
)
def test_reasoning_counts_where_it_was_sent(reasoning: int, output: int, first_text_ns: int, tokens: int) -> None:
    usage = Usage(source="provider", output_tokens=output, reasoning_tokens=reasoning)
    found = margin_of(sample(usage=usage, first_text_ns=first_text_ns), Slo(tpot_s=1))
    assert found == pytest.approx(1 / tokens)


def test_what_has_no_latency_by_nature_cannot_miss_it() -> None:
    limits = Slo(ttft_s=0.1, tpot_s=0.1, e2e_s=5)
    assert margin_of(sample(event_ns=(), first_text_ns=None), limits) == 0.5
    assert margin_of(sample(event_ns=(S // 20,)), limits) == 0.5
