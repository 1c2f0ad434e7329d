"""The search for the largest load that keeps an SLO: which load to ask for next, and when it is known. Pure.

It is told when each request begins and ends, and says how much load there should be (`load`). Time comes as an
argument, so the search runs alike against sockets and in virtual time. Three phases:

1. growth: the load doubles as long as requests keep the limits, each step for only as many as a coarse test takes.
2. refinement: the load goes where the wanted part of the requests should just be within the limits, by all requests
   so far that met nearly that load; each adds to what is known of that place.
3. the end: the place is known to within `precision`, or its neighbours are known on both sides; or the budget is spent.

What a request tells belongs to the load that it met: the mean number under way while it was (closed load), or the rate
(open load). Requests that began before the endpoint had settled at a load are left out. A test takes requests in the
order in which they began, so that the quick ones are not heard first; one that has been under way for longer than the
limit is known to miss it, and is not waited for.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from harness.capacity.attainment import Place, Verdict
from harness.capacity.search_answer import ALIKE, NEAR, answer_of, bracket, hints, next_load, place_near
from harness.records.search_record import Answer, Phase, Question, Reason, State, StepRecord, Told

GROWTH = 2.0
CERTAINTY = 0.95
_RISEN = 1.15  # margins that have grown so much say that the endpoint begins to be busy
_LEAST_GROWTH = 1.1
_COARSE_BAD = 0.5
_COARSE_ALPHA = 0.05
_OF_STEP = 0.1  # a request whose load was farther than this from its step's says nothing of that step
_AT_ONCE = 0.5  # times a request's time: what fails within it was refused, and not worn down by the load
_LOOK_EVERY = 20
_FEWEST = 60
_LONGEST_STEP = 400
_GROWS = 1.5
_ARRIVALS_SETTLE = 8.0  # times the time of a request


@dataclass
class _Step:
    load: float
    began_s: float
    verdict: Verdict
    wait_s: float  # from when the load is there to when it counts
    settled_s: float = math.inf
    begun: int = 0
    judged: int = 0
    within: int = 0
    looked: int = 0  # how many were judged when it was last thought of moving
    margins: list[float] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    flight: list[int] = field(default_factory=list)  # under way when each of its requests began


@dataclass
class _Asked:
    start_s: float
    area: float
    flight: int  # under way when it began, itself included
    step: _Step
    there: bool  # it began when the load of its step was there
    settled: bool  # and when the endpoint had settled as well: it tells of the place of the limit
    margin: float | None = None
    load: float | None = None
    refused: bool = False  # it failed so soon that it has met no load of its own


class Search:
    """A search that goes on. `load`: how much there should be now; 0 while an endpoint that was asked for more than it
    can do is left to recover. `typical_s`: how long a request takes, as of the last step that kept the SLO."""

    def __init__(self, question: Question, now_s: float, state: State | None = None) -> None:
        state = state or State()
        self.question = question
        self.load = 0.0
        self.phase: Phase = state.phase
        self.sent = state.sent
        self.steps = list(state.steps)
        self.answer: Answer | None = None
        self._told = list(state.told)
        self._looked = len(self._told)
        self._queue: deque[_Asked] = deque()
        self.typical_s = state.typical_s
        self._under_way: dict[int, _Asked] = {}
        self._area = 0.0
        self._last_s = now_s
        self._recovering: float | None = None  # the load to go on with
        self._held = 0.0  # the load of the last step
        self._quiet = math.inf  # the median margin where the endpoint is least busy
        self._begin(state.load or question.begin, now_s)

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return len(self._under_way)

    @property
    def spread_s(self) -> float:
        """Over how long new users should begin, so that they do not keep step: half the time of a request."""
        return (self.typical_s or 0.0) / 2

    @property
    def state(self) -> State:
        """For another process to go on with: what the present step has told so far is part of it."""
        return State(
            phase=self.phase,
            load=self._recovering or self._held,
            sent=self.sent,
            typical_s=self.typical_s,
            told=tuple(self._told),
            steps=tuple(self.steps),
        )

    def began(self, key: int, now_s: float) -> None:
        """A request is sent."""
        self._advance(now_s)
        self.sent += 1
        step = self._step
        flight = self.in_flight + 1
        settled = now_s >= step.settled_s
        there = settled if self.question.unit == "rate" else self._all_there(flight, now_s)
        asked = _Asked(now_s, self._area, flight, step, there=there, settled=there and settled)
        self._under_way[key] = asked
        self._queue.append(asked)
        step.begun += 1
        step.flight.append(flight)
        self._settle(now_s)

    def ended(self, key: int, now_s: float, margin: float | None) -> None:
        """It is over. `margin` None: it was cut off by us, and tells nothing."""
        self._advance(now_s)
        asked = self._under_way.pop(key)
        if asked.margin is None:
            self._judge(asked, now_s, math.nan if margin is None else margin)
        self._step.took_s.append(now_s - asked.start_s)
        self.look(now_s)

    def look(self, now_s: float) -> None:
        """Time has passed."""
        self._advance(now_s)
        if self.done:
            return
        if self._recovering is not None:
            self._recover(now_s)
            return
        self._settle(now_s)
        if self.question.deadline_s is not None:
            for asked in self._under_way.values():  # in the order in which they began
                if now_s - asked.start_s <= self.question.deadline_s:
                    break
                if asked.margin is None:
                    self._judge(asked, now_s, math.inf)
        self._hear(now_s)
        if self.spent and not self.done:
            self._end("budget", now_s)

    @property
    def done(self) -> bool:
        """Whether the answer is there."""
        return self.answer is not None

    @property
    def spent(self) -> bool:
        """Whether no further request may be sent."""
        return self.question.requests is not None and self.sent >= self.question.requests

    def stop(self, now_s: float, reason: Reason = "stopped", why: str | None = None) -> None:
        """Somebody ends the search: it answers with what it knows."""
        if not self.done:
            self._end(reason, now_s, why)

    def _advance(self, now_s: float) -> None:
        self._area += len(self._under_way) * (now_s - self._last_s)
        self._last_s = now_s

    def _begin(self, load: float, now_s: float) -> None:
        """A step at a load, whole where it is users; `most` bounds it."""
        load = min(self.question.most, max(self.question.begin, load))
        before, load = self._held, float(round(load)) if self.question.unit == "concurrency" else load
        down = before > load * ALIKE
        self.load = self._held = load
        self._step = _Step(load, now_s, self._verdict(), self._settling_s(down=down))
        self._settle(now_s)

    def _settling_s(self, *, down: bool) -> float:
        """How long a load must have been there. Users find what they left; arrivals take some requests' time until as
        many are under way as belong to their rate."""
        if self.question.unit == "rate":
            return _ARRIVALS_SETTLE * (self.typical_s or 0.0)
        return self.spread_s if down else 0.0

    def _verdict(self) -> Verdict:
        wanted = self.question.wanted
        if self.phase == "growth":
            return Verdict(wanted, _COARSE_BAD, _COARSE_ALPHA)
        return Verdict(1 - (1 - wanted) / 2, 1 - (1 - wanted) * 2)

    def _settle(self, now_s: float) -> None:
        """The load is there, and then the endpoint has had the time of a request to get used to it."""
        step = self._step
        there = self.question.unit == "rate" or self.in_flight == step.load or self._long(now_s)
        if math.isinf(step.settled_s) and (there or step.wait_s == 0):
            step.settled_s = now_s + step.wait_s

    def _judge(self, asked: _Asked, now_s: float, margin: float) -> None:
        asked.margin = margin
        asked.refused = math.isinf(margin) and now_s - asked.start_s < _AT_ONCE * (self.typical_s or math.inf)
        if self.question.unit == "rate" or asked.refused:
            asked.load = asked.step.load
        else:
            took_s = now_s - asked.start_s
            asked.load = (self._area - asked.area) / took_s if took_s > 0 else float(self.in_flight)

    def _hear(self, now_s: float) -> None:
        """Take what is known of the requests, in the order in which they began, those of earlier steps as well."""
        while self._queue and self._queue[0].margin is not None and self._step.verdict.said is None:
            asked = self._queue.popleft()
            assert asked.margin is not None
            assert asked.load is not None
            if not asked.there or math.isnan(asked.margin) or not self._steady(asked):
                continue
            within = asked.margin <= 1
            if asked.settled:
                self._told.append(Told(asked.load, within))
            step = self._step
            if asked.step is not step or not (asked.settled or self.phase == "growth"):
                continue
            if abs(asked.load / step.load - 1) <= _OF_STEP:
                step.judged += 1
                step.within += within
                step.margins.append(asked.margin)
                step.verdict.tell(within=within)
        if self._swells():
            self._swollen(now_s)
        elif self.phase == "growth":
            self._grow(now_s)
        else:
            self._refine(now_s)

    def _all_there(self, flight: int, now_s: float) -> bool:
        """Whether the users of the step have come; those whose requests are refused at once are never under way."""
        return flight >= self._step.load * (1 - _OF_STEP) or self._long(now_s)

    def _long(self, now_s: float) -> bool:
        return now_s - self._step.began_s >= self.spread_s + (self.typical_s or math.inf)

    def _steady(self, asked: _Asked) -> bool:
        """Whether the load stayed nearly the same while it was under way."""
        assert asked.load is not None
        return asked.refused or self.question.unit == "rate" or abs(asked.load / asked.flight - 1) <= _OF_STEP

    def _grow(self, now_s: float) -> None:
        step = self._step
        if step.verdict.said == "misses":
            self._close(now_s)
            self.phase = "refinement"
            self._go_on(next_load(self.steps, self.place(), "misses", step.load), now_s, missed=True)
        elif step.verdict.said == "meets":
            self._close(now_s)
            if step.load >= self.question.most:
                self.phase = "refinement"
            self._begin(step.load * self._growth(step), now_s)

    def _growth(self, step: _Step) -> float:
        """By what the load grows: doubled, until margins have risen; then as far as they allow if they grow in
        proportion."""
        middle = float(np.median(step.margins))
        self._quiet = min(self._quiet, middle)
        if middle <= _RISEN * self._quiet:
            return GROWTH
        return min(GROWTH, max(_LEAST_GROWTH, 1 / max(step.margins)))

    def _refine(self, now_s: float) -> None:
        step = self._step
        if step.verdict.said is None and len(self._told) - self._looked < _LOOK_EVERY:
            return
        self._looked = len(self._told)
        place = self.place()
        if place is not None and place.certainty >= CERTAINTY and self._count(place.load) >= _FEWEST:
            self._close(now_s)
            self._end("found", now_s)
            return
        said = step.verdict.said
        if said is None and place is None:
            return
        if said is None and step.judged - step.looked < _LOOK_EVERY:
            return
        step.looked = step.judged
        if said is None:
            there = next_load(self.steps, place, None, step.load)
            if step.judged >= _LONGEST_STEP or self._elsewhere(there, step.load):
                self._close(now_s)
                self._begin(there, now_s)
            return
        self._close(now_s)
        low, high = bracket(self.steps)
        if said == "misses" and step.load <= self.question.begin:
            self._end("never met", now_s)
        elif said == "meets" and step.load >= self.question.most:
            self._end("never missed", now_s)
        elif low is not None and high is not None and self._adjoin(low, high):
            self._end("found", now_s)
        else:
            self._go_on(next_load(self.steps, place, said, step.load), now_s, missed=said == "misses")

    def _go_on(self, load: float, now_s: float, *, missed: bool) -> None:
        """The next step. Arrivals that were too many have left a queue, which is let run empty first."""
        if missed and self.question.unit == "rate":
            self._recovering = load
            self.load = 0.0
        else:
            self._begin(load, now_s)

    def _elsewhere(self, there: float, load: float) -> bool:
        """Whether a load is worth a step of its own."""
        if self.question.unit == "concurrency" and abs(there - load) < 1:
            return False
        return abs(there / load - 1) > self.question.precision / 2

    def _adjoin(self, low: float, high: float) -> bool:
        """Whether nothing lies between a load that meets and one that misses."""
        if self.question.unit == "concurrency" and high - low <= 1:
            return True
        return high / low - 1 <= self.question.precision

    def place(self) -> Place | None:
        """Where the limit is, by the requests that met a load near the present one."""
        return place_near(self.question, self._told, self._held)

    def _count(self, load: float) -> int:
        return sum(load / NEAR <= each.load <= load * NEAR for each in self._told)

    def _swells(self) -> bool:
        """Whether an open load is more than the endpoint can do: ever more requests are under way, and each takes
        longer than the one before it."""
        step = self._step
        if self.question.unit != "rate" or len(step.flight) < 30 or len(step.took_s) < 15 or len(step.took_s) % 5:
            return False
        half = len(step.flight) // 2
        early, late = (float(np.mean(part)) for part in (step.flight[:half], step.flight[half:]))
        if late < _GROWS * early + 3 or self.typical_s is None or late < 2 * step.load * self.typical_s:
            return False
        trend = stats.spearmanr(np.arange(len(step.took_s)), step.took_s)
        return bool(trend.statistic > 0.5 and trend.pvalue < 1e-4)

    def _swollen(self, now_s: float) -> None:
        """Too much: let it recover, and go on below."""
        step = self._step
        step.verdict.said = "misses"
        self._close(now_s, "over-saturated: more and more requests under way, each slower than the last")
        self.phase = "refinement"
        low, _ = hints(self.steps)
        self._go_on(step.load / GROWTH if low is None else math.sqrt(low * step.load), now_s, missed=True)

    def _recover(self, now_s: float) -> None:
        load = self._recovering
        assert load is not None
        if self.in_flight <= max(1.0, load * (self.typical_s or 0.0)):
            self._recovering = None
            self._begin(load, now_s)

    def _close(self, now_s: float, why: str | None = None) -> None:
        step = self._step
        if step.took_s and step.verdict.said != "misses":
            self.typical_s = float(np.median(step.took_s))
        self.steps.append(self.step_so_far(now_s, why))

    def step_so_far(self, now_s: float, why: str | None = None) -> StepRecord:
        """The present step, as if it ended now."""
        step = self._step
        return StepRecord(
            load=step.load,
            phase=self.phase,
            began_s=step.began_s,
            settled_s=step.settled_s if math.isfinite(step.settled_s) else None,
            ended_s=now_s,
            begun=step.begun,
            judged=step.judged,
            within=step.within,
            said=step.verdict.said,
            why=why,
        )

    def _end(self, reason: Reason, now_s: float, why: str | None = None) -> None:
        if self.steps[-1:] == [] or self.steps[-1].began_s != self._step.began_s:
            self._close(now_s)
        self.load = 0.0
        self.answer = answer_of(self.question, self.steps, self._told, self.place(), reason, why)
