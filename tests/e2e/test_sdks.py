"""The providers' official SDKs against the simulator: what they see must be what its truth says."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors, types

from harness.simulator.process import running
from harness.simulator.truth import Truth, read_truth

QUICK = {"ttft": 0.01, "itl": 0.001}
THOUGHTFUL = {"ttft": 0, "itl": 0, "reasoning_tokens": 4, "cached_share": 0.5}
CONFIG = {
    "seed": 3,
    "providers": {
        "openai-sim": QUICK,
        "anthropic-sim": QUICK,
        "google-sim": QUICK,
        "jina-sim": QUICK,
        "openai-thinks": {"dialects": ["openai-chat", "openai-responses"], **THOUGHTFUL},
        "anthropic-thinks": {"dialects": ["anthropic-messages"], **THOUGHTFUL},
        "google-thinks": {"dialects": ["google-generate"], **THOUGHTFUL},
        "brief": {"dialects": ["openai-chat"], "ttft": 0, "itl": 0, "reply_tokens": 5},
    },
}
PROMPT = "please count these six words now"  # 6


class Simulator(NamedTuple):
    url: str
    truth: Path

    def last(self, provider: str, model: str) -> Truth:
        """The truth of the request for `model`, a name of the test's own; it is written after the last byte."""
        for _ in range(500):
            found = [one for one in read_truth(self.truth) if one.model == model and one.provider == provider]
            if found:
                return found[-1]
            time.sleep(0.01)
        raise AssertionError("no such truth")

    def openai(self, provider: str = "openai-sim", key: str = "sim-key") -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/{provider}/v1", api_key=key, max_retries=0)

    def anthropic(self, provider: str = "anthropic-sim", key: str = "sim-key") -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=f"{self.url}/{provider}", api_key=key, max_retries=0)

    def google(self, provider: str = "google-sim", key: str = "sim-key") -> genai.Client:
        return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=f"{self.url}/{provider}"))


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    folder = tmp_path_factory.mktemp("sdks")
    (folder / "simulator.yaml").write_text(json.dumps(CONFIG))
    with running(folder / "simulator.yaml", folder / "truth.jsonl") as url:
        yield Simulator(url, folder / "truth.jsonl")


def test_openai_chat(simulator: Simulator) -> None:
    with simulator.openai() as client:
        reply = client.chat.completions.create(
            model="chat-whole", messages=[{"role": "user", "content": PROMPT}], max_tokens=9
        )
    truth = simulator.last("openai-sim", "chat-whole")
    assert reply.choices[0].finish_reason == "length"
    assert reply.choices[0].message.content is not None
    assert len(reply.choices[0].message.content.split()) == 9 == truth.output_tokens
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (6, 9, 15)
    assert truth.id == reply._request_id
    assert len(truth.chunk_ns) == 1


