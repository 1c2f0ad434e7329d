"""Whole replies and error bodies of every dialect.

Each folder holds replies as `whole_*` with what they say in `whole.json`, and bodies of failed responses as
`failed_*` with what they say in `errors.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.dialects import DIALECTS
from harness.dialects.wire import Delta
from harness.errors import classify

HERE = Path(__file__).parent
WHOLE = sorted(HERE.glob("*/whole_*"))
ERRORS = sorted(HERE.glob("*/failed_*"))


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def expectation(path: Path, index: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((path.parent / index).read_text())[path.name]
    return told


def said(delta: Delta) -> dict[str, Any]:
    """The fields that are not at their defaults."""
    empty = Delta()
    found = {name: getattr(delta, name) for name in Delta.__struct_fields__}
    found = {name: value for name, value in found.items() if value != getattr(empty, name)}
    if delta.usage is not None:
        assert delta.usage.source == "provider"
        found["usage"] = {key: value for key, value in msgspec.to_builtins(delta.usage).items() if key != "source"}
    if delta.server is not None:
        found["server"] = msgspec.to_builtins(delta.server)
    if delta.error is not None:
        found["error"] = [delta.error.type, delta.error.message]
    return found


@pytest.mark.parametrize(("pattern", "index"), [("whole_*", "whole.json"), ("failed_*", "errors.json")])
@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_every_body_has_an_expectation_and_the_other_way_round(dialect: str, pattern: str, index: str) -> None:
    folder = HERE / dialect
    assert sorted(json.loads((folder / index).read_text())) == sorted(path.name for path in folder.glob(pattern))


@pytest.mark.parametrize("path", WHOLE, ids=name_of)
def test_a_whole_reply_says_what_was_recorded(path: Path) -> None:
    told = expectation(path, "whole.json")
    if told.get("items") == 0:
        del told["items"]
    assert said(DIALECTS[path.parent.name].read_whole(path.read_bytes())) == told


@pytest.mark.parametrize("path", WHOLE, ids=name_of)
def test_a_whole_reply_cut_short_is_malformed_and_never_an_answer(path: Path) -> None:
    body = path.read_bytes().rstrip()
    read_whole = DIALECTS[path.parent.name].read_whole
    for length in range(len(body)):
        delta = read_whole(body[:length])
        assert delta.malformed is not None and not (delta.end or delta.content or delta.items), f"{length} bytes"


@pytest.mark.parametrize("path", ERRORS, ids=name_of)
def test_an_error_body_gives_its_type_its_message_and_its_kind(path: Path) -> None:
    told = expectation(path, "errors.json")
    reply = DIALECTS[path.parent.name].read_error(path.read_bytes())
    assert (reply.error.type, reply.error.message) == (told["type"], told["message"])
    assert reply.retry_after_s == told.get("retry_after_s")
    assert classify(told["status"], reply.error.type) == told["kind"]


def test_a_request_that_the_server_gave_up_is_its_failure_and_not_the_requests() -> None:
    """499: whoever asked is still there. 498 without a type is not known to be anybody's."""
    assert [classify(status, "") for status in (499, 498)] == ["server_error", "bad_request"]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("rate_limit", ("rate_limit_exceeded", "throttlingException", "RESOURCE_EXHAUSTED", "ramp_limit_exceeded")),
        ("quota", ("insufficient_quota", "enforced_spend_limit_reached", "billing_error", "credit_balance_exhausted")),
        ("refused", ("content_filter", "invalid_prompt", "bio_policy", "misalignment_policy_violation")),
        ("stream_error", ("", "server_error", "overloaded_error", "content_filter_error", "modelStreamErrorException")),
    ],
)
def test_the_type_of_an_error_in_a_stream_gives_its_kind(kind: str, words: tuple[str, ...]) -> None:
    assert [classify(None, word) for word in words] == [kind] * len(words)


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_a_body_that_is_no_json_is_quoted_in_printable_characters(dialect: str) -> None:
    error = DIALECTS[dialect].read_error(b"\x00\x1bupstream\r\n\tis\x07 down \xff" + b"x" * 10_000).error
    assert error.type == ""
    assert error.message.startswith("upstream is down \ufffdxxx") and len(error.message) == 200


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@pytest.mark.parametrize(
    "echo",
    [
        "Incorrect API key provided: my-own-secret-0123.",
        "bad key sk-proj-abcdefSECRET0123",
        "bad key AIzaSySECRET0123",
        "bad key abc****secret",
        "no user for Bearer SECRET0123",
    ],
)
def test_a_key_that_a_provider_echoes_does_not_get_into_the_message(dialect: str, echo: str) -> None:
    bodies = [{"error": {"message": echo, "type": "auth"}}, {"detail": echo}, {"error": echo}]
    for body in [*(json.dumps(value).encode() for value in bodies), echo.encode()]:
        message = DIALECTS[dialect].read_error(body).error.message
        assert "secret" not in message.lower() and "[key]" in message


def test_a_long_message_is_shortened_quickly() -> None:
    """White space and stars are where a careless pattern would take quadratic time."""
    body = json.dumps({"error": {"message": "a" * 2_000_000 + "*" * 2_000_000}}).encode()
    assert DIALECTS["openai-chat"].read_error(body).error.message == "a" * 500
