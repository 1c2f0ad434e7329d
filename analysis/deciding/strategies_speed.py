"""Strategies for latency and throughput: prompts, caches, connections, load, batches, length of replies.

Each is a rule: an entrant -> a strategy, or None where the measurements do not support it. Gains are worked out from
numbers of the summary, which are quoted; their intervals follow from those of the numbers.
"""

from __future__ import annotations

from collections.abc import Callable

from analysis.cells.asked import but_for_batch
from analysis.deciding.entrants import Entrant
from analysis.deciding.quotes import Quote, quoted
from analysis.deciding.recommendation_record import Strategy
from analysis.quantiles import interval
from analysis.records.capacity_record import Cause
from analysis.records.record import Estimate
from analysis.summary import Dist, Result
from analysis.wording import estimate, percent, place, seconds

Rule = Callable[[Entrant], Strategy | None]
SHORTER = 0.3  # by how much a prompt or a reply is supposed to be shortened
HITS = 0.9  # of the requests, supposed to be found in the cache
_Z = 1.96
_FREE = 0.95  # of the throughput, kept at a lower load
_MORE = 1.1  # times the throughput, at a higher load or in batches
_NO_WORSE = 1.1  # times the latency


def cause_of(entrant: Entrant, name: str) -> tuple[str, Cause] | None:
    """A cause that the diagnosis of a target names, with its path in the summary."""
    for number, found in enumerate(entrant.summary.diagnoses):
        if (found.target, found.workload) == (entrant.target, entrant.result.workload):
            for k, cause in enumerate(found.causes):
                if cause.cause == name:
                    return f"diagnoses[{number}].causes[{k}].numbers", cause
    return None


def cause_quotes(entrant: Entrant, found: tuple[str, Cause], *numbers: str) -> tuple[Quote, ...]:
    """Some of the numbers of a cause."""
    path, cause = found
    return tuple(Quote(run=entrant.summary.run, path=f"{path}.{name}", value=cause.numbers[name]) for name in numbers)


def share_of(gain: float, now: float | None) -> float | None:
    """A gain as a share of what it is now."""
    return gain / now if now else None


def _p50(found: Dist | None) -> float | None:
    return None if found is None else found.p50


def known_quotes(*found: Quote | None) -> tuple[Quote, ...]:
    """Those that were measured."""
    return tuple(each for each in found if each is not None)


def shorter_prompts(entrant: Entrant) -> Strategy | None:
    """TTFT that grows with the prompt, by the diagnosis; the slope's interval is the estimate over its t."""
    found, tokens = cause_of(entrant, "prefill bound"), entrant.quote("input_tokens.mean")
    if found is None or tokens is None:
        return None
    _, cause = found
    slope, t = cause.numbers["s_per_1k_input_tokens"] / 1000, cause.numbers["t"]
    cut = SHORTER * tokens.value
    gain = slope * cut
    half = _Z * gain / abs(t) if t else gain
    ends = Estimate(value=gain, ci95=(gain - half, gain + half))
    says = (
        f"Shorter prompts: TTFT falls by {seconds(slope)} for each input token; {percent(SHORTER)} shorter (of"
        f" {tokens.value:.0f} tokens) saves {estimate(ends)}."
    )
    return Strategy(
        aim="latency",
        name="shorter prompts",
        says=says,
        gain=ends,
        unit="s of TTFT",
        share=share_of(gain, _p50(entrant.result.ttft_s)),
        rule="the diagnosis finds that TTFT is bound by the length of prompts",
        verify="run the plan with `input_tokens` 30 % lower, and `tokenswarm compare` both runs on ttft_s.p50",
        quotes=(*cause_quotes(entrant, found, "s_per_1k_input_tokens", "t"), tokens),
    )