def test_openai_chat_streamed(simulator: Simulator) -> None:
    with simulator.openai() as client:
        chunks = list(
            client.chat.completions.create(
                model="chat-stream",
                messages=[{"role": "user", "content": [{"type": "text", "text": PROMPT}]}],
                max_completion_tokens=9,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    truth = simulator.last("openai-sim", "chat-stream")
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(texts) == 9 == len(truth.content) == truth.output_tokens
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "length"
    usage = chunks[-1].usage
    assert usage is not None and chunks[-1].choices == []
    assert (usage.prompt_tokens, usage.completion_tokens) == (truth.input_tokens, truth.output_tokens) == (6, 9)
    assert len(truth.chunk_ns) == len(chunks) + 1, "and [DONE]"


def test_openai_chat_without_usage_asked_for(simulator: Simulator) -> None:
    with simulator.openai("brief") as client:
        messages: Any = [{"role": "user", "content": PROMPT}]
        chunks = list(client.chat.completions.create(model="brief-stream", messages=messages, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert simulator.last("brief", "brief-stream").output_tokens == 5


def test_openai_chat_reasoning_and_cache(simulator: Simulator) -> None:
    with simulator.openai("openai-thinks") as client:
        usage = client.chat.completions.create(
            model="chat-thinks", messages=[{"role": "user", "content": PROMPT}], max_tokens=9
        ).usage
    truth = simulator.last("openai-thinks", "chat-thinks")
    assert usage is not None
    assert usage.completion_tokens_details is not None and usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens == truth.reasoning_tokens == 4
    assert usage.prompt_tokens_details.cached_tokens == truth.cached_tokens == 3
    assert usage.completion_tokens == truth.output_tokens == 9


@pytest.mark.parametrize("provider", ["openai-sim", "openai-thinks"])
def test_openai_responses(simulator: Simulator, provider: str) -> None:
    with simulator.openai(provider) as client:
        reply = client.responses.create(model="responses-whole", input=PROMPT, max_output_tokens=9)
    truth = simulator.last(provider, "responses-whole")
    assert reply.status == "incomplete"
    assert reply.incomplete_details is not None and reply.incomplete_details.reason == "max_output_tokens"
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (truth.input_tokens, truth.output_tokens) == (6, 9)
    assert reply.usage.output_tokens_details.reasoning_tokens == truth.reasoning_tokens
    assert len(reply.output_text.split()) == 9 - (truth.reasoning_tokens or 0)


@pytest.mark.parametrize("provider", ["openai-sim", "openai-thinks"])
def test_openai_responses_streamed(simulator: Simulator, provider: str) -> None:
    with simulator.openai(provider) as client:
        content: Any = [{"type": "input_text", "text": PROMPT}]
        events: list[Any] = list(
            client.responses.create(
                model="responses-stream",
                input=[{"role": "user", "content": content}],
                max_output_tokens=9,
                stream=True,
            )
        )
    truth = simulator.last(provider, "responses-stream")
    assert [event.sequence_number for event in events] == list(range(len(events))) == list(range(len(truth.chunk_ns)))
    kinds = [event.type for event in events]
    assert kinds[:3] == ["response.created", "response.in_progress", "response.output_item.added"]
    assert kinds.count("response.reasoning_text.delta") == truth.reasoning_tokens
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    done = next(event for event in events if event.type == "response.output_text.done")
    assert "".join(event.delta for event in deltas) == done.text
    last = events[-1]
    assert last.type == "response.incomplete" and last.response.usage is not None
    assert last.response.usage.output_tokens == truth.output_tokens == len(truth.content) == 9
    assert last.response.output_text == done.text


def test_openai_responses_stream_helper_accepts_the_events(simulator: Simulator) -> None:
    with simulator.openai() as client, client.responses.stream(model="helper", input=PROMPT) as stream:
        final = stream.get_final_response()
    assert final.status == "completed"
    assert final.usage is not None and final.usage.output_tokens == 128


@pytest.mark.parametrize("provider", ["openai-sim", "jina-sim"])
@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_openai_embeddings(simulator: Simulator, provider: str, encoding: Any) -> None:
    model = f"embed-{encoding}"
    with simulator.openai(provider) as client:
        reply = client.embeddings.create(model=model, input=["one two", "three"], encoding_format=encoding)
        default = client.embeddings.create(model="embed-default", input=["one two", "three"], dimensions=16)
    truth = simulator.last(provider, model)
    assert [one.index for one in reply.data] == [0, 1]
    assert (reply.usage.prompt_tokens, truth.input_tokens, truth.items, truth.output_tokens) == (3, 3, 2, None)
    assert len(default.data[0].embedding) == 16, "the SDK asks for base64 and decodes it"
    if encoding == "float":
        assert len(reply.data[0].embedding) == 64
        assert sum(x * x for x in reply.data[0].embedding) == pytest.approx(1, abs=1e-5)


def test_anthropic_messages(simulator: Simulator) -> None:
    with simulator.anthropic() as client:
        reply = client.messages.create(
            model="messages-whole", messages=[{"role": "user", "content": PROMPT}], system="be brief", max_tokens=9
        )
    truth = simulator.last("anthropic-sim", "messages-whole")
    assert reply.stop_reason == "max_tokens"
    assert reply.content[0].type == "text" and len(reply.content[0].text.split()) == 9
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (truth.input_tokens, truth.output_tokens) == (8, 9)
    assert reply._request_id == truth.id


@pytest.mark.parametrize("provider", ["anthropic-sim", "anthropic-thinks"])
def test_anthropic_messages_streamed(simulator: Simulator, provider: str) -> None:
    content: list[anthropic.types.TextBlockParam] = [{"type": "text", "text": PROMPT}]
    with (
        simulator.anthropic(provider) as client,
        client.messages.stream(
            model="messages-stream", messages=[{"role": "user", "content": content}], max_tokens=9
        ) as stream,
    ):
        texts = list(stream.text_stream)
        final = stream.get_final_message()
    truth = simulator.last(provider, "messages-stream")
    thoughts, cached = truth.reasoning_tokens or 0, truth.cached_tokens or 0
    assert len(texts) == 9 - thoughts
    assert "".join(texts) == (final.content[-1].text if final.content[-1].type == "text" else None)
    assert [block.type for block in final.content] == (["thinking"] if thoughts else []) + ["text"]
    assert final.usage.output_tokens == truth.output_tokens == len(truth.content) == 9
    assert final.usage.cache_read_input_tokens == cached == (3 if thoughts else 0)
    assert final.usage.input_tokens + cached == truth.input_tokens == 6


@pytest.mark.parametrize("provider", ["google-sim", "google-thinks"])
def test_google_generate(simulator: Simulator, provider: str) -> None:
    config = types.GenerateContentConfig(max_output_tokens=9, system_instruction="be brief")
    with simulator.google(provider) as client:
        reply = client.models.generate_content(model="generate-whole", contents=PROMPT, config=config)
    truth = simulator.last(provider, "generate-whole")
    usage = reply.usage_metadata
    assert usage is not None and reply.candidates is not None and reply.text is not None
    assert reply.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    thoughts = usage.thoughts_token_count or 0
    assert usage.candidates_token_count is not None
    assert usage.candidates_token_count + thoughts == truth.output_tokens == 9
    assert thoughts == truth.reasoning_tokens
    assert len(reply.text.split()) == 9 - thoughts
    assert usage.prompt_token_count == truth.input_tokens == 8
    assert (usage.cached_content_token_count or 0) == truth.cached_tokens


@pytest.mark.parametrize("provider", ["google-sim", "google-thinks"])
def test_google_generate_streamed(simulator: Simulator, provider: str) -> None:
    config = types.GenerateContentConfig(max_output_tokens=9)
    with simulator.google(provider) as client:
        stream = client.models.generate_content_stream(model="generate-stream", contents=PROMPT, config=config)
        chunks = list(stream)
    truth = simulator.last(provider, "generate-stream")
    assert len(chunks) == len(truth.content) == len(truth.chunk_ns) == (3 if provider == "google-sim" else 9)
    usage = chunks[-1].usage_metadata
    assert usage is not None and usage.candidates_token_count is not None
    assert usage.candidates_token_count + (usage.thoughts_token_count or 0) == truth.output_tokens == 9
    assert chunks[-1].candidates is not None
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.MAX_TOKENS


def test_a_wrong_key_raises_each_sdks_own_error(simulator: Simulator) -> None:
    messages: Any = [{"role": "user", "content": PROMPT}]
    with simulator.openai(key="wrong") as chat, pytest.raises(openai.AuthenticationError) as from_openai:
        chat.chat.completions.create(model="m", messages=messages)
    assert from_openai.value.code == "invalid_api_key"
    with simulator.openai("jina-sim", key="wrong") as jina, pytest.raises(openai.AuthenticationError) as from_jina:
        jina.embeddings.create(model="m", input="x")
    assert "AUTH_INVALID_API_KEY" in from_jina.value.response.text
    with simulator.anthropic(key="wrong") as claude, pytest.raises(anthropic.AuthenticationError) as from_anthropic:
        claude.messages.create(model="m", messages=messages, max_tokens=1)
    assert from_anthropic.value.type == "authentication_error"
    with simulator.google(key="wrong") as gemini, pytest.raises(errors.ClientError) as from_google:
        gemini.models.generate_content(model="m", contents=PROMPT)
    assert (from_google.value.code, from_google.value.status) == (401, "UNAUTHENTICATED")


def test_a_rate_limit_raises_each_sdks_own_error(simulator: Simulator) -> None:
    messages: Any = [{"role": "user", "content": PROMPT}]
    forced = {"x-sim-fault": "rate_limit"}
    with simulator.openai() as chat, pytest.raises(openai.RateLimitError) as from_openai:
        chat.chat.completions.create(model="m", messages=messages, extra_headers=forced)
    assert from_openai.value.code == "rate_limit_exceeded"
    assert int(from_openai.value.response.headers["retry-after"]) >= 1
    with simulator.anthropic() as claude, pytest.raises(anthropic.RateLimitError) as from_anthropic:
        claude.messages.create(model="m", messages=messages, max_tokens=1, extra_headers=forced)
    assert from_anthropic.value.type == "rate_limit_error"
    config = types.GenerateContentConfig(http_options=types.HttpOptions(headers=forced))
    with simulator.google() as gemini, pytest.raises(errors.ClientError) as from_google:
        gemini.models.generate_content(model="m", contents=PROMPT, config=config)
    assert (from_google.value.code, from_google.value.status) == (429, "RESOURCE_EXHAUSTED")


def test_an_error_in_a_stream_raises_each_sdks_own_error(simulator: Simulator) -> None:
    messages: Any = [{"role": "user", "content": PROMPT}]
    forced = {"x-sim-fault": "error_event"}
    with simulator.openai() as chat, pytest.raises(openai.APIError, match="Simulated fault"):
        list(chat.chat.completions.create(model="m", messages=messages, stream=True, extra_headers=forced))
    with simulator.anthropic() as claude, pytest.raises(anthropic.APIStatusError) as from_anthropic:
        list(claude.messages.create(model="m", messages=messages, max_tokens=9, stream=True, extra_headers=forced))
    assert from_anthropic.value.type == "overloaded_error"
    config = types.GenerateContentConfig(http_options=types.HttpOptions(headers=forced))
    with simulator.google() as gemini, pytest.raises(errors.APIError, match="Simulated fault"):
        list(gemini.models.generate_content_stream(model="m", contents=PROMPT, config=config))


def test_anthropic_batches(simulator: Simulator) -> None:
    messages: Any = [{"role": "user", "content": PROMPT}]
    params: Any = {"model": "batch-a", "max_tokens": 9, "messages": messages}
    with simulator.anthropic() as client:
        requests: Any = [{"custom_id": f"k{number}", "params": params} for number in range(3)]
        batch = client.messages.batches.create(requests=requests)
        while client.messages.batches.retrieve(batch.id).processing_status != "ended":
            time.sleep(0.01)
        results = {each.custom_id: each.result for each in client.messages.batches.results(batch.id)}
        with pytest.raises(anthropic.NotFoundError):
            client.messages.batches.retrieve("msgbatch_none")
    truth = simulator.last("anthropic-sim", "batch-a")
    assert (truth.id, truth.items, truth.output_tokens, truth.input_tokens) == (batch.id, 3, 27, 18)
    assert sorted(results) == ["k0", "k1", "k2"]
    for result in results.values():
        assert result.type == "succeeded"
        assert (result.message.usage.output_tokens, result.message.stop_reason) == (9, "max_tokens")


def test_openai_batches(simulator: Simulator) -> None:
    body = {"model": "batch-o", "max_tokens": 9, "messages": [{"role": "user", "content": PROMPT}]}
    line = {"method": "POST", "url": "/v1/chat/completions", "body": body}
    lines = "".join(json.dumps(line | {"custom_id": f"k{number}"}) + "\n" for number in range(3)).encode()
    with simulator.openai() as client:
        file = client.files.create(file=("prompts.jsonl", lines), purpose="batch")
        batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        while (batch := client.batches.retrieve(batch.id)).status != "completed":
            assert batch.status == "in_progress" and batch.output_file_id is None
            time.sleep(0.01)
        assert batch.output_file_id is not None and batch.error_file_id is None
        results = [json.loads(each) for each in client.files.content(batch.output_file_id).text.splitlines()]
        assert client.files.content(file.id).content == lines
        with pytest.raises(openai.NotFoundError):
            client.batches.retrieve("batch_none")
    truth = simulator.last("openai-sim", "batch-o")
    assert (truth.id, truth.items, truth.output_tokens) == (batch.id, 3, 27)
    assert batch.request_counts is not None and batch.request_counts.completed == 3
    assert sorted(each["custom_id"] for each in results) == ["k0", "k1", "k2"]
    assert {each["response"]["body"]["usage"]["completion_tokens"] for each in results} == {9}


def test_google_batches(simulator: Simulator) -> None:
    config = types.GenerateContentConfig(max_output_tokens=9)
    requests = [
        types.InlinedRequest(contents=PROMPT, config=config, metadata={"key": f"k{number}"}) for number in range(3)
    ]
    with simulator.google() as client:
        batch = client.batches.create(model="batch-g", src=types.BatchJobSource(inlined_requests=requests))
        assert batch.name is not None
        while (batch := client.batches.get(name=batch.name)).state != types.JobState.JOB_STATE_SUCCEEDED:
            assert batch.name is not None
            time.sleep(0.01)
        with pytest.raises(errors.ClientError):
            client.batches.get(name="batches/none")
    truth = simulator.last("google-sim", "batch-g")
    assert (truth.id, truth.items, truth.output_tokens) == (batch.name, 3, 27)
    assert batch.dest is not None and batch.dest.inlined_responses is not None
    keys = [(each.metadata or {}).get("key") for each in batch.dest.inlined_responses]
    assert keys == ["k0", "k1", "k2"]
    for each in batch.dest.inlined_responses:
        assert each.response is not None and each.response.usage_metadata is not None
        assert each.response.usage_metadata.candidates_token_count == 9
