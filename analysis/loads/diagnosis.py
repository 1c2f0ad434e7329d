"""What holds a target up: rules that quote the numbers they rest on, the strongest cause first.

Each rule looks at one thing and says how much of a time, or of the requests, it accounts for (`strength`, 0 to 1). What
is less than its threshold is not told: no cause is an answer too. The rules: docs/capacity.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.loads.evidence import Requests, TokenEffects, Wake, requests_of, token_effects, two_modes, wakes
from analysis.loads.sweeps import THROTTLED_SHARE, Measured, ratio_of, values_of
from analysis.quantiles import Floats
from analysis.reading.gaps import Flags, Whole
from analysis.records.capacity_record import Cause, CauseName, Diagnosis
from analysis.records.record import Estimate
from analysis.summary import Result
from analysis.wording import percent, seconds, statistic

GROWTH = 0.2  # of a latency at the highest load: what load must account for
SURE = 1.1  # the lower end of the interval of a ratio of latencies
NETWORK_SHARE, NETWORK_S = 0.3, 0.010
TOKENS_SHARE, TOKENS_T = 0.2, 4.0
CONNECT_SHARE = 0.1
MODES_BETWEEN, MODES_RATIO, MODES_SHARE, MODES_VALLEY = 0.75, 1.4, 0.03, 0.5
WAKE_RATIO, WAKE_S = 2.0, 0.1
_FEWEST, _FEWEST_OF_PART, _MOST_PARTS = 20, 5, 0.8
_LEAST_EXPECTED = 0.05


@dataclass(frozen=True)
class Evidence:
    """What the rules look at: the stages in order of load (those that may be judged), all of them, what shows the
    client to be at fault, single requests, and the network's floor (None: not measured)."""

    judged: Sequence[Measured]
    every: Sequence[Measured]
    limits: Sequence[str | None]
    requests: Requests
    effects: TokenEffects
    floor_s: float | None

    def growth(self, metric: str) -> Estimate | None:
        """The metric at the highest load over that at the lowest; None where there are not two."""
        if len(self.judged) < 2:
            return None
        return ratio_of(*(values_of(self.judged[place].result, metric) for place in (-1, 0)))


Rule = Callable[[Evidence], Cause | str | None]  # the cause; why it cannot be looked for; None: it is not there


def diagnose(group: Sequence[Measured], limits: Sequence[str | None], run: Mapping[str, Any]) -> Diagnosis:
    """What holds a target up under a workload. `group` in order of load; `limits`: what shows, stage by stage, that the
    client was the bottleneck; `run`: run.json, empty where it is missing."""
    judged = [each for each, limit in zip(group, limits, strict=True) if limit is None and _steady(each)]
    seen = requests_of(judged)
    evidence = Evidence(judged, group, limits, seen, token_effects(seen), _floor_s(run, group[0].result.target))
    said = {name: rule(evidence) for name, rule in RULES.items()}
    causes = [found for found in said.values() if isinstance(found, Cause)]
    return Diagnosis(
        target=group[0].result.target,
        workload=group[0].result.workload or "",
        causes=tuple(sorted(causes, key=lambda cause: -cause.strength)),
        unchecked={name: why for name, why in said.items() if isinstance(why, str)},
    )


def _steady(each: Measured) -> bool:
    """Whether a stage is one load, with successes and hardly any throttling."""
    stage, result = each.stage, each.result
    one_load = stage.end_concurrency is None and stage.end_rate_rps is None
    return one_load and bool(result.outcomes.get("ok")) and _throttled(each) <= THROTTLED_SHARE


def _throttled(each: Measured) -> float:
    return each.result.outcomes.get("throttled", 0) / each.result.attempted if each.result.attempted else 0.0


def _floor_s(run: Mapping[str, Any], target: str) -> float | None:
    """The shortest round trip to a target, as it was measured before the load."""
    floors = run.get("network")
    for floor in floors if isinstance(floors, list) else ():
        if isinstance(floor, dict) and floor.get("target") == target:
            trip = floor.get("round_trip_s")
            return float(trip) if isinstance(trip, int | float) else None
    return None


def _cause(
    name: CauseName, strength: float, of: str, saw: str, numbers: dict[str, float], plot: str, hint: str
) -> Cause:
    whole = {key: float(value) for key, value in numbers.items()}
    strength = float(min(1.0, strength))
    return Cause(cause=name, strength=strength, of=of, saw=saw, numbers=whole, plot=plot, hint=hint)


