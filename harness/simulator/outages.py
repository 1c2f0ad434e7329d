"""The script of a simulator's outages: when each fault is active, known before it happens. Pure.

Times are seconds after the server began. A script depends on nothing but the configuration, so that what a client
measured can be compared with what truly was: `outages_of` gives all outages of a span, and the server writes the same
records, as they begin, to a file beside its truth (`outage_file`).
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import count, takewhile
from math import inf
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.errors import UNREADABLE, UsageFault
from harness.simulator.config import Config, Fault, Outages, PortFault
from harness.simulator.draws import sampler

_SHORTEST_S = 0.001


class Span(NamedTuple):
    """A time during which a fault is active. `struck` is false where an incident passed this provider by."""

    begin_s: float
    end_s: float  # inf: for ever
    struck: bool = True


class Outage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="outage"):
    """One outage of one provider ("": of the port, and so of all).

    `probability` is the share of the requests that it strikes; `incident` the number, from 0, of the incident that it
    is part of; `end_s` None: it never ends. In a server's file `begin_ns` and `end_ns` are the same moments on the
    monotonic clock of its host, that of the truth.
    """

    provider: str
    kind: str
    begin_s: float
    end_s: float | None
    probability: float = 1.0
    incident: int | None = None
    begin_ns: int | None = None
    end_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """When one fault strikes one provider ("": the port). `seed` gives the random ones among its times."""

    provider: str
    fault: Fault | PortFault
    seed: str
    incident: int | None = None
    joins: float = 1.0

    def spans(self) -> Iterator[Span]:
        """When the fault is active: in order, disjoint, perhaps without end."""
        for number, (begin_s, end_s) in enumerate(_spans(self.fault, self.seed)):
            yield Span(begin_s, end_s, self._joined(number))

    def outages(self) -> Iterator[tuple[Span, Outage]]:
        """The record of each span; none for a fault that is there from the beginning to the end."""
        fault = self.fault
        probability = fault.probability if isinstance(fault, Fault) else 1.0
        for span in self.spans():
            if span.begin_s > 0 or span.end_s < inf:
                yield (
                    span,
                    Outage(
                        provider=self.provider,
                        kind=fault.kind,
                        begin_s=span.begin_s,
                        end_s=None if span.end_s == inf else span.end_s,
                        probability=probability,
                        incident=self.incident,
                    ),
                )

    def _joined(self, number: int) -> bool:
        if self.joins >= 1:
            return True
        return random.Random(f"{self.seed}/{self.provider}/{number}").random() < self.joins


def _spans(fault: Fault | PortFault, seed: str) -> Iterator[tuple[float, float]]:
    start_s, duration_s, every_s = fault.start_s, fault.duration_s, fault.every_s
    if fault.outages is not None:
        yield from _drawn(fault.outages, start_s, seed)
    elif duration_s is None or (every_s is not None and every_s <= duration_s):
        yield start_s, inf
    elif every_s is None:
        yield start_s, start_s + duration_s
    else:
        for number in count():
            begin_s = start_s + number * every_s
            yield begin_s, begin_s + duration_s


def _drawn(outages: Outages, start_s: float, seed: str) -> Iterator[tuple[float, float]]:
    """Up and repair times have a sequence of draws each: changing how one is distributed leaves the other's alone."""
    up_s = sampler(outages.up, random.Random(f"{seed}/up"))
    repair_s = sampler(outages.repair, random.Random(f"{seed}/repair"))
    end_s = start_s
    while True:
        begin_s = end_s + max(_SHORTEST_S, up_s())
        end_s = begin_s + max(_SHORTEST_S, repair_s())
        yield begin_s, end_s


def scripts_of(config: Config) -> list[Script]:
    """The scripts of all faults: the port's, the incidents', the providers' own."""
    scripts = [
        Script(provider="", fault=fault, seed=_seed(config, fault, f"port/{number}"))
        for number, fault in enumerate(config.port_faults)
    ]
    for number, incident in enumerate(config.incidents):
        seed = _seed(config, incident.fault, f"incidents/{number}")
        for place, provider in enumerate(incident.providers):
            joins = incident.joins if place else 1.0
            scripts.append(Script(provider=provider, fault=incident.fault, seed=seed, incident=number, joins=joins))
    for provider_ in config.providers:
        scripts += [
            Script(provider=provider_.name, fault=fault, seed=_seed(config, fault, f"{provider_.name}/{number}"))
            for number, fault in enumerate(provider_.faults)
        ]
    return scripts


def _seed(config: Config, fault: Fault | PortFault, place: str) -> str:
    own = fault.outages.seed if fault.outages else None
    return f"{config.seed}/{place}" if own is None else f"{own}"


def outages_of(config: Config, until_s: float) -> list[Outage]:
    """All outages that begin before `until_s`, in the order in which they begin."""
    return list(takewhile(lambda outage: outage.begin_s < until_s, coming(config)))


def coming(config: Config) -> Iterator[Outage]:
    """All outages, in the order in which they begin; perhaps without end."""
    streams = [script.outages() for script in scripts_of(config)]
    merged = merge(*streams, key=lambda pair: pair[0].begin_s)
    return (outage for span, outage in merged if span.struck)


class Timetable:
    """The spans of one script, drawn as far as they have been asked for."""

    def __init__(self, script: Script) -> None:
        self._coming = script.spans()
        self._spans: list[Span] = []

    def active(self, at_s: float) -> bool:
        """Whether the fault may strike at a time."""
        spans = self._spans
        while not spans or spans[-1].end_s <= at_s:
            span = next(self._coming, None)
            if span is None:
                break
            spans.append(span)
        index = bisect_right(spans, at_s, key=lambda span: span.begin_s) - 1
        return index >= 0 and at_s < spans[index].end_s and spans[index].struck


def outage_file(truth: Path) -> Path:
    """Where a server that writes `truth` writes its outages: `truth.jsonl` -> `truth.outages.jsonl`."""
    return truth.with_suffix(f".outages{truth.suffix}")


_decoder = msgspec.json.Decoder(Outage)


def read_outages(path: Path) -> list[Outage]:
    """All outages in a file that `outage_file` named; a torn last line is left out.

    Raises UsageFault when the file cannot be read or a line before the last is no outage.
    """
    hint = "name the file of outages beside a simulator's truth"
    try:
        return [_decoder.decode(line) for line in path.read_bytes().split(b"\n")[:-1]]
    except OSError as fault:
        raise UsageFault(f"{path}: cannot be read: {fault.strerror}", hint) from fault
    except UNREADABLE as fault:
        raise UsageFault(f"{path}: {fault}", hint) from fault
