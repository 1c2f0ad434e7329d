"""How near an attempt came to the limits of an SLO: one definition for what is good live and in a search. Pure."""

from __future__ import annotations

import math

from harness.plan import Slo
from harness.sample import Outcome, Sample


def margin_of(sample: Sample, slo: Slo) -> float:
    """The worst of TTFT, TPOT and E2E, each over its limit: at most 1 is within all of them.

    Infinite where the attempt did not end ok, or where a latency with a limit was not measured; 0 where nothing has a
    limit. A reply without content events has no TTFT to miss, one with a single event no TPOT.
    """
    if sample.outcome is not Outcome.OK or sample.start_ns is None:
        return math.inf
    events = sample.event_ns
    parts = [_part(sample.end_ns - sample.start_ns, slo.e2e_s)]
    if events:
        parts.append(_part(events[0] - sample.start_ns, slo.ttft_s))
    if len(events) > 1:
        parts.append(_part(tpot_ns_of(sample), slo.tpot_s))
    return max(parts)


def _part(latency_ns: float | None, limit_s: float | None) -> float:
    if limit_s is None:
        return 0.0
    return math.inf if latency_ns is None else latency_ns / 1e9 / limit_s


def tpot_ns_of(sample: Sample) -> float | None:
    """(last - first content event) / (tokens after the first event). Reasoning tokens count only where reasoning was
    sent: where the first content is visible text, it was not, unless it came in one read with it: then there are about
    as many events as tokens of both."""
    events, usage = sample.event_ns, sample.usage
    if len(events) < 2 or usage is None or usage.output_tokens is None:
        return None
    sent, visible = usage.output_tokens, usage.output_tokens - (usage.reasoning_tokens or 0)
    if sample.first_text_ns == events[0] and abs(len(events) - visible) <= abs(len(events) - sent):
        sent = visible
    head = 1 if sample.first_event_tokens is None else sample.first_event_tokens
    after = sent - head
    return (events[-1] - events[0]) / after if after >= 1 else None
