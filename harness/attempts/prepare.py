"""What one attempt sends, made whole before its time, so that at the due time nothing is left but to write it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from importlib import import_module
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from harness.dialects import DIALECTS
from harness.dialects.wire import Ask, HttpRequest, Step, Unsigned, join_url
from harness.errors import UsageFault
from harness.inputs.loopback import is_loopback
from harness.inputs.secrecy import filled, secrets_of, variables_in
from harness.plan import Aws, Target, Workload
from harness.prompts import Prompt
from harness.sockets.endpoint import endpoint_of
from harness.workloads.structured import SCHEMA
from harness.workloads.tool_box import tools

SIMULATOR_KEY = "sim-key"
_REGION = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-\d)\.(?:amazonaws\.com|api\.aws)")


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
        history=prompt.history,
        images=prompt.images,
        tools=tools(workload.tools),
        schema=SCHEMA if workload.structured else None,
    )
    job = None if dialect.job is None else dialect.job(ask)
    wire = wire_of(target, dialect.build(ask) if job is None else job.request, key)
    return Prepared(target, workload, prompt, wire, ask.stream and dialect.kind == "chat", key, job)


def wire_of(target: Target, request: HttpRequest, key: str | None = None) -> bytes:
    """The bytes of a request. `key` is for those that are signed."""
    url = urlsplit(url_of(target, request))
    path = url.path + (f"?{url.query}" if url.query else "")
    authority = endpoint_of(target.base_url).authority
    headers = {"host": authority, "user-agent": "tokenswarm", "accept-encoding": "identity"}
    headers |= headers_of(target, request, key)
    if request.method == "POST":
        headers["content-length"] = str(len(request.body))
    lines = [f"{request.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + request.body


def url_of(target: Target, request: HttpRequest) -> str:
    """Where a request goes. The target's own fields of the query stand over the dialect's."""
    url = join_url(target.base_url, request.path)
    if not target.query:
        return url
    parts = urlsplit(url)
    fields = dict(parse_qsl(parts.query, keep_blank_values=True)) | target.query
    return urlunsplit(parts._replace(query=urlencode(fields, quote_via=quote)))


def headers_of(target: Target, request: HttpRequest, key: str | None) -> dict[str, str]:
    """The headers of a request, names in lower case: the target's own over the dialect's; signed where it has to be."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers |= {name.lower(): value for name, value in filled(target.headers).items()}
    sign = DIALECTS[target.dialect].sign
    if sign is not None and key is not None and target.aws is not None:
        authority = endpoint_of(target.base_url).authority
        url = url_of(target, request)
        signed = {"host": authority, **headers}
        headers |= sign(Unsigned(request.method, url, signed, request.body, key, region_of(target)))
    return headers


def region_of(target: Target) -> str:
    """The AWS region of a target: told, or the label before `amazonaws.com` in its host's name (`us-east-1` where there
    is none, as on this machine)."""
    told = None if target.aws is None else target.aws.region
    match = _REGION.search(urlsplit(target.base_url).hostname or "")
    return told or (match[1] if match else "us-east-1")


def key_of(target: Target) -> str | None:
    """The target's key from the environment; see `Ask` for one of several parts. The simulator's key stands in where
    the host is this machine and the variable is not set. Raises UsageFault: it is not set, or no header can carry it;
    also of what headers name, and where a library is missing."""
    check_parser(target)
    for name in variables_in(target.headers.values()):
        _variable(target, name)
    if target.key_env is None:
        return None
    if not os.environ.get(target.key_env) and is_loopback(target.base_url):
        return simulator_key(target)
    key = _variable(target, target.key_env)
    return key if target.aws is None else _aws_key(target, target.aws, key)


def _variable(target: Target, name: str) -> str:
    value = os.environ.get(name)
    if not value:
        message = f"target {target.name}: environment variable {name} is not set"
        raise UsageFault(message, f"export {name}=... before the run; a plan never holds the key itself")
    if not (value.strip().isascii() and value.strip().isprintable()):
        message = f"target {target.name}: environment variable {name} holds a character that no key has"
        raise UsageFault(message, "was it copied with a line break or typographic marks? Set it again")
    return value


def simulator_key(target: Target) -> str:
    """The key that the simulator accepts of a target."""
    return SIMULATOR_KEY if target.aws is None else f"SIMULATEDKEYID {SIMULATOR_KEY}"


def check_parser(target: Target) -> None:
    """Raises UsageFault where a library is missing that the target's dialect wants."""
    if DIALECTS[target.dialect].framing != "aws-event-stream":
        return
    try:
        import_module("botocore.auth")  # now, and not within the first attempt
        import_module("botocore.eventstream")
    except ImportError as error:
        message = f"target {target.name}: dialect {target.dialect} wants the library botocore"
        raise UsageFault(message, "pip install 'tokenswarm[bedrock]'") from error


def _aws_key(target: Target, aws: Aws, secret: str) -> str:
    token = os.environ.get(aws.session_token_env or "")
    return " ".join(part.strip() for part in (_variable(target, aws.key_id_env), secret, token) if part)