def prefix_cache(entrant: Entrant) -> Strategy | None:
    """TTFT of what was found in the provider's cache against what was not."""
    found = cause_of(entrant, "cache effect")
    if found is None:
        return None
    _, cause = found
    hits, hit_s, miss_s = (cause.numbers[name] for name in ("hit_share", "hit_s", "miss_s"))
    if hits >= HITS:
        return None
    gain = (HITS - hits) * (miss_s - hit_s)
    half = _Z * gain / abs(cause.numbers["t"])
    ends = Estimate(value=gain, ci95=(gain - half, gain + half))
    says = (
        f"A shared prefix for the cache: TTFT is {seconds(hit_s)} with tokens in the cache and {seconds(miss_s)}"
        f" without; hits in {percent(HITS)} of the requests instead of {percent(hits)} save {estimate(ends)} on"
        f" average."
    )
    return Strategy(
        aim="latency",
        name="prefix caching",
        says=says,
        gain=ends,
        unit="s of mean TTFT",
        share=share_of(gain, entrant.result.ttft_s.mean if entrant.result.ttft_s else None),
        rule="the diagnosis finds that cached tokens shorten TTFT, and fewer than 90 % of the requests have them",
        verify="run with `prefix_share: 0.9` and `unique_prompts: false`; cached tokens stand in the samples",
        quotes=cause_quotes(entrant, found, "hit_share", "hit_s", "miss_s", "t"),
    )


def kept_connections(entrant: Entrant) -> Strategy | None:
    """What making connections costs the average request."""
    found = cause_of(entrant, "connection set-up")
    if found is None:
        return None
    _, cause = found
    share, cost_s = cause.numbers["new_connections_share"], cause.numbers["cost_s"]
    gain = share * cost_s
    says = (
        f"Keep connections alive: {percent(share)} of the requests made one, at {seconds(cost_s)} each; without, mean"
        f" TTFT falls by {seconds(gain)}."
    )
    return Strategy(
        aim="latency",
        name="connection reuse",
        says=says,
        gain=Estimate(value=gain),
        unit="s of mean TTFT",
        share=share_of(gain, cause.numbers["mean_first_content_s"]),
        rule="the diagnosis finds that making connections is a good part of TTFT",
        verify="after the change `connect_s.n` of the result should be near 0",
        quotes=cause_quotes(entrant, found, "new_connections_share", "cost_s", "mean_first_content_s"),
    )


def shorter_replies(entrant: Entrant) -> Strategy | None:
    """E2E = TTFT + (tokens - 1) * TPOT, where most of E2E is made of tokens."""
    tpot, tokens, e2e = (entrant.quote(path) for path in ("tpot_s.p50", "output_tokens.mean", "e2e_s.p50"))
    if tpot is None or tokens is None or e2e is None or tpot.ci95 is None or tokens.value <= 1:
        return None
    cut = SHORTER * (tokens.value - 1)
    ends = tuple(None if end is None else cut * end for end in tpot.ci95)
    gain = Estimate(value=cut * tpot.value, ci95=(ends[0], ends[1]))
    if cut * tpot.value < SHORTER / 2 * e2e.value:
        return None
    says = (
        f"Shorter replies: each output token takes {seconds(tpot.value)}; {percent(SHORTER)} fewer (of"
        f" {tokens.value:.0f}) save {estimate(gain)} of E2E {seconds(e2e.value)}."
    )
    return Strategy(
        aim="latency",
        name="shorter replies",
        says=says,
        gain=gain,
        unit="s of E2E",
        share=share_of(cut * tpot.value, e2e.value),
        rule="at least half of E2E p50 is the time of output tokens",
        verify="run with `output_tokens` 30 % lower (or ask for short answers), and compare e2e_s.p50",
        quotes=known_quotes(tpot, tokens, e2e),
    )


