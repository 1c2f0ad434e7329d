"""The batch endpoints on the wire: what creates a job, how it fares, and its results.

Anthropic: `POST /v1/messages/batches`, `GET .../ID`, `GET .../ID/results`. OpenAI: `POST /v1/files`, `/v1/batches`,
`GET /v1/batches/ID`, `/v1/files/ID/content`. Gemini: `POST /v1beta/models/{model}:batchGenerateContent`,
`GET /v1beta/batches/ID`. Anthropic's and OpenAI's results come in the order in which the prompts were answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from harness.errors import UNREADABLE
from harness.records.dialect_names import DialectName
from harness.simulator.batches import Item, Job, Jobs
from harness.simulator.refusals import STATUS, Cause, Denied, refusal
from harness.simulator.response import Request
from harness.simulator.speech import Refused, encode, read_json

_DAY_S = 86400
_OUTPUT, _ERRORS = "-output", "-errors"
_RPC_CODES: dict[Cause, int] = {"bad_request": 3, "auth": 16, "rate_limit": 8, "unavailable": 14, "overloaded": 14}


@dataclass(frozen=True)
class Voice:
    """How one dialect speaks of jobs. read: the body that creates one, and the files there are -> key and request of
    each prompt; raises Refused or Denied. status: job, now and its URL -> body. results: the jobs, the name of a job or
    a file, and now -> body; raises Denied. `prefix` begins the names of jobs."""

    prefix: str
    read: Callable[[bytes, Jobs], list[tuple[str, bytes]]]
    status: Callable[[Job, float, str], bytes]
    results: Callable[[Jobs, str, float], bytes]


def url_of(request: Request) -> str:
    """The URL of a request without its query."""
    return f"http://{request.headers.get('host', '')}{request.target.partition('?')[0]}"


def _unique(prompts: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    if not prompts:
        raise Refused("requests: at least one request is required")
    if len({key for key, _ in prompts}) < len(prompts):
        raise Refused("custom_id: each must be unique within the batch")
    return prompts


class _Params(msgspec.Struct):
    custom_id: str
    params: msgspec.Raw


class _Create(msgspec.Struct):
    requests: list[_Params]


_create_decoder = msgspec.json.Decoder(_Create)


def _read_anthropic(body: bytes, _jobs: Jobs) -> list[tuple[str, bytes]]:
    return _unique([(each.custom_id, bytes(each.params)) for each in read_json(_create_decoder, body).requests])


def _status_anthropic(job: Job, now_s: float, url: str) -> bytes:
    """Until it has ended, all of its prompts count as under way."""
    ended = now_s >= job.end_s
    good = sum(item.reply is not None for item in job.items)
    counts = {"processing": 0, "succeeded": good, "errored": len(job.items) - good, "canceled": 0, "expired": 0}
    under_way = {**dict.fromkeys(counts, 0), "processing": len(job.items)}
    return encode(
        {
            "id": job.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts if ended else under_way,
            "created_at": _rfc3339(job.created),
            "expires_at": _rfc3339(job.created + _DAY_S),
            "ended_at": _rfc3339(job.created) if ended else None,
            "archived_at": None,
            "cancel_initiated_at": None,
            "results_url": f"{url}/results" if ended else None,
        }
    )


def _rfc3339(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _results_anthropic(jobs: Jobs, job_id: str, now_s: float) -> bytes:
    job = jobs.find(job_id)
    if now_s < job.end_s:
        raise Denied("not_found", "The batch has no results yet.")
    return _lines([{"custom_id": item.key, "result": _result_anthropic(item)} for item in job.done(now_s)])


def _result_anthropic(item: Item) -> dict[str, Any]:
    if item.cause is None:
        return {"type": "succeeded", "message": msgspec.Raw(item.body)}
    return {"type": "errored", "error": msgspec.Raw(refusal("anthropic", item.cause, item.message, item.key).body)}


def _lines(values: list[dict[str, Any]]) -> bytes:
    return b"".join(encode(value) + b"\n" for value in values)


class _File(msgspec.Struct):
    input_file_id: str
    endpoint: str
    completion_window: str


class _Line(msgspec.Struct):
    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


_file_decoder, _line_decoder = msgspec.json.Decoder(_File), msgspec.json.Decoder(_Line)


def upload(jobs: Jobs, request: Request, file_id: str) -> bytes:
    """Keep the file of a form, and say so. Raises Refused."""
    boundary = request.headers.get("content-type", "").partition("boundary=")[2].strip('"').encode()
    parts = [part.partition(b"\r\n\r\n") for part in request.body.split(b"--" + boundary)] if boundary else []
    data = next((data for head, _, data in parts if b'name="file"' in head), None)
    if data is None or not any(b'name="purpose"' in head and b"batch" in value for head, _, value in parts):
        raise Refused("a form with `file` and `purpose` is required; the purpose is `batch`")
    jobs.keep(file_id, data.removesuffix(b"\r\n"))
    return encode(
        {
            "id": file_id,
            "object": "file",
            "bytes": len(jobs.files[file_id]),
            "created_at": 0,
            "filename": "prompts.jsonl",
            "purpose": "batch",
            "status": "processed",
        }
    )


def _read_openai(body: bytes, jobs: Jobs) -> list[tuple[str, bytes]]:
    """The prompts of the file; none where a line of it cannot be read: then the batch fails."""
    asked: _File = read_json(_file_decoder, body)
    if asked.endpoint != "/v1/chat/completions" or asked.completion_window != "24h":
        raise Refused("endpoint: /v1/chat/completions is supported; completion_window: 24h is")
    if asked.input_file_id not in jobs.files:
        raise Denied("not_found", f"No such File object: {asked.input_file_id[:100]}")
    try:
        lines = [_line_decoder.decode(line) for line in jobs.files[asked.input_file_id].splitlines()]
        return _unique([(line.custom_id, bytes(line.body)) for line in lines])
    except (*UNREADABLE, Refused):
        return []


def _status_openai(job: Job, now_s: float, _url: str) -> bytes:
    ended, done = now_s >= job.end_s, job.done(now_s)
    good = sum(item.reply is not None for item in done)
    error = {"code": "invalid_json_line", "message": job.invalid, "param": None, "line": 1}
    status = "failed" if job.invalid else "completed" if ended else "in_progress"
    at = {"in_progress": "in_progress_at", "completed": "completed_at", "failed": "failed_at"}[status]
    return encode(
        {
            "id": job.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "errors": {"object": "list", "data": [error]} if job.invalid else None,
            "input_file_id": "",
            "completion_window": "24h",
            "status": status,
            "output_file_id": job.id + _OUTPUT if ended and good else None,
            "error_file_id": job.id + _ERRORS if ended and good < len(done) else None,
            "created_at": job.created,
            at: job.created,
            "expires_at": job.created + _DAY_S,
            "request_counts": {"total": len(job.items), "completed": good, "failed": len(done) - good},
            "metadata": None,
        }
    )


def _results_openai(jobs: Jobs, file_id: str, now_s: float) -> bytes:
    if file_id in jobs.files:
        return jobs.files[file_id]
    job_id, dash, kind = file_id.rpartition("-")
    job = jobs.find(job_id)
    if now_s < job.end_s or dash + kind not in (_OUTPUT, _ERRORS):
        raise Denied("not_found", f"No such File object: {file_id[:100]}")
    wanted = [item for item in job.done(now_s) if (item.cause is None) == (dash + kind == _OUTPUT)]
    return _lines(
        [
            {
                "id": f"batch_req_{item.key}",
                "custom_id": item.key,
                "response": {"status_code": 200, "request_id": item.key, "body": msgspec.Raw(item.body)}
                if item.cause is None
                else _failed_openai(item, item.cause),
                "error": None,
            }
            for item in wanted
        ]
    )


def _failed_openai(item: Item, cause: Cause) -> dict[str, Any]:
    body = msgspec.Raw(refusal("openai", cause, item.message, item.key).body)
    return {"status_code": STATUS[cause], "request_id": item.key, "body": body}


class _InlinedRequest(msgspec.Struct):
    request: msgspec.Raw
    metadata: dict[str, Any] | None = None


class _InlinedRequests(msgspec.Struct):
    requests: list[_InlinedRequest]


class _Input(msgspec.Struct):
    requests: _InlinedRequests


class _Batch(msgspec.Struct, rename="camel"):
    input_config: _Input


class _CreateGoogle(msgspec.Struct):
    batch: _Batch


_google_decoder = msgspec.json.Decoder(_CreateGoogle)


def _read_google(body: bytes, _jobs: Jobs) -> list[tuple[str, bytes]]:
    """A prompt without a key has its number for one."""
    requests = read_json(_google_decoder, body).batch.input_config.requests.requests
    keys = [str((each.metadata or {}).get("key", number)) for number, each in enumerate(requests)]
    return _unique([(key, bytes(each.request)) for key, each in zip(keys, requests, strict=True)])


def _status_google(job: Job, now_s: float, _url: str) -> bytes:
    """The operation; its results come in the order of the prompts, with its end."""
    ended, done = now_s >= job.end_s, job.done(now_s)
    good = sum(item.reply is not None for item in done)
    counts = {"request": len(job.items), "pendingRequest": len(job.items) - len(done)}
    counts |= {"successfulRequest": good, "failedRequest": len(done) - good}
    output = {"inlinedResponses": {"inlinedResponses": [_result_google(item) for item in job.items] if ended else []}}
    metadata: dict[str, Any] = {
        "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
        "name": job.id,
        "state": "BATCH_STATE_SUCCEEDED" if ended else "BATCH_STATE_RUNNING",
        "createTime": _rfc3339(job.created),
        "updateTime": _rfc3339(job.created),
        "batchStats": {f"{name}Count": str(count) for name, count in counts.items()},
    }
    if not ended:
        return encode({"name": job.id, "metadata": metadata})
    metadata |= {"endTime": _rfc3339(job.created), "output": output}
    return encode({"name": job.id, "metadata": metadata, "done": True, "response": output})


def _result_google(item: Item) -> dict[str, Any]:
    metadata = {"key": item.key}
    if item.cause is None:
        return {"metadata": metadata, "response": msgspec.Raw(item.body)}
    return {"metadata": metadata, "error": {"code": _RPC_CODES.get(item.cause, 13), "message": item.message}}


def _no_results(_jobs: Jobs, job_id: str, _now_s: float) -> bytes:
    raise Denied("not_found", f"Nothing is served at {job_id[:100]}")


VOICES: dict[DialectName, Voice] = {
    "anthropic-batches": Voice("msgbatch_", _read_anthropic, _status_anthropic, _results_anthropic),
    "openai-batches": Voice("batch_", _read_openai, _status_openai, _results_openai),
    "google-batches": Voice("batches/", _read_google, _status_google, _no_results),
}
