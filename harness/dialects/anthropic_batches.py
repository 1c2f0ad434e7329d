"""Anthropic Message Batches: `POST {base}/v1/messages/batches`, then `GET` of the batch, then of its results.

Prompts are sent inline. Results are JSON lines in any order; each has the message, or why there is none. The results
are fetched from the batch's own path: a URL that a reply names is not followed, since the key would travel with it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from harness.dialects.anthropic_messages import build, read_error, read_whole
from harness.dialects.jobs import ANY_BYTES, decoded, failed, fetch, read_lines, requests_of, segment
from harness.dialects.json_fields import no_stream
from harness.dialects.json_fields import read_error as read_any_error
from harness.dialects.wire import Ask, Dialect, Fault, HttpRequest, JobEnd, Step
from harness.errors import ErrorKind

_PATH = "/v1/messages/batches"
_STATUS = {  # of the error that a prompt met, as if it had been sent alone
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_ENDED_OTHERWISE = {"canceled": ErrorKind.BAD_REQUEST, "expired": ErrorKind.SERVER_ERROR}


class _Batch(msgspec.Struct, gc=False):
    id: str
    processing_status: str


class _Result(msgspec.Struct, gc=False):
    type: str
    message: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


class _Line(msgspec.Struct, gc=False):
    custom_id: str
    result: _Result


_batch_decoder = msgspec.json.Decoder(_Batch)
_line_decoder = msgspec.json.Decoder(_Line)


def job(ask: Ask) -> Step:
    """The creation of a job."""
    requests = requests_of(ask, build)
    headers = requests[0][1].headers
    fields: list[dict[str, Any]] = [{"custom_id": key, "params": msgspec.Raw(one.body)} for key, one in requests]
    create = HttpRequest(_PATH, headers, msgspec.json.encode({"requests": fields}))
    return Step(create, partial(_after_status, headers))


def _after_status(headers: dict[str, str], body: bytes) -> Step | JobEnd:
    batch = decoded(_batch_decoder, body)
    if isinstance(batch, JobEnd):
        return batch
    path = f"{_PATH}/{segment(batch.id)}"
    if batch.processing_status == "ended":
        return Step(fetch(f"{path}/results", headers, ANY_BYTES), _after_results, batch.id)
    return Step(fetch(path, headers), partial(_after_status, headers), batch.id, poll=True)


def _after_results(body: bytes) -> JobEnd:
    return read_lines(body, _line_decoder, _read, JobEnd())


def _read(line: _Line) -> tuple[str, bytes | Fault]:
    result = line.result
    if result.type == "succeeded":
        return line.custom_id, bytes(result.message)
    if result.type in _ENDED_OTHERWISE:
        return line.custom_id, Fault(_ENDED_OTHERWISE[result.type], f"the prompt {result.type}")
    body = bytes(result.error)
    return line.custom_id, failed(read_error(body).error, _STATUS.get(read_any_error(body).error.type, 500))


DIALECT = Dialect(
    name="anthropic-batches",
    kind="batch",
    build=lambda ask: job(ask).request,
    read=no_stream,
    read_whole=read_whole,
    read_error=read_error,
    key_env="ANTHROPIC_API_KEY",
    job=job,
)
