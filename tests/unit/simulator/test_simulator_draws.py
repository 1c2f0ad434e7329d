from __future__ import annotations

import random
from math import exp, log
from statistics import mean, median, stdev

import msgspec
import pytest

from harness.simulator.config import BUILT_IN, Constant, Lognormal, Normal
from harness.simulator.draws import Draws, draws_of, sampler

OPENAI = BUILT_IN[0]


def _drawn(draws: Draws) -> tuple[float, ...]:
    return (draws.fault, draws.ttft_s, *(draws.gap_s() for _ in range(5)))


def test_a_request_draws_the_same_whatever_came_before_it() -> None:
    alone = _drawn(draws_of(OPENAI, 7, 41))
    for number in range(41):
        _drawn(draws_of(OPENAI, 7, number))
    assert _drawn(draws_of(OPENAI, 7, 41)) == alone


@pytest.mark.parametrize(("seed", "number"), [(8, 41), (7, 42), (0, 41)])
def test_another_seed_or_request_draws_otherwise(seed: int, number: int) -> None:
    assert _drawn(draws_of(OPENAI, seed, number)) != _drawn(draws_of(OPENAI, 7, 41))


def test_providers_do_not_share_draws() -> None:
    twin = msgspec.structs.replace(OPENAI, name="twin")
    assert _drawn(draws_of(twin, 7, 0)) != _drawn(draws_of(OPENAI, 7, 0))


def test_a_reply_length_does_not_move_the_time_to_first_content() -> None:
    with_length = draws_of(msgspec.structs.replace(OPENAI, reply_tokens="U(10,20)"), 7, 3)
    assert with_length.ttft_s == draws_of(OPENAI, 7, 3).ttft_s
    assert with_length.reply_tokens is not None and 10 <= with_length.reply_tokens <= 20


def test_ttft_of_many_requests_has_the_published_median_and_spread() -> None:
    drawn = [draws_of(OPENAI, 0, number).ttft_s for number in range(2000)]
    assert median(drawn) == pytest.approx(0.120, rel=0.02)
    assert stdev(map(log, drawn)) == pytest.approx(0.15, rel=0.1)


def test_lognormal() -> None:
    draw = sampler(Lognormal(median_s=0.5, sigma=0.4), random.Random(1))
    drawn = [draw() for _ in range(4000)]
    assert median(drawn) == pytest.approx(0.5, rel=0.03)
    assert mean(drawn) == pytest.approx(0.5 * exp(0.4**2 / 2), rel=0.03)


def test_normal_is_never_negative() -> None:
    draw = sampler(Normal(mean_s=0.1, sd_s=0.1), random.Random(1))
    drawn = [draw() for _ in range(4000)]
    assert min(drawn) == 0.0
    assert median(drawn) == pytest.approx(0.1, rel=0.05)


def test_constants() -> None:
    rng = random.Random(1)
    assert sampler(Constant(value_s=0.25), rng)() == 0.25
    assert sampler(0.0, rng)() == 0.0
