"""The request that each dialect makes of an Ask."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from harness.dialects import DIALECTS
from harness.dialects.wire import Ask, HttpRequest
from harness.records.dialect_names import KIND_OF_DIALECT

KEY = "k-123"


def request(dialect: str, **fields: Any) -> HttpRequest:
    ask = {"model": "m", "texts": ("Hello", "a", "b"), **fields}
    return DIALECTS[dialect].build(Ask(**ask))


def body(dialect: str, **fields: Any) -> dict[str, Any]:
    """What is asked; of a job, for its first prompt."""
    sent = request(dialect, **fields).body
    found: dict[str, Any] = prompts_of(dialect, sent)[0][1] if dialect.endswith("-batches") else json.loads(sent)
    return found


def prompts_of(dialect: str, sent: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Key and request of each prompt in the body that sends a job's prompts."""
    if dialect == "openai-batches":
        lines = [json.loads(line) for line in sent.split(b"\r\n\r\n")[2].partition(b"\r\n--")[0].splitlines()]
        assert all((line["method"], line["url"]) == ("POST", "/v1/chat/completions") for line in lines)
        return [(line["custom_id"], line["body"]) for line in lines]
    if dialect == "anthropic-batches":
        return [(each["custom_id"], each["params"]) for each in json.loads(sent)["requests"]]
    inlined = json.loads(sent)["batch"]["inputConfig"]["requests"]["requests"]
    return [(each["metadata"]["key"], each["request"]) for each in inlined]


def test_there_is_a_dialect_for_every_name_of_a_plan() -> None:
    assert {name: dialect.kind for name, dialect in DIALECTS.items()} == KIND_OF_DIALECT
    assert all(dialect.name == name for name, dialect in DIALECTS.items())


@pytest.mark.parametrize(
    ("dialect", "path"),
    [
        ("openai-chat", "/chat/completions"),
        ("openai-responses", "/responses"),
        ("anthropic-messages", "/v1/messages"),
        ("google-generate", "/v1beta/models/m:streamGenerateContent?alt=sse"),
        ("azure-openai", "/openai/deployments/m/chat/completions?api-version=2024-10-21"),
        ("bedrock-converse", "/model/m/converse-stream"),
        ("vertex", "/publishers/google/models/m:streamGenerateContent?alt=sse"),
        ("cohere-chat", "/v2/chat"),
        ("mistral", "/chat/completions"),
        ("ollama", "/api/chat"),
        ("tei-embeddings", "/embed"),
        ("tei-rerank", "/rerank"),
        ("infinity-embeddings", "/embeddings"),
        ("infinity-rerank", "/rerank"),
        ("openai-embeddings", "/embeddings"),
        ("jina-embeddings", "/embeddings"),
        ("jina-rerank", "/rerank"),
        ("openai-batches", "/files"),
        ("anthropic-batches", "/v1/messages/batches"),
        ("google-batches", "/v1beta/models/m:batchGenerateContent"),
    ],
)
def test_path(dialect: str, path: str) -> None:
    assert request(dialect).path == path


@pytest.mark.parametrize(
    ("model", "segment"),
    [("models/gemini-2.5-flash", "gemini-2.5-flash"), ("a b/../c?d#é", "a%20b%2F..%2Fc%3Fd%23%C3%A9")],
)
def test_a_google_model_is_one_segment_of_the_path(model: str, segment: str) -> None:
    assert request("google-generate", model=model, stream=False).path == f"/v1beta/models/{segment}:generateContent"


@pytest.mark.parametrize(
    ("dialect", "model", "path"),
    [
        ("bedrock-converse", "arn:aws:bedrock:eu:1:x/a", "/model/arn%3Aaws%3Abedrock%3Aeu%3A1%3Ax%2Fa/converse"),
        (
            "vertex",
            "publishers/google/models/gemini-2.5-pro",
            "/publishers/google/models/gemini-2.5-pro:generateContent",
        ),
        ("azure-openai", "a/b", "/openai/deployments/a%2Fb/chat/completions?api-version=2024-10-21"),
    ],
)
def test_a_model_in_the_path_is_one_segment(dialect: str, model: str, path: str) -> None:
    assert request(dialect, model=model, stream=False).path == path