def _client(seen: Evidence) -> Cause | None:
    bad = [limit for limit in seen.limits if limit is not None]
    if not bad:
        return None
    saw = f"{len(bad)} of {len(seen.limits)} loads were more than the client could make: {bad[0]}"
    numbers: dict[str, float] = {"stages": len(bad), "of_stages": len(seen.limits)}
    hint = "more workers (--workers), a machine of its own for the load, or less load; then measure again"
    return _cause("client", len(bad) / len(seen.limits), "the loads", saw, numbers, "Findings", hint)


def _throttling(seen: Evidence) -> Cause | None:
    worst = max(seen.every, key=_throttled)
    share = _throttled(worst)
    if share <= THROTTLED_SHARE:
        return None
    result = worst.result
    ok_rps = result.completed_rps or 0.0
    refused = f"{percent(share)} of {result.attempted} requests were refused (429)"
    saw = f"at {result.stage_label}, {refused}, {ok_rps:.3g}/s let in"
    left = {f"{what}_left": part for what, part in result.limits_left.items()}
    numbers = {"throttled_share": share, "completed_rps": ok_rps} | left
    hint = "keep under the limits (`limits: {pace: true}`), or ask for higher ones; `tokenswarm limits` measures them"
    return _cause("throttling", share, "the requests at that load", saw, numbers, "Errors by class", hint)


def _network(seen: Evidence) -> Cause | str | None:
    first_s = float(np.median(seen.requests.first_s)) if len(seen.requests) else 0.0
    told = seen.requests.network_s[~np.isnan(seen.requests.network_s)]
    if len(told) >= _FEWEST:
        part_s, source = float(np.median(told)), "besides what the server says it took"
    elif seen.floor_s is not None:
        part_s, source = seen.floor_s, "for the shortest round trip before the load"
    else:
        return "the server tells no time of its own, and no round trip was measured"
    if first_s <= 0 or part_s < NETWORK_S or part_s / first_s < NETWORK_SHARE:
        return None
    saw = f"{seconds(part_s)} {source}, of {seconds(first_s)} to the first content at low load"
    numbers = {"network_s": part_s, "first_content_s": first_s}
    hint = "a region nearer to the client, fewer proxies between; `network` in run.json has the floor"
    return _cause("network", part_s / first_s, "TTFT at low load", saw, numbers, "Time to first token", hint)


def _grown(seen: Evidence, metric: str) -> tuple[float, float] | None:
    """By how much a latency has grown, and the lower end of that; None: not measured."""
    found = seen.growth(metric)
    if found is None or found.value is None:
        return None
    low = found.ci95[0] if found.ci95 and found.ci95[0] is not None else found.value
    return found.value, low


_ONE_LOAD = "it takes two loads"


def _queueing(seen: Evidence) -> Cause | str | None:
    first = _grown(seen, "ttft_s.p50") or _grown(seen, "e2e_s.p50")
    if first is None:
        return _ONE_LOAD
    gap = (_grown(seen, "itl_s.p50") or (1.0, 1.0))[0]
    own = 1 - max(1.0, gap) / first[0]
    if own < GROWTH or first[1] < SURE:
        return None
    low, high = seen.judged[0].result, seen.judged[-1].result
    ends = " to ".join(statistic(each.ttft_s or each.e2e_s, "p50") for each in (low, high))
    saw = f"from {_loads(low, high)} TTFT p50 grew from {ends} (x {first[0]:.2f}), ITL p50 x {gap:.2f}"
    numbers = {"ttft_ratio": first[0], "itl_ratio": gap, "in_flight": high.in_flight_mean or 0.0}
    hint = "requests wait before they are begun: fewer at a time, more replicas, or a larger batch on the server"
    return _cause("provider queueing", own, "TTFT at the highest load", saw, numbers, "Degradation under load", hint)