def fast_replica(entrant: Entrant) -> Strategy | None:
    """What the slow ones of several machines cost the average request."""
    found = cause_of(entrant, "slow replica")
    if found is None:
        return None
    _, cause = found
    share, fast_s, slow_s = (cause.numbers[name] for name in ("slow_share", "fast_s", "slow_s"))
    gain = share * (slow_s - fast_s)
    says = (
        f"Send a second request when the first content is late: {percent(share)} of the requests take"
        f" {seconds(slow_s)} to it, the others {seconds(fast_s)}; without the slow ones mean TTFT falls by"
        f" {seconds(gain)} at most."
    )
    return Strategy(
        aim="latency",
        name="hedged requests",
        says=says,
        gain=Estimate(value=gain),
        unit="s of mean TTFT",
        share=share_of(gain, entrant.result.ttft_s.mean if entrant.result.ttft_s else None),
        rule="the diagnosis finds two groups of TTFT at the same load, all the time",
        verify="ask the provider; after the change ttft_s.p95 should be near ttft_s.p50 again",
        quotes=cause_quotes(entrant, found, "slow_share", "fast_s", "slow_s"),
    )


def _stages(entrant: Entrant) -> list[tuple[int, Result]]:
    """The other stages of the same target and workload that are one steady load, by their mean in flight."""
    own = entrant.result
    found = [
        (place, each)
        for place, each in enumerate(entrant.summary.results)
        if (each.target, each.workload) == (own.target, own.workload)
        if each.stage != own.stage and each.in_flight_mean
    ]
    return sorted(found, key=lambda each: each[1].in_flight_mean or 0.0)


def _rate(result: Result) -> tuple[float, float] | None:
    return interval([each.values.get("completed_rps") for each in result.repeat_values])


def lower_load(entrant: Entrant) -> Strategy | None:
    """A lower stage with nearly the same throughput and a latency that is shown to be lower."""
    own = entrant.result
    now, rate = entrant.quote("e2e_s.p50"), entrant.quote("completed_rps")
    if now is None or now.ci95 is None or now.ci95[0] is None or rate is None or not own.in_flight_mean:
        return None
    for place_there, other in _stages(entrant):
        there = quoted(entrant.summary.run, place_there, other, "e2e_s.p50")
        rate_there = quoted(entrant.summary.run, place_there, other, "completed_rps")
        if (other.in_flight_mean or 0.0) >= own.in_flight_mean or there is None or rate_there is None:
            continue
        upper = there.ci95[1] if there.ci95 is not None else None
        if upper is None or upper >= now.ci95[0] or rate_there.value < _FREE * rate.value:
            continue
        gain = now.value - there.value
        ends = (now.ci95[0] - upper, (now.ci95[1] or now.value) - ((there.ci95 or (0.0, 0.0))[0] or 0.0))
        says = (
            f"Lower load: at {place(other)} E2E p50 is {seconds(there.value)} instead of {seconds(now.value)}, with"
            f" {percent(rate_there.value / rate.value)} of the requests/s; it saves {seconds(gain)}."
        )
        return Strategy(
            aim="latency",
            name="operate at the knee",
            says=says,
            gain=Estimate(value=gain, ci95=ends),
            unit="s of E2E",
            share=share_of(gain, now.value),
            rule="a lower stage keeps 95 % of the requests/s, and its E2E p50 is lower, intervals apart",
            verify=f"limit what is under way to {other.in_flight_mean:.0f} and watch completed_rps and e2e_s.p50",
            quotes=known_quotes(now, there, rate, rate_there),
        )
    return None