KEY_HEADER = {
    "azure-openai": ("api-key", KEY),
    "bedrock-converse": ("authorization", f"Bearer {KEY}"),
    **dict.fromkeys(
        (
            *("vertex", "cohere-chat", "mistral", "ollama", "tei-embeddings", "tei-rerank"),
            *("infinity-embeddings", "infinity-rerank"),
        ),
        ("authorization", f"Bearer {KEY}"),
    ),
    "openai-chat": ("authorization", f"Bearer {KEY}"),
    "openai-responses": ("authorization", f"Bearer {KEY}"),
    "anthropic-messages": ("x-api-key", KEY),
    "google-generate": ("x-goog-api-key", KEY),
    "openai-embeddings": ("authorization", f"Bearer {KEY}"),
    "jina-embeddings": ("authorization", f"Bearer {KEY}"),
    "jina-rerank": ("authorization", f"Bearer {KEY}"),
    "openai-batches": ("authorization", f"Bearer {KEY}"),
    "anthropic-batches": ("x-api-key", KEY),
    "google-batches": ("x-goog-api-key", KEY),
}


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_the_key_goes_into_the_providers_header_and_nowhere_else(dialect: str) -> None:
    sent, without = request(dialect, key=f"{KEY}\n"), request(dialect, key=None)
    name, value = KEY_HEADER[dialect]
    assert sent.headers == {**without.headers, name: value}
    assert KEY not in repr(sent) + sent.path + sent.body.decode()
    assert name not in without.headers


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_headers_say_what_is_sent_and_what_is_wanted(dialect: str) -> None:
    streamed, whole = request(dialect, stream=True).headers, request(dialect, stream=False).headers
    assert streamed["content-type"] == whole["content-type"]
    form = "multipart/form-data; boundary=tokenswarm-"
    assert whole["content-type"].startswith(form if dialect == "openai-batches" else "application/json")
    assert whole["accept"] == "application/json"
    chat = DIALECTS[dialect].kind == "chat"
    accepted = {
        "sse": "text/event-stream",
        "ndjson": "application/x-ndjson",
        "aws-event-stream": "application/vnd.amazon.eventstream",
    }
    assert streamed["accept"] == (accepted[DIALECTS[dialect].framing] if chat else "application/json")


def test_anthropic_version_is_sent() -> None:
    assert request("anthropic-messages").headers["anthropic-version"] == "2023-06-01"


