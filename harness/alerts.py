"""Alerts as a pure state machine: rules, states and readings in; new states and events out.

Spans are added up from step to step and not taken from dates, so that a clock that jumps neither fires nor resolves
anything. An episode keeps its id from its first bad value to its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.alert_record import AlertAction, AlertEvent, Episode, Reading, Rule

LONGEST_STEP_S = 15.0

States = dict[str, Episode]


def step(
    rules: Sequence[Rule],
    states: Mapping[str, Episode],
    readings: Sequence[Reading],
    actions: Sequence[AlertAction],
    now_wall_s: float,
    *,
    longest_step_s: float = LONGEST_STEP_S,
) -> tuple[States, list[AlertEvent]]:
    """One step of every rule: the new states (by `place_key`) and what changed, in a steady order.

    Between two steps at most `longest_step_s` count, whatever the clock says. A state whose rule is gone is resolved.
    """
    raise NotImplementedError


def finish(states: Mapping[str, Episode], now_wall_s: float, why: str) -> tuple[States, list[AlertEvent]]:
    """End every episode, because what it is about has ended; `why` becomes the summary."""
    raise NotImplementedError


def fold(states: Mapping[str, Episode], events: Sequence[AlertEvent]) -> States:
    """The states after events that were recorded, so that none is made again."""
    raise NotImplementedError


def current(states: Mapping[str, Episode]) -> list[Episode]:
    """What is firing, then what is pending; within both the gravest and oldest first."""
    raise NotImplementedError