def higher_load(entrant: Entrant) -> Strategy | None:
    """A higher stage that answers more and is hardly slower."""
    own = entrant.result
    now, rate, own_ends = entrant.quote("e2e_s.p50"), entrant.quote("completed_rps"), _rate(own)
    if now is None or rate is None or own_ends is None or not own.in_flight_mean:
        return None
    for place_there, other in reversed(_stages(entrant)):
        there = quoted(entrant.summary.run, place_there, other, "e2e_s.p50")
        rate_there, ends = quoted(entrant.summary.run, place_there, other, "completed_rps"), _rate(other)
        if (other.in_flight_mean or 0.0) <= own.in_flight_mean or there is None or rate_there is None or ends is None:
            continue
        upper = there.ci95[1] if there.ci95 is not None else None
        if rate_there.value < _MORE * rate.value or ends[0] <= own_ends[1]:
            continue
        if upper is None or upper > _NO_WORSE * now.value:
            continue
        gain = rate_there.value - rate.value
        says = (
            f"Higher load: at {place(other)} {rate_there.value:.3g} requests/s end ok instead of {rate.value:.3g}, and"
            f" E2E p50 is {seconds(there.value)} against {seconds(now.value)}."
        )
        return Strategy(
            aim="throughput",
            name="more at a time",
            says=says,
            gain=Estimate(value=gain, ci95=(ends[0] - own_ends[1], ends[1] - own_ends[0])),
            unit="requests/s",
            share=share_of(gain, rate.value),
            rule="a higher stage ends 10 % more requests/s, intervals apart, and its E2E p50 is at most 10 % longer",
            verify="raise the concurrency step by step; stop where e2e_s.p50 rises",
            quotes=known_quotes(rate, rate_there, now, there),
        )
    return None


def batches(entrant: Entrant) -> Strategy | None:
    """A larger batch of the same target that brings more items/s, in another workload of the run."""
    own = entrant.result.batch
    now = entrant.quote("batch.items_per_s")
    if own is None or now is None or now.value <= 0:
        return None
    found = []
    for place_there, other in enumerate(entrant.summary.results):
        there = quoted(entrant.summary.run, place_there, other, "batch.items_per_s")
        alike = but_for_batch(other) == but_for_batch(entrant.result)
        if alike and other.batch is not None and other.batch.size > own.size and there is not None:
            found.append((there.value, other.batch.size, there))
    best = max(found, default=None, key=lambda each: each[0])
    if best is None or best[0] < _MORE * now.value:
        return None
    value, size, there = best
    says = f"Larger batches: {size} a request bring {value:.3g} items/s instead of {now.value:.3g} with {own.size}."
    return Strategy(
        aim="throughput",
        name="larger batches",
        says=says,
        gain=Estimate(value=value - now.value),
        unit="items/s",
        share=share_of(value - now.value, now.value),
        rule="a larger batch of as long items at the same load brings at least 10 % more items/s",
        verify=f"run the workload with `batch: {size}` and compare batch.items_per_s",
        quotes=known_quotes(now, there),
    )


def below_throttling(entrant: Entrant) -> Strategy | None:
    """What is refused, and the rate that was let in."""
    throttled = entrant.result.outcomes.get("throttled", 0)
    rate = entrant.quote("completed_rps")
    if not entrant.result.attempted or throttled / entrant.result.attempted <= 0.01 or rate is None:
        return None
    gain = throttled / entrant.result.attempted
    quotes = [
        Quote(run=entrant.summary.run, path=f"results[{entrant.index}].{name}", value=float(value))
        for name, value in (("outcomes.throttled", throttled), ("attempted", entrant.result.attempted))
    ]
    says = (
        f"Stay below the limits: {percent(gain)} of the requests were refused; at {rate.value:.3g} requests/s, which"
        f" were let in, none need be."
    )
    return Strategy(
        aim="throughput",
        name="below throttling",
        says=says,
        gain=Estimate(value=gain),
        unit="of the requests",
        share=gain,
        rule="more than 1 % of the requests were throttled",
        verify="run with `limits: {pace: true}`: outcomes.throttled should be near 0 and completed_rps as before",
        quotes=(*quotes, rate),
    )


SPEED: tuple[Rule, ...] = (
    shorter_prompts,
    prefix_cache,
    kept_connections,
    shorter_replies,
    fast_replica,
    lower_load,
    higher_load,
    batches,
    below_throttling,
)
