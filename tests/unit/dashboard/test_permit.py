"""What a plan of the dashboard's form may not do: reach, read, spend or run what was never offered."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.permit import Permit, check_permitted
from harness.errors import UsageFault
from harness.plan_file import plan_of

TARGET: dict[str, Any] = {"name": "a", "dialect": "openai-chat", "base_url": "sim://openai-sim", "model": "m"}
PLAN: dict[str, Any] = {
    "name": "p",
    "targets": [TARGET],
    "workload": {},
    "stages": [{"concurrency": 1, "duration_s": 1}],
}


def _refusal(permit: Permit | None = None, **changes: Any) -> str:
    plan = plan_of(PLAN | changes, "plan")
    with pytest.raises(UsageFault) as refused:
        check_permitted(plan, permit or Permit())
    return refused.value.message


def _target(**changes: Any) -> dict[str, Any]:
    return {"targets": [TARGET | changes], "budget": {"requests": 10}}


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://metadata.google.internal/v1",
        "http://10.0.0.5:8000/v1",
        "http://[fd00::1]/v1",
        "http://0.0.0.0:6379/v1",
        "http://2130706433/v1",
        "http://api.openai.com.evil.example/v1",
        "http://127.0.0.1.evil.example/v1",
        "https://evil.example/v1",
    ],
)
def test_only_hosts_that_were_offered_are_asked(url: str) -> None:
    assert _refusal(Permit(loopback=False), **_target(base_url=url)).startswith("plan: targets[0].base_url:")


def test_a_server_on_this_machine_is_asked_only_where_that_was_offered() -> None:
    here = _target(base_url="http://127.0.0.1:8000/v1")
    check_permitted(plan_of(PLAN | here, "plan"), Permit())
    assert "not a host" in _refusal(Permit(loopback=False), **here)
    check_permitted(plan_of(PLAN | here, "plan"), Permit(loopback=False, hosts=("127.0.0.1:8000",)))
    assert "not a host" in _refusal(Permit(loopback=False, hosts=("127.0.0.1:9000",)), **here)


def test_a_provider_is_asked_within_a_budget_and_with_its_own_key() -> None:
    real = {"base_url": "https://api.openai.com/v1", "key_env": "OPENAI_API_KEY"}
    check_permitted(plan_of(PLAN | _target(**real), "plan"), Permit())
    assert "budget" in _refusal(targets=[TARGET | real])
    assert "AWS_SECRET_ACCESS_KEY" in _refusal(**_target(**real | {"key_env": "AWS_SECRET_ACCESS_KEY"}))
    assert "unencrypted" in _refusal(**_target(**real | {"base_url": "http://api.openai.com/v1"}))
    assert "'HOME'" in _refusal(**_target(**real, headers={"X-Note": "${HOME}"}))
    aws = real | {"dialect": "bedrock-converse", "key_env": "AWS_API_KEY", "aws": {}}
    assert "aws.key_id_env" in _refusal(**_target(**aws))
    check_permitted(plan_of(PLAN | _target(**aws), "plan"), Permit(keys=("AWS_*",)))


def test_headers_hold_no_key_name_no_variable_that_was_not_offered_and_no_other_host() -> None:
    real = {"base_url": "https://api.openai.com/v1"}
    sim = {"base_url": "sim://openai-sim"}
    assert "never written down" in _refusal(**_target(**sim, headers={"X-Api-Key": "sk-1"}))
    for target in (real, sim, {"base_url": "http://127.0.0.1:8000/v1"}):
        found = _refusal(**_target(**target, headers={"x-team": "blue ${AWS_SECRET_ACCESS_KEY}"}))
        assert found.startswith("plan: targets[0].headers.x-team: 'AWS_SECRET_ACCESS_KEY'")
    offered = {"Authorization": "Token ${OPENAI_API_KEY}"}
    check_permitted(plan_of(PLAN | _target(**real, headers=offered), "plan"), Permit())
    assert "unencrypted" in _refusal(**_target(base_url="http://api.openai.com/v1", headers=offered))
    for name in ("Host", "transfer-encoding"):
        assert "who is asked" in _refusal(**_target(**real, headers={name: "evil.example"}))


def test_no_file_is_read_and_no_command_is_run() -> None:
    trace = {"arrival": "trace", "trace": "/etc/passwd", "trace_format": "azure", "duration_s": 1}
    assert ".trace: '/etc/passwd'" in _refusal(stages=[trace])
    assert "questions" in _refusal(workload={"questions": "/etc/passwd"})
    assert "questions" in _refusal(workload={"questions": "hf:cais/mmlu"})
    assert "conversations" in _refusal(workload={"turns": 2, "conversations": "/etc/passwd"})
    assert "tokenizer" in _refusal(**_target(tokenizer="/etc/tokenizer.json"))
    command = {"sinks": [{"kind": "command", "argv": ["touch", "/tmp/x"]}]}
    assert "alerts.sinks" in _refusal(alerts=command)
    assert "alerts.reports" in _refusal(alerts={"reports": {"daily": "/etc"}})
