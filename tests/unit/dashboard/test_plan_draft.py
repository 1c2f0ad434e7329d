"""Plans of the form: the same checks as `tokenswarm check`, and an error that names the key."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dashboard.permit import Permit
from dashboard.plan_draft import Draft, checked, duration_text, estimate_rows, suite_text, text_of
from harness.errors import UsageFault
from harness.plan_file import plan_of_text, suites

TARGET = {"name": "a", "dialect": "openai-chat", "base_url": "sim://openai-sim", "model": "m", "key_env": ""}


def _draft(**changes: Any) -> Draft:
    fields: dict[str, Any] = {
        "plan": {"name": "mine", "repeats": "2", "warmup_s": "0"},
        "targets": [TARGET],
        "workload": {"input_tokens": "N(480,120)", "output_tokens": "64", "stream": True},
        "stages": [{"load": "rate_rps", "value": "10", "duration_s": "60"}],
        "slo": {"ttft_s": "1.5", "e2e_s": None},
        "budget": {"usd": "", "requests": "5000"},
    }
    return Draft(**fields | changes)


def test_what_was_typed_is_the_plan_and_what_was_left_empty_its_defaults() -> None:
    plan = plan_of_text(text_of(_draft()), "plan")
    (workload,), (stage,), (target,) = plan.workloads, plan.stages, plan.targets
    assert (plan.name, plan.repeats, plan.warmup_s) == ("mine", 2, 0)
    assert (workload.input_tokens, workload.output_tokens, workload.kind) == ("N(480,120)", 64, "chat")
    assert (stage.rate_rps, stage.concurrency, stage.duration_s) == (10, None, 60)
    assert (plan.slo.ttft_s, plan.slo.e2e_s) == (1.5, None)
    assert (plan.budget.usd, plan.budget.requests, target.key_env) == (None, 5000, None)


def test_the_estimate_is_that_of_check() -> None:
    found = checked(text_of(_draft()), Permit())
    assert found.figures["requests"] == 2 * 10 * 60
    rows = dict(estimate_rows(found.figures))
    assert rows["Requests"] == "about 1,200"
    assert rows["Cost"].startswith("not known")
    assert duration_text(found.figures["duration_s"]) == rows["Duration"]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"plan": {"name": "../../etc"}}, "name"),
        ({"stages": [{"load": "concurrency", "value": "many", "duration_s": 5}]}, "stages[0].concurrency"),
        ({"stages": [{"load": "concurrency", "value": 4}]}, "stages[0]"),
        ({"workload": {"input_tokens": "lots"}}, "workloads[0].input_tokens"),
        ({"targets": [TARGET | {"dialect": "smoke-signals"}]}, "targets[0].dialect"),
        ({"targets": [TARGET, TARGET]}, "targets"),
        ({"slo": {"availability": 7}}, "slo.availability"),
        ({"targets": [TARGET | {"base_url": "http://10.1.1.1/v1"}]}, "targets[0].base_url"),
        ({"budget": {"usd": 1}}, "budget.usd"),
    ],
)
def test_an_error_names_its_key(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(UsageFault, match=key.replace("[", r"\[").replace("]", r"\]")):
        checked(text_of(_draft(**changes)), Permit())


def test_shipped_suites_can_be_started_or_say_what_stands_against_it() -> None:
    for name in suites():
        found = checked(suite_text(name), Permit())
        assert msgspec.to_builtins(found.plan)["targets"]
    with pytest.raises(UsageFault, match="no such suite"):
        suite_text("../plan")