def _decoding(seen: Evidence) -> Cause | str | None:
    if len(seen.judged) < 2:
        return _ONE_LOAD
    gap = _grown(seen, "itl_s.p50")
    if gap is None:
        return "nothing is streamed"
    if 1 - 1 / gap[0] < GROWTH or gap[1] < SURE:
        return None
    low, high = seen.judged[0].result, seen.judged[-1].result
    ends = " to ".join(statistic(each.itl_s, "p50") for each in (low, high))
    saw = f"from {_loads(low, high)} ITL p50 grew from {ends} (x {gap[0]:.2f})"
    numbers = {"itl_ratio": gap[0], "in_flight": high.in_flight_mean or 0.0}
    hint = "fewer streams at a time, a smaller or quantised model, or more memory bandwidth: each step serves too many"
    of = "ITL at the highest load"
    return _cause("decode saturation", 1 - 1 / gap[0], of, saw, numbers, "Degradation under load", hint)


def _loads(low: Result, high: Result) -> str:
    return f"{low.in_flight_mean or 0:.3g} to {high.in_flight_mean or 0:.3g} in flight"


_TOGETHER = "prompts and what is cached of them grow together, so that neither effect can be told from the other"


def _prefill(seen: Evidence) -> Cause | str | None:
    effects = seen.effects
    if effects.together:
        return _TOGETHER
    if effects.long is None or effects.short is None:
        return "all prompts are equally long, or their tokens are not told"
    share = 1 - effects.short / effects.long if effects.long > 0 else 0.0
    if share < TOKENS_SHARE or effects.t_input < TOKENS_T:
        return None
    tokens = seen.requests.input_tokens[~np.isnan(seen.requests.input_tokens)]
    low, high = np.quantile(tokens, [0.1, 0.9])
    median_s = float(np.median(seen.requests.first_s))
    per_token_s = effects.per_token * median_s
    saw = (
        f"TTFT grows by {seconds(per_token_s * 1000)} for 1000 tokens of prompt: from"
        f" {seconds(effects.short * median_s)} at {low:.0f} tokens to {seconds(effects.long * median_s)} at {high:.0f}"
    )
    numbers = {"s_per_1k_input_tokens": per_token_s * 1000, "t": effects.t_input, "p10_tokens": low, "p90_tokens": high}
    hint = "shorter prompts, a shared prefix that the provider can cache, or chunked prefill on the server"
    return _cause("prefill bound", share, "TTFT of long prompts", saw, numbers, "TTFT by prompt length", hint)


def _cache(seen: Evidence) -> Cause | str | None:
    effects = seen.effects
    if effects.together:
        return _TOGETHER
    if effects.miss is None or effects.hit is None:
        return "cached tokens are not told, or do not vary"
    share = 1 - effects.hit / effects.miss if effects.miss > 0 else 0.0
    if share < TOKENS_SHARE or effects.t_cached > -TOKENS_T:
        return None
    hits = float((np.nan_to_num(seen.requests.cached_tokens) > 0).mean())
    median_s = float(np.median(seen.requests.first_s))
    hit_s, miss_s = effects.hit * median_s, effects.miss * median_s
    saw = (
        f"{percent(hits)} of the requests had prompt tokens in the cache; TTFT is {seconds(hit_s)} with them and"
        f" {seconds(miss_s)} without"
    )
    numbers = {"hit_share": hits, "hit_s": hit_s, "miss_s": miss_s, "t": effects.t_cached}
    hint = "put what prompts share at their beginning; `unique_prompts: true`, `prefix_share: 0` measure without it"
    return _cause("cache effect", share, "TTFT of misses", saw, numbers, "TTFT by prompt length", hint)


def _connecting(seen: Evidence) -> Cause | None:
    requests = seen.requests
    share = float(requests.fresh.mean()) if len(requests) else 0.0
    if share == 0:
        return None
    new, old = requests.first_s[requests.fresh], requests.first_s[~requests.fresh]
    cost_s = float(np.median(requests.connect_s[requests.fresh]))
    if min(len(new), len(old)) >= _FEWEST:
        cost_s = max(cost_s, float(np.median(new) - np.median(old)))
    part = share * cost_s / float(requests.first_s.mean())
    if part < CONNECT_SHARE:
        return None
    saw = (
        f"{percent(share)} of the requests had to make a connection, which cost {seconds(cost_s)} of a TTFT of"
        f" {seconds(float(requests.first_s.mean()))} on average"
    )
    numbers = {"new_connections_share": share, "cost_s": cost_s, "mean_first_content_s": float(requests.first_s.mean())}
    hint = "keep connections alive: the server or a proxy closes them; look for `connection: close` and idle timeouts"
    return _cause("connection set-up", part, "TTFT on average", saw, numbers, "Time to first token", hint)