def test_openai_chat_body() -> None:
    assert body("openai-chat", max_tokens=7, temperature=0.0) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 7,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert body("openai-chat", stream=False) == {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.parametrize("model", ["gpt-5-mini", "gpt-4o", "o3", "o4-mini", "chatgpt-4o-latest", "ft:gpt-4o:org::1"])
def test_openais_own_models_get_the_fields_that_openai_wants(model: str) -> None:
    sent = body("openai-chat", model=model, max_tokens=7)
    assert sent["max_completion_tokens"] == 7 and "max_tokens" not in sent
    assert sent["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert body("openai-responses", model=model)["stream_options"] == {"include_obfuscation": False}


@pytest.mark.parametrize("model", ["gpt-oss-20b", "openai/gpt-4o", "gpt2", "olmo-2", "llama-3", "deepseek-chat"])
def test_other_servers_get_only_what_all_of_them_know(model: str) -> None:
    sent = body("openai-chat", model=model, max_tokens=7)
    assert sent["max_tokens"] == 7 and "max_completion_tokens" not in sent
    assert sent["stream_options"] == {"include_usage": True}
    assert "stream_options" not in body("openai-responses", model=model)


def test_the_user_can_choose_the_field_that_caps_the_reply() -> None:
    for chosen in ({"max_completion_tokens": 9}, {"max_tokens": 9}):
        for model in ("gpt-5", "m"):
            sent = body("openai-chat", model=model, max_tokens=7, body=chosen)
            assert {name: sent[name] for name in sent if name.startswith("max")} == chosen
    sent = body("openai-chat", model="gpt-5", max_tokens=7, body={"max_completion_tokens": None})
    assert not [name for name in sent if name.startswith("max")]


def test_openai_responses_body() -> None:
    sent = body("openai-responses", max_tokens=16, temperature=1.0)
    assert sent == {"model": "m", "input": "Hello", "max_output_tokens": 16, "temperature": 1.0, "stream": True}
    assert body("openai-responses", stream=False) == {"model": "m", "input": "Hello"}


def test_anthropic_messages_body() -> None:
    messages = [{"role": "user", "content": "Hello"}]
    sent = body("anthropic-messages", max_tokens=7, temperature=0.5)
    assert sent == {"model": "m", "max_tokens": 7, "messages": messages, "temperature": 0.5, "stream": True}
    assert body("anthropic-messages", stream=False) == {"model": "m", "max_tokens": 1024, "messages": messages}


def test_google_generate_body() -> None:
    contents = [{"role": "user", "parts": [{"text": "Hello"}]}]
    sent = body("google-generate", max_tokens=7, temperature=0.0)
    assert sent == {"contents": contents, "generationConfig": {"maxOutputTokens": 7, "temperature": 0.0}}
    assert body("google-generate") == {"contents": contents}


def test_azure_is_not_sent_what_its_version_refuses() -> None:
    """The deployment's name is often its model's, and OpenAI's own service is asked not to pad its events."""
    usage = {"include_usage": True}
    assert body("openai-chat", model="gpt-4o")["stream_options"] == usage | {"include_obfuscation": False}
    assert body("azure-openai", model="gpt-4o", max_tokens=7) == {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_completion_tokens": 7,
        "stream": True,
        "stream_options": usage,
    }
    own = {"stream_options": {"include_obfuscation": False}}
    assert body("azure-openai", model="gpt-4o", body=own)["stream_options"] == usage | {"include_obfuscation": False}
    assert "stream_options" not in body("azure-openai", model="gpt-4o", body={"stream_options": None})
    assert "stream_options" not in body("azure-openai", model="gpt-4o", stream=False)


def test_the_bodies_of_other_chats() -> None:
    messages = [{"role": "user", "content": "Hello"}]
    asked = {"max_tokens": 7, "temperature": 0.0}
    assert body("azure-openai", **asked) == body("openai-chat", **asked)
    assert body("vertex", **asked) == body("google-generate", **asked)
    assert body("mistral", **asked) == {"model": "m", "messages": messages, **asked, "stream": True}
    assert body("mistral", stream=False) == {"model": "m", "messages": messages}
    assert body("cohere-chat", **asked) == {"model": "m", "messages": messages, **asked, "stream": True}
    ollama = {"model": "m", "messages": messages, "stream": False}
    assert body("ollama", stream=False) == ollama
    assert body("ollama", stream=False, **asked) == ollama | {"options": {"num_predict": 7, "temperature": 0.0}}
    bedrock = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
    assert body("bedrock-converse") == bedrock
    assert body("bedrock-converse", **asked) == bedrock | {"inferenceConfig": {"maxTokens": 7, "temperature": 0.0}}


def test_a_key_of_several_parts_is_not_sent() -> None:
    sent = request("bedrock-converse", key="AKID SECRET TOKEN")
    assert sent.headers == request("bedrock-converse", key=None).headers
    assert "SECRET" not in repr(sent) + sent.path + sent.body.decode()


def test_embeddings_and_rerank_bodies() -> None:
    for dialect in ("openai-embeddings", "jina-embeddings", "infinity-embeddings"):
        assert body(dialect) == {"model": "m", "input": ["Hello", "a", "b"]}
    for dialect in ("jina-rerank", "infinity-rerank"):
        assert body(dialect) == {"model": "m", "query": "Hello", "documents": ["a", "b"]}
    assert body("tei-embeddings") == {"inputs": ["Hello", "a", "b"]}
    assert body("tei-rerank") == {"query": "Hello", "texts": ["a", "b"]}


@pytest.mark.parametrize(
    ("dialect", "alone"),
    [
        ("openai-batches", "openai-chat"),
        ("anthropic-batches", "anthropic-messages"),
        ("google-batches", "google-generate"),
    ],
)
def test_a_job_asks_for_each_prompt_what_would_be_asked_for_it_alone(dialect: str, alone: str) -> None:
    fields: dict[str, Any] = {"max_tokens": 7, "temperature": 0.0, "body": {"seed": 7}}
    texts = ("Hello", "wörld \r\n\r\n--", "Hello")
    prompts = prompts_of(dialect, request(dialect, texts=texts, **fields).body)
    assert [one for _, one in prompts] == [body(alone, texts=(text,), stream=False, **fields) for text in texts]
    keys = [key for key, _ in prompts]
    assert len(set(keys)) == 3 and all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", key) for key in keys)
    assert keys[0] != prompts_of(dialect, request(dialect, texts=("other",), **fields).body)[0][0]


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_the_users_body_is_laid_over_the_defaults_and_null_deletes(dialect: str) -> None:
    plain = body(dialect)
    own = {"model": None, "seed": 7, "deep": {"kept": 1, "gone": None}}
    changed = {name: value for name, value in plain.items() if name != "model"} | {"seed": 7, "deep": {"kept": 1}}
    assert body(dialect, body=own) == changed
    assert own == {"model": None, "seed": 7, "deep": {"kept": 1, "gone": None}}


def test_objects_in_the_users_body_are_merged() -> None:
    sent = body("google-generate", max_tokens=7, body={"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}})
    assert sent["generationConfig"] == {"maxOutputTokens": 7, "thinkingConfig": {"thinkingBudget": 0}}
    assert "stream_options" not in body("openai-chat", body={"stream_options": None})
