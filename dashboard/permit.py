"""Which plans the dashboard may start: whoever fills in its form must not reach, read or spend what was never offered.

A plan from the form is more than a description of load: it names hosts to connect to, variables whose values are sent
there, files to read and commands to run. What is allowed of that is decided by whoever starts the dashboard; why as it
is: docs/dashboard.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NoReturn
from urllib.parse import urlsplit

from harness.cells import stages_of
from harness.errors import UsageFault
from harness.inputs.loopback import is_loopback
from harness.inputs.secrecy import is_credential, variables_in
from harness.plan import Plan, Stage, Target
from harness.records.alert_record import LogSink, Reports
from harness.records.question import names_a_file
from harness.rules.target_rules import travels_in_clear

PROVIDERS = ("api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com", "api.jina.ai")
KEYS = ("*_API_KEY",)
_OF_THE_CONNECTION = ("host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer", "expect")
_BY_HAND = "start it by `tokenswarm run` where the dashboard runs"


@dataclass(frozen=True)
class Permit:
    """`hosts`: those that may be asked beside the simulator, as `HOST` or `HOST:PORT` (`*` is a wildcard); `keys`:
    patterns of variables that may hold keys; `loopback`: whether servers on the dashboard's machine may be asked;
    `most_jobs`: how many may run at once, since they share this machine and so disturb each other's figures."""

    hosts: tuple[str, ...] = PROVIDERS
    keys: tuple[str, ...] = KEYS
    loopback: bool = True
    most_jobs: int = 1


def check_permitted(plan: Plan, permit: Permit, place: str = "plan") -> None:
    """Refuse what the dashboard may not start. Raises UsageFault, which names the key."""
    for number, target in enumerate(plan.targets):
        _check_target(target, permit, f"{place}: targets[{number}]")
    for number, workload in enumerate(plan.workloads):
        source = workload.questions
        if source is not None and (names_a_file(source) or source.startswith("hf:")):
            _refuse(f"{place}: workloads[{number}].questions", source, "from the dashboard only `own` or `own:N`")
        if workload.conversations is not None:
            _refuse(
                f"{place}: workloads[{number}].conversations", workload.conversations, "no files from the dashboard"
            )
        for stage in stages_of(plan, workload):
            _check_stage(stage, f"{place}: workloads[{number}].stages")
    if any(not isinstance(sink, LogSink) for sink in plan.alerts.sinks or ()):
        _refuse(f"{place}: alerts.sinks", None, "from the dashboard only `log`: the others run commands and ask URLs")
    if plan.alerts.reports != Reports():
        _refuse(f"{place}: alerts.reports", None, "no files from the dashboard")
    real = [each for each in plan.targets if not each.simulated and not is_loopback(each.base_url)]
    if real and plan.budget.usd is None and plan.budget.requests is None:
        _refuse(f"{place}: budget", None, f"{real[0].name} costs money: usd or requests must limit it", "set a budget")


def _check_target(target: Target, permit: Permit, place: str) -> None:
    if not target.simulated:
        _check_address(target, permit, f"{place}.base_url")
    for key, name in _variables(target):
        if not any(fnmatchcase(name, pattern) for pattern in permit.keys):
            rule = f"not a variable that the dashboard may read: {', '.join(permit.keys)}"
            _refuse(f"{place}.{key}", name, rule, f"start the dashboard with --key-env {name}")
    for header, value in target.headers.items():
        if is_credential(header) and not variables_in([value]):
            _refuse(f"{place}.headers", header, "a key is named by `key_env`, never written down", "use key_env")
        if header.lower() in _OF_THE_CONNECTION:  # by its name a server of many sites hands the key on to another one
            _refuse(f"{place}.headers", header, "the address alone says who is asked, and how")
    if target.tokenizer is not None and ("/" in target.tokenizer or target.tokenizer.endswith(".json")):
        _refuse(f"{place}.tokenizer", target.tokenizer, "no files from the dashboard")


def _variables(target: Target) -> Iterator[tuple[str, str]]:
    """Every variable whose value would be sent, with the key of the plan that names it."""
    if target.key_env is not None:
        yield "key_env", target.key_env
    for header, value in target.headers.items():
        yield from ((f"headers.{header}", name) for name in variables_in([value]))
    if target.aws is not None:
        yield "aws.key_id_env", target.aws.key_id_env
        if target.aws.session_token_env is not None:
            yield "aws.session_token_env", target.aws.session_token_env


def _check_address(target: Target, permit: Permit, place: str) -> None:
    """Hosts are compared by name, and only names that were offered pass: no address of an inner network, of a cloud's
    metadata service, nor a name that points at one, unless it was allowed by name."""
    parts = urlsplit(target.base_url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    listed = any(fnmatchcase(each, pattern) for pattern in permit.hosts for each in (host, f"{host}:{port}"))
    if is_loopback(target.base_url) and (permit.loopback or listed):
        return
    if not listed:
        hint = f"start the dashboard with --allow-host {host}"
        _refuse(place, host, "not a host that plans of the dashboard may ask", hint)
    if travels_in_clear(target):
        _refuse(place, target.base_url, "a key would travel unencrypted", "use https://")


def _check_stage(stage: Stage, place: str) -> None:
    if stage.trace is not None:
        _refuse(f"{place}.trace", stage.trace, "no files from the dashboard")


def _refuse(place: str, value: str | None, rule: str, hint: str = _BY_HAND) -> NoReturn:
    shown = "" if value is None else f" {value[:80]!r}:"
    raise UsageFault(f"{place}:{shown} {rule}", hint)