def _replica(seen: Evidence) -> Cause | None:
    """Two groups of TTFT that remain where prompt, cache and connection are alike, all the time."""
    requests = seen.requests
    alike = ~requests.fresh if (~requests.fresh).sum() >= _FEWEST else np.ones(len(requests), dtype=bool)
    hits = np.nan_to_num(requests.cached_tokens) > 0
    alike &= hits == (hits[alike].mean() > 0.5 if alike.any() else False)
    chosen = requests.chosen(alike)
    relative = _without_prompts(chosen, seen.effects)
    modes = two_modes(relative)
    if modes is None or modes.high / modes.low < MODES_RATIO or modes.between < MODES_BETWEEN:
        return None
    if min(modes.share, 1 - modes.share) < MODES_SHARE or modes.valley > MODES_VALLEY:
        return None
    slow = relative > modes.split
    if not _all_the_time(slow, chosen.part, modes.share):
        return None  # slow for a time, not for a part of the requests
    lost = modes.share * (modes.high - modes.low) / float(relative.mean())
    fast_s, slow_s = (float(np.median(chosen.first_s[flags])) for flags in (~slow, slow))
    saw = (
        f"TTFT has two groups at the same load, all the time: {percent(1 - modes.share)} about {seconds(fast_s)},"
        f" {percent(modes.share)} about {seconds(slow_s)}"
    )
    numbers = {"slow_share": modes.share, "fast_s": fast_s, "slow_s": slow_s, "variance_between": modes.between}
    hint = "one of several machines is slower: ask the provider; compare request ids and fingerprints of both groups"
    return _cause("slow replica", lost, "TTFT on average", saw, numbers, "Time to first token", hint)


def _all_the_time(slow: Flags, part: Whole, share: float) -> bool:
    """Whether both groups are there in every third of every window, or nearly."""
    parts = [slow[part == each] for each in np.unique(part) if (part == each).sum() >= _FEWEST_OF_PART]
    shares = np.array([float(each.mean()) for each in parts])
    return len(shares) > 0 and float((shares > share / 4).mean()) >= _MOST_PARTS


def _without_prompts(seen: Requests, effects: TokenEffects) -> Floats:
    """Relative times to first content as if all prompts were of mean length."""
    known = seen.input_tokens[~np.isnan(seen.input_tokens)]
    if effects.t_input < TOKENS_T or not len(known):
        return seen.relative
    beyond = np.nan_to_num(seen.input_tokens - known.mean())
    return np.asarray(seen.relative / np.maximum(1 + effects.per_token * beyond, _LEAST_EXPECTED), dtype=np.float64)


def _cold(seen: Evidence) -> Cause | None:
    found = [wake for wake in wakes(seen.judged) if _waits(wake)]
    if not found:
        return None
    worst = max(found, key=lambda wake: wake.first_s / wake.rest_s)
    saw = (
        f"after a silence the first requests wait: {seconds(worst.first_s)} to the first content ({worst.n} of them,"
        f" the slowest wave of {len(found)}), then {seconds(worst.rest_s)}"
    )
    numbers = {"first_s": worst.first_s, "rest_s": worst.rest_s, "waves": len(found), "requests": worst.n}
    hint = "keep one replica warm, or send a request ahead; measure with a warm-up longer than it takes to wake"
    of = "TTFT of the first requests, with half weight"
    return _cause("cold start", (1 - worst.rest_s / worst.first_s) / 2, of, saw, numbers, "Over time", hint)


def _waits(wake: Wake) -> bool:
    """Whether even the quickest of the first requests took longer than hardly any of the others, and by much."""
    much = wake.first_s >= WAKE_RATIO * wake.rest_s and wake.first_s - wake.rest_s >= WAKE_S
    return much and wake.least_s > wake.usual_s


RULES: dict[CauseName, Rule] = {
    "client": _client,
    "throttling": _throttling,
    "network": _network,
    "provider queueing": _queueing,
    "decode saturation": _decoding,
    "prefill bound": _prefill,
    "connection set-up": _connecting,
    "slow replica": _replica,
    "cold start": _cold,
    "cache effect": _cache,
}
