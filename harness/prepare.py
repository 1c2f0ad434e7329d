"""What one attempt sends, made whole before its time, so that at the due time nothing is left but to write it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from harness.dialects import DIALECTS
from harness.dialects.wire import Ask, HttpRequest, Step, join_url
from harness.endpoint import endpoint_of
from harness.errors import UsageFault
from harness.loopback import is_loopback
from harness.plan import Target, Workload
from harness.prompts import Prompt
from harness.secrecy import filled, secrets_of, variables_in

SIMULATOR_KEY = "sim-key"


@dataclass(frozen=True, slots=True)
class Prepared:
    """One request: what it is for, and its bytes. `stream`: whether the reply comes as a stream. `key` stands in the
    bytes, and here so that it can be cut out of what a provider says. `job`: the first step of a job, of which the
    bytes are."""

    target: Target
    workload: Workload
    prompt: Prompt
    wire: bytes = field(repr=False)
    stream: bool
    key: str | None = field(repr=False)
    job: Step | None = field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """All that the request carries and nobody may repeat."""
        return secrets_of(self.key, self.target.headers)


def prepare(target: Target, workload: Workload, prompt: Prompt, key: str | None) -> Prepared:
    """The request of one prompt to a target."""
    dialect = DIALECTS[target.dialect]
    ask = Ask(
        model=target.model,
        texts=prompt.texts,
        max_tokens=prompt.max_tokens,
        temperature=workload.temperature,
        stream=workload.stream,
        key=key,
        body=target.body,
    )
    job = None if dialect.job is None else dialect.job(ask)
    wire = wire_of(target, dialect.build(ask) if job is None else job.request)
    return Prepared(target, workload, prompt, wire, ask.stream and dialect.kind == "chat", key, job)


def wire_of(target: Target, request: HttpRequest) -> bytes:
    """The bytes of a request. The target's own headers stand over the dialect's."""
    url = urlsplit(join_url(target.base_url, request.path))
    path = url.path + (f"?{url.query}" if url.query else "")
    authority = endpoint_of(target.base_url).authority
    headers = {"host": authority, "user-agent": "tokenswarm", "accept-encoding": "identity"}
    headers |= {name.lower(): value for name, value in request.headers.items()}
    headers |= {name.lower(): value for name, value in filled(target.headers).items()}
    if request.method == "POST":
        headers["content-length"] = str(len(request.body))
    lines = [f"{request.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + request.body


def key_of(target: Target) -> str | None:
    """The target's key from the environment. The simulator's key stands in where the host is this machine and the
    variable is not set. Raises UsageFault: it is not set, or no header can carry it; also of what headers name."""
    for name in variables_in(target.headers.values()):
        _variable(target, name)
    if target.key_env is None:
        return None
    if not os.environ.get(target.key_env) and is_loopback(target.base_url):
        return SIMULATOR_KEY
    return _variable(target, target.key_env)


def _variable(target: Target, name: str) -> str:
    value = os.environ.get(name)
    if not value:
        message = f"target {target.name}: environment variable {name} is not set"
        raise UsageFault(message, f"export {name}=... before the run; a plan never holds the key itself")
    if not (value.strip().isascii() and value.strip().isprintable()):
        message = f"target {target.name}: environment variable {name} holds a character that no key has"
        raise UsageFault(message, "was it copied with a line break or typographic marks? Set it again")
    return value
