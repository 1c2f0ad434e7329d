"""What a search for a capacity was asked, did and found: `capacity.json` of its run directory."""

from __future__ import annotations

from typing import Literal

import msgspec

Unit = Literal["concurrency", "rate"]
Said = Literal["meets", "misses"]
Phase = Literal["growth", "refinement"]
Reason = Literal["found", "never missed", "never met", "budget", "stopped", "client"]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is sought: the largest load (users of `concurrency`, or arrivals/s of `rate`) at which the part `wanted` of
    the requests is within the limits, to within the part `precision` of it; from `begin` on, no more than `most`.
    `deadline_s`: a request that is under way for longer has missed the limits. `requests`: how many may be sent (None:
    as many as it takes)."""

    unit: Unit = "concurrency"
    begin: float = 1.0
    most: float = 1024.0
    wanted: float = 0.95
    precision: float = 0.05
    deadline_s: float | None = None
    requests: int | None = None


class Told(msgspec.Struct, frozen=True, array_like=True):
    """One request that is known: the load that it met, and whether it was within the limits."""

    load: float
    within: bool


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One step that is over, in seconds since its process began: when it began, when the endpoint had settled and when
    it ended. How many requests it began, and of those that were judged how many were within the limits; `said` by the
    test of its phase, `why` where something else ended it."""

    load: float
    phase: Phase
    began_s: float
    settled_s: float | None
    ended_s: float
    begun: int
    judged: int
    within: int
    said: Said | None
    why: str | None = None


class State(msgspec.Struct, frozen=True, kw_only=True):
    """All that a search knows, so that another process can go on with it."""

    phase: Phase = "growth"
    load: float = 0.0
    sent: int = 0
    typical_s: float | None = None
    told: tuple[Told, ...] = ()
    steps: tuple[StepRecord, ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `capacity` None: not found, `reason` says why. `low`, `high`: its 95 % interval; `at_least`: the
    highest load that was shown to keep the SLO, `at_most`: the lowest that was shown to miss it. `near`: requests that
    met a load within a twentieth of the capacity, `attainment` the part of them within the limits. `why`: more about
    the reason."""

    reason: Reason
    capacity: float | None = None
    low: float | None = None
    high: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    near: int = 0
    attainment: float | None = None
    why: str | None = None


class SearchRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of `capacity.json`. `answer` None: the search has not ended, and another process can go on with it."""

    target: str
    workload: str
    slo: dict[str, float | None]
    question: Question
    state: State
    answer: Answer | None = None
