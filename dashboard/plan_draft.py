"""A plan as it is written on the page: fields of a form -> YAML text -> a checked plan and what it will use."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from analysis.comparing.goals import check_goal
from dashboard.permit import Permit, check_permitted
from harness.allowances.budget import check_limits
from harness.capacity.estimate import estimate
from harness.cells import stages_of
from harness.errors import UsageFault
from harness.inputs.loopback import is_loopback
from harness.launch import check_runnable
from harness.plan import Plan
from harness.plan_file import SUITE, plan_of_text, read_text
from harness.prices import priced
from harness.records.dialect_names import KIND_OF_DIALECT

PLACE = "plan"
_MOST_CHARACTERS = 200_000
Fields = Mapping[str, Any]  # what stands in the inputs, by key of the plan; "" and None: left empty


@dataclass(frozen=True)
class Draft:
    """What was typed into the form. A stage has `load` (`concurrency` or `rate_rps`), `value` and `duration_s`."""

    plan: Fields
    targets: Sequence[Fields]
    workload: Fields
    stages: Sequence[Fields]
    slo: Fields = field(default_factory=dict)
    budget: Fields = field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """A plan that may be started, and its estimate by `harness.capacity.estimate`."""

    plan: Plan
    figures: dict[str, Any]


def text_of(draft: Draft) -> str:
    """The draft as YAML, with what was left empty left out: then the plan's own defaults hold."""
    targets = [_filled(each) for each in draft.targets]
    kind = next((KIND_OF_DIALECT[each["dialect"]] for each in targets if each.get("dialect") in KIND_OF_DIALECT), None)
    workload = _filled(draft.workload)
    document = _filled(draft.plan) | {"targets": targets}
    document["workload"] = ({} if kind is None else {"kind": kind}) | workload
    document["stages"] = [_stage(each) for each in draft.stages]
    parts = {"slo": _filled(draft.slo), "budget": _filled(draft.budget)}
    document |= {name: part for name, part in parts.items() if part}
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def _stage(fields: Fields) -> dict[str, Any]:
    filled = _filled(fields)
    load, value = filled.pop("load", "concurrency"), filled.pop("value", None)
    return ({} if value is None else {str(load): value}) | filled


def _filled(fields: Fields) -> dict[str, Any]:
    return {name: _number(value) for name, value in fields.items() if value not in (None, "")}


def _number(value: Any) -> Any:
    """What looks like a number is one; anything else stays text, for the plan to complain of."""
    if not isinstance(value, str):
        return value
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value.strip()


def suite_text(name: str) -> str:
    """The YAML of a shipped suite. Raises UsageFault."""
    return read_text(f"{SUITE}{name}")


def checked(text: str, permit: Permit) -> Checked:
    """The plan in a text, as `tokenswarm check` has it, if the dashboard may start it. Raises UsageFault, which names
    the key; sends nothing."""
    if len(text) > _MOST_CHARACTERS:
        raise UsageFault(f"{PLACE}: {len(text)} characters: at most {_MOST_CHARACTERS}", "is it a plan?")
    plan = priced(plan_of_text(text, PLACE))
    for workload in plan.workloads:
        for goal in (*workload.goals, *(goal for stage in stages_of(plan, workload) for goal in stage.goals)):
            check_goal(goal)
    check_permitted(plan, permit, PLACE)
    check_runnable(plan)
    check_limits(plan, 1, shared=False)
    _check_keys(plan)
    return Checked(plan, estimate(plan))


def _check_keys(plan: Plan) -> None:
    for number, target in enumerate(plan.targets):
        key = target.key_env
        if key and not os.environ.get(key) and not target.simulated and not is_loopback(target.base_url):
            message = f"{PLACE}: targets[{number}].key_env: {key}: this variable is not set where the dashboard runs"
            raise UsageFault(message, f"export {key}=... before `tokenswarm dashboard` is started")


def estimate_rows(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The estimate in words: requests, tokens, cost, duration."""
    usd = figures["usd"]
    return [
        ("Requests", f"about {figures['requests']:,}"),
        ("Input tokens", f"about {figures['input_tokens']:,}"),
        ("Output tokens", f"at most about {figures['output_tokens']:,}"),
        ("Cost", "not known: a target has no price" if usd is None else f"about ${usd:,.4f}"),
        ("Duration", duration_text(figures["duration_s"])),
        ("Assumes", str(figures["assumes"])),
    ]


def duration_text(seconds: float) -> str:
    """A span of time in the two largest units."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"
