"""Gemini batches: `POST {base}/v1beta/models/{model}:batchGenerateContent`, then `GET` of the operation.

Prompts are sent inline, each with a key in its metadata. The operation holds the results when it is done, in
`response`, or in the `output` of its metadata.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec

from harness.dialects.google_generate import DIALECT as ALONE
from harness.dialects.jobs import decoded, failed, fetch, requests_of
from harness.dialects.json_fields import no_stream
from harness.dialects.wire import Ask, Dialect, Fault, HttpRequest, JobEnd, Step, WireError
from harness.errors import ErrorKind

_HTTP = {1: 400, 3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 400, 14: 503, 16: 401}  # of the codes of google.rpc
_ENDED_OTHERWISE = {
    "FAILED": ErrorKind.SERVER_ERROR,
    "EXPIRED": ErrorKind.SERVER_ERROR,
    "CANCELLED": ErrorKind.BAD_REQUEST,
}


class _Status(msgspec.Struct, gc=False):
    code: int | None = None
    message: str | None = None


class _Metadata(msgspec.Struct, gc=False):
    key: str


class _InlinedResponse(msgspec.Struct, gc=False):
    metadata: _Metadata
    response: msgspec.Raw = msgspec.Raw()
    error: _Status | None = None


class _InlinedResponses(msgspec.Struct, gc=False, rename="camel"):
    inlined_responses: list[_InlinedResponse] = []


class _Output(msgspec.Struct, gc=False, rename="camel"):
    inlined_responses: _InlinedResponses | None = None


class _Progress(msgspec.Struct, gc=False):
    state: str = ""
    output: _Output | None = None


class _Operation(msgspec.Struct, gc=False):
    name: str
    done: bool = False
    metadata: _Progress | None = None
    response: _Output | None = None
    error: _Status | None = None


_decoder = msgspec.json.Decoder(_Operation)


def job(ask: Ask) -> Step:
    """The creation of a job."""
    requests = requests_of(ask, ALONE.build)
    alone = requests[0][1]
    items: list[dict[str, Any]] = [
        {"request": msgspec.Raw(one.body), "metadata": {"key": key}} for key, one in requests
    ]
    batch = {"displayName": "tokenswarm", "inputConfig": {"requests": {"requests": items}}}
    path = alone.path.removesuffix(":generateContent") + ":batchGenerateContent"
    create = HttpRequest(path, alone.headers, msgspec.json.encode({"batch": batch}))
    return Step(create, partial(_after_status, alone.headers))


def _after_status(headers: dict[str, str], body: bytes) -> Step | JobEnd:
    operation = decoded(_decoder, body)
    if isinstance(operation, JobEnd):
        return operation
    progress = operation.metadata or _Progress()
    state = progress.state.rpartition("STATE_")[2]  # BATCH_STATE_..., or JOB_STATE_... of other versions
    if not operation.done and state != "SUCCEEDED" and state not in _ENDED_OTHERWISE:
        path = f"/v1beta/{quote(operation.name, safe='/')}"
        return Step(fetch(path, headers), partial(_after_status, headers), operation.name, poll=True)
    output = operation.response or progress.output or _Output()
    results = output.inlined_responses or _InlinedResponses()
    return JobEnd(tuple(_read(each) for each in results.inlined_responses), _fault(operation.error, state))


def _fault(error: _Status | None, state: str) -> Fault | None:
    """Why an operation has no results, or not all of them."""
    if error is not None:
        return _failed(error)
    kind = _ENDED_OTHERWISE.get(state)
    return None if kind is None else Fault(kind, f"the batch is {state}")


def _failed(error: _Status) -> Fault:
    code = error.code or 13
    return failed(WireError("", error.message or f"code {code}"), code if code >= 100 else _HTTP.get(code, 500))


def _read(one: _InlinedResponse) -> tuple[str, bytes | Fault]:
    return one.metadata.key, bytes(one.response) if one.error is None else _failed(one.error)


DIALECT = Dialect(
    name="google-batches",
    kind="batch",
    build=lambda ask: job(ask).request,
    read=no_stream,
    read_whole=ALONE.read_whole,
    read_error=ALONE.read_error,
    key_env=ALONE.key_env,
    job=job,
)
