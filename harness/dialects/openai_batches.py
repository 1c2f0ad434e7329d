"""OpenAI Batch: a file of prompts (`POST {base}/files`), a batch of it (`POST {base}/batches`), a file of results.

Each line of the file is a request for `/v1/chat/completions`. What was answered stands in one file, what was not in
another, both in any order; a batch that expired or was cancelled may have either.
"""

from __future__ import annotations

from functools import partial
from hashlib import blake2b

import msgspec

from harness.dialects.jobs import ANY_BYTES, decoded, failed, fetch, read_lines, requests_of, segment
from harness.dialects.json_fields import no_stream, read_error
from harness.dialects.openai_chat import build, read_whole
from harness.dialects.wire import Ask, Dialect, Fault, HttpRequest, JobEnd, Step, WireError
from harness.errors import ErrorKind

_ENDPOINT = "/v1/chat/completions"
_UNDER_WAY = ("validating", "in_progress", "finalizing", "cancelling")
_ENDED_OTHERWISE = {
    "failed": ErrorKind.BAD_REQUEST,  # the file was not accepted
    "expired": ErrorKind.SERVER_ERROR,
    "cancelled": ErrorKind.BAD_REQUEST,
}
_CODES = {"batch_expired": ErrorKind.SERVER_ERROR, "batch_cancelled": ErrorKind.BAD_REQUEST}


class _Error(msgspec.Struct, gc=False):
    code: str | None = None
    message: str | None = None


class _Errors(msgspec.Struct, gc=False):
    data: list[_Error] | None = None


class _File(msgspec.Struct, gc=False):
    id: str


class _Batch(msgspec.Struct, gc=False):
    id: str
    status: str
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Errors | None = None


class _Response(msgspec.Struct, gc=False):
    status_code: int
    body: msgspec.Raw


class _Line(msgspec.Struct, gc=False):
    custom_id: str
    response: _Response | None = None
    error: _Error | None = None


_file_decoder = msgspec.json.Decoder(_File)
_batch_decoder = msgspec.json.Decoder(_Batch)
_line_decoder = msgspec.json.Decoder(_Line)


def job(ask: Ask) -> Step:
    """The upload of a job's prompts."""
    requests = requests_of(ask, build)
    lines = [
        {"custom_id": key, "method": "POST", "url": _ENDPOINT, "body": msgspec.Raw(one.body)} for key, one in requests
    ]
    headers = requests[0][1].headers
    content_type, body = _form(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    upload = HttpRequest("/files", {**headers, "content-type": content_type}, body)
    return Step(upload, partial(_after_upload, headers))


def _form(lines: bytes) -> tuple[str, bytes]:
    """A form with the file and what it is for; its boundary is made of its content, which so cannot hold it."""
    boundary = f"tokenswarm-{blake2b(lines, digest_size=16).hexdigest()}"
    parts = (
        b'form-data; name="purpose"\r\n\r\nbatch',
        b'form-data; name="file"; filename="prompts.jsonl"\r\ncontent-type: application/jsonl\r\n\r\n' + lines,
    )
    body = b"".join(b"--%b\r\ncontent-disposition: %b\r\n" % (boundary.encode(), part) for part in parts)
    return f"multipart/form-data; boundary={boundary}", body + b"--%b--\r\n" % boundary.encode()


def _after_upload(headers: dict[str, str], body: bytes) -> Step | JobEnd:
    file = decoded(_file_decoder, body)
    if isinstance(file, JobEnd):
        return file
    fields = {"input_file_id": file.id, "endpoint": _ENDPOINT, "completion_window": "24h"}
    return Step(HttpRequest("/batches", headers, msgspec.json.encode(fields)), partial(_after_status, headers))


def _after_status(headers: dict[str, str], body: bytes) -> Step | JobEnd:
    batch = decoded(_batch_decoder, body)
    if isinstance(batch, JobEnd):
        return batch
    if batch.status in _UNDER_WAY:
        path = f"/batches/{segment(batch.id)}"
        return Step(fetch(path, headers), partial(_after_status, headers), batch.id, poll=True)
    files = tuple(file for file in (batch.output_file_id, batch.error_file_id) if file)
    return _next_file(headers, batch.id, files, JobEnd(fault=_fault(batch)))


def _fault(batch: _Batch) -> Fault | None:
    """Why a batch has no results, or not all of them."""
    if batch.status == "completed":
        return None
    error = next(iter((batch.errors and batch.errors.data) or ()), _Error())
    said = "".join(f": {part}" for part in (error.code, error.message) if part)
    kind = _ENDED_OTHERWISE.get(batch.status, ErrorKind.MALFORMED)
    return Fault(kind, f"the batch is {batch.status[:100]}{said}")


def _next_file(headers: dict[str, str], batch: str, files: tuple[str, ...], end: JobEnd) -> Step | JobEnd:
    if not files:
        return end
    path = f"/files/{segment(files[0])}/content"
    return Step(fetch(path, headers, ANY_BYTES), partial(_after_file, headers, batch, files[1:], end), batch)


def _after_file(headers: dict[str, str], batch: str, rest: tuple[str, ...], end: JobEnd, body: bytes) -> Step | JobEnd:
    return _next_file(headers, batch, rest, read_lines(body, _line_decoder, _read, end))


def _read(line: _Line) -> tuple[str, bytes | Fault]:
    if line.error is not None:
        error = WireError(line.error.code or "", line.error.message or "")
        return line.custom_id, Fault(
            _CODES.get(error.type) or failed(error, 500).kind, f"{error.type}: {error.message}"
        )
    if line.response is None:
        return line.custom_id, Fault(ErrorKind.MALFORMED, "a result with neither response nor error")
    body, status = bytes(line.response.body), line.response.status_code
    return line.custom_id, body if 200 <= status < 300 else failed(read_error(body).error, status)


DIALECT = Dialect(
    name="openai-batches",
    kind="batch",
    build=lambda ask: job(ask).request,
    read=no_stream,
    read_whole=read_whole,
    read_error=read_error,
    key_env="OPENAI_API_KEY",
    job=job,
)
