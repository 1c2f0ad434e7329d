"""More providers' official SDKs against the simulator: what they see must be what its truth says.

There is none for ranking by Text Embeddings Inference (`huggingface_hub` has no call for it), and none of Infinity's
own for its server: its embeddings are asked for with OpenAI's, its ranking, like the former, over plain HTTP.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import botocore.auth
import cohere
import httpx
import ollama
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from cohere.core.api_error import ApiError
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials
from huggingface_hub import InferenceClient, close_session
from huggingface_hub.errors import HfHubHTTPError
from mistralai.client import Mistral
from mistralai.client.errors import MistralError

from harness.simulator.process import running
from harness.simulator.truth import Truth, read_truth

THOUGHTFUL = {"ttft": 0, "itl": 0, "reasoning_tokens": 4, "cached_share": 0.5}
NAMES = ("azure-sim", "bedrock-sim", "vertex-sim", "cohere-sim", "mistral-sim", "ollama-sim", "tei-sim", "infinity-sim")
CONFIG = {"seed": 3, "providers": dict.fromkeys(NAMES, THOUGHTFUL)}
PROMPT = "please count these six words now"  # 6, of which 3 are cached
MESSAGES: Any = [{"role": "user", "content": PROMPT}]
FORCED = {"x-sim-fault": "error_event"}


class Simulator(NamedTuple):
    url: str
    truth: Path

    def last(self, model: str) -> Truth:
        """The truth of the request for `model`, a name of the test's own; it is written after the last byte."""
        for _ in range(500):
            found = [one for one in read_truth(self.truth) if one.model == model]
            if found:
                return found[-1]
            time.sleep(0.01)
        raise AssertionError("no such truth")

    def azure(self, key: str = "sim-key") -> openai.AzureOpenAI:
        return openai.AzureOpenAI(
            azure_endpoint=f"{self.url}/azure-sim", api_key=key, api_version="2024-10-21", max_retries=0
        )

    @contextmanager
    def bedrock(self, secret: str = "sim-key", token: str | None = None) -> Iterator[Any]:
        client = boto3.client(
            "bedrock-runtime",
            region_name="eu-central-1",
            endpoint_url=f"{self.url}/bedrock-sim",
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}),
        )
        with closing(client):
            yield client

    def vertex(self, token: str = "sim-key") -> genai.Client:
        options = types.HttpOptions(base_url=f"{self.url}/vertex-sim")
        credentials = Credentials(token=token)  # type: ignore[no-untyped-call]
        return genai.Client(vertexai=True, project="p", location="l", credentials=credentials, http_options=options)

    @contextmanager
    def cohere(self, key: str = "sim-key") -> Iterator[cohere.ClientV2]:
        with httpx.Client() as client:
            yield cohere.ClientV2(api_key=key, base_url=f"{self.url}/cohere-sim", httpx_client=client)

    def mistral(self, key: str = "sim-key") -> Mistral:
        return Mistral(api_key=key, server_url=f"{self.url}/mistral-sim")

    def ollama(self, key: str = "sim-key") -> ollama.Client:
        return ollama.Client(host=f"{self.url}/ollama-sim", headers={"authorization": f"Bearer {key}"})

    def post(self, path: str, body: Any) -> httpx.Response:
        return httpx.post(self.url + path, json=body, headers={"authorization": "Bearer sim-key"}, timeout=20)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    folder = tmp_path_factory.mktemp("more-sdks")
    (folder / "simulator.yaml").write_text(json.dumps(CONFIG))
    with running(folder / "simulator.yaml", folder / "truth.jsonl") as url:
        yield Simulator(url, folder / "truth.jsonl")
    close_session()  # huggingface_hub's, which is one for all


def test_azure_openai(simulator: Simulator) -> None:
    with simulator.azure() as client:
        reply = client.chat.completions.create(model="azure-whole", messages=MESSAGES, max_tokens=9)
        stream = client.chat.completions.create(
            model="azure-stream",
            messages=MESSAGES,
            max_tokens=9,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
    assert reply.usage is not None and (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (6, 9)
    truth = simulator.last("azure-stream")
    assert chunks[0].choices == [] and chunks[0].model_extra is not None
    assert chunks[0].model_extra["prompt_filter_results"][0]["content_filter_results"]["hate"]["filtered"] is False
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(texts) == 5 == len(truth.content) - 4
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == truth.output_tokens == 9
    with simulator.azure("wrong") as client, pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model="m", messages=MESSAGES)


def test_bedrock_converse(simulator: Simulator) -> None:
    ask = {"messages": [{"role": "user", "content": [{"text": PROMPT}]}], "inferenceConfig": {"maxTokens": 9}}
    with simulator.bedrock(token="a-session-token") as client:
        whole = client.converse(modelId="bedrock:whole", **ask)
        streamed = list(client.converse_stream(modelId="bedrock/stream", **ask)["stream"])
    assert whole["stopReason"] == "max_tokens"
    usage = {"inputTokens": 3, "outputTokens": 9, "totalTokens": 15, "cacheReadInputTokens": 3}
    assert whole["usage"] == usage
    thought, text = whole["output"]["message"]["content"]
    assert len(thought["reasoningContent"]["reasoningText"]["text"].split()) == 4 and len(text["text"].split()) == 5
    truth = simulator.last("bedrock/stream")
    deltas = [each["contentBlockDelta"]["delta"] for each in streamed if "contentBlockDelta" in each]
    assert ["reasoningContent" in each for each in deltas] == [True] * 4 + [False] * 5
    assert [next(iter(each)) for each in streamed[-2:]] == ["messageStop", "metadata"]
    assert streamed[-1]["metadata"]["usage"] == usage
    assert len(truth.content) == truth.output_tokens == 9


def test_bedrock_says_no_as_aws_does(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": PROMPT}]}]}

    def refused(secret: str) -> tuple[str, str]:
        with simulator.bedrock(secret) as client, pytest.raises(ClientError) as fault:
            client.converse(**ask)
        return fault.value.response["Error"]["Code"], fault.value.response["Error"]["Message"]

    code, message = refused("wrong")
    assert code == "InvalidSignatureException" and "does not match" in message
    with simulator.bedrock() as client:
        client.meta.events.register("before-call", lambda params, **_: params["headers"].update(FORCED))
        stream = client.converse_stream(**ask)["stream"]
        with closing(stream), pytest.raises(EventStreamError, match="modelStreamErrorException"):
            list(stream)
    late = dt.datetime.now(dt.UTC).replace(tzinfo=None) - dt.timedelta(minutes=9)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: late)
    code, message = refused("sim-key")
    assert code == "InvalidSignatureException" and message.startswith("Signature expired")


def test_vertex(simulator: Simulator) -> None:
    config = types.GenerateContentConfig(max_output_tokens=9)
    with simulator.vertex() as client:
        reply = client.models.generate_content(model="vertex-whole", contents=PROMPT, config=config)
        chunks = list(client.models.generate_content_stream(model="vertex-stream", contents=PROMPT, config=config))
    assert reply.usage_metadata is not None and reply.usage_metadata.prompt_token_count == 6
    truth = simulator.last("vertex-stream")
    usage = chunks[-1].usage_metadata
    assert usage is not None and usage.candidates_token_count is not None and usage.thoughts_token_count is not None
    assert usage.candidates_token_count + usage.thoughts_token_count == truth.output_tokens == 9
    assert truth.dialect == "vertex"
    express = types.HttpOptions(base_url=f"{simulator.url}/vertex-sim")
    with genai.Client(vertexai=True, api_key="sim-key", http_options=express) as client:
        assert client.models.generate_content(model="vertex-express", contents=PROMPT, config=config).text
    with simulator.vertex("wrong") as client, pytest.raises(errors.ClientError) as fault:
        client.models.generate_content(model="m", contents=PROMPT)
    assert fault.value.code == 401


def test_cohere(simulator: Simulator) -> None:
    with simulator.cohere() as client:
        reply = client.chat(model="cohere-whole", messages=MESSAGES, max_tokens=9)
        events: list[Any] = list(client.chat_stream(model="cohere-stream", messages=MESSAGES, max_tokens=9))
    assert reply.finish_reason == "MAX_TOKENS" and reply.usage is not None and reply.usage.billed_units is not None
    assert (reply.usage.billed_units.input_tokens, reply.usage.billed_units.output_tokens) == (6, 9)
    assert reply.usage.cached_tokens == 3
    assert [part.type for part in reply.message.content or []] == ["thinking", "text"]
    truth = simulator.last("cohere-stream")
    assert [each.type for each in events].count("content-delta") == len(truth.content) == 9
    assert events[-1].type == "message-end" and events[-1].delta.finish_reason == "MAX_TOKENS"
    assert events[-1].delta.usage.tokens.output_tokens == 11
    with simulator.cohere("wrong") as client, pytest.raises(ApiError) as fault:
        client.chat(model="m", messages=MESSAGES)
    assert fault.value.status_code == 401


def test_mistral(simulator: Simulator) -> None:
    with simulator.mistral() as client:
        reply = client.chat.complete(model="mistral-whole", messages=MESSAGES, max_tokens=9)
        with client.chat.stream(model="mistral-stream", messages=MESSAGES, max_tokens=9) as stream:
            chunks = [event.data for event in stream]
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (6, 9)
    truth = simulator.last("mistral-stream")
    contents = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    assert [isinstance(content, list) for content in contents] == [True] * 4 + [False] * 5
    assert chunks[-1].choices[0].finish_reason == "length"
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == truth.output_tokens == 9
    with simulator.mistral("wrong") as client, pytest.raises(MistralError) as fault:
        client.chat.complete(model="m", messages=MESSAGES)
    assert fault.value.status_code == 401


def test_mistral_refuses_what_it_does_not_know(simulator: Simulator) -> None:
    body = {"model": "m", "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
    reply = simulator.post("/mistral-sim/v1/chat/completions", body)
    assert reply.status_code == 422 and "stream_options" in reply.text


def test_ollama(simulator: Simulator) -> None:
    with simulator.ollama() as client:
        reply = client.chat(model="ollama-whole", messages=MESSAGES, options={"num_predict": 9})
        lines = list(client.chat(model="ollama-stream", messages=MESSAGES, options={"num_predict": 9}, stream=True))
    assert (reply.prompt_eval_count, reply.eval_count, reply.done_reason) == (6, 9, "length")
    assert reply.message.thinking is not None and len(reply.message.thinking.split()) == 4
    truth = simulator.last("ollama-stream")
    assert len([each for each in lines if each.message.content or each.message.thinking]) == len(truth.content) == 9
    assert lines[-1].done and lines[-1].eval_count == truth.output_tokens == 9
    with simulator.ollama("wrong") as client, pytest.raises(ollama.ResponseError) as fault:
        client.chat(model="m", messages=MESSAGES)
    assert fault.value.status_code == 401


def test_text_embeddings_inference(simulator: Simulator) -> None:
    url = f"{simulator.url}/tei-sim/embed"
    vectors = InferenceClient(model=url, token="sim-key").feature_extraction(PROMPT)
    assert vectors.shape == (1, 64)
    assert float((vectors**2).sum()) == pytest.approx(1, abs=1e-5)
    assert simulator.last("tei").input_tokens == 6
    with pytest.raises(HfHubHTTPError) as fault:
        InferenceClient(model=url, token="wrong").feature_extraction(PROMPT)
    assert fault.value.response.status_code == 401


def test_ranking_by_text_embeddings_inference_and_by_infinity(simulator: Simulator) -> None:
    texts = ["other things", PROMPT, "these six words"]
    tei = simulator.post("/tei-sim/rerank", {"query": PROMPT, "texts": texts, "return_text": True})
    assert [each["index"] for each in tei.json()] == [1, 2, 0] and tei.json()[0]["text"] == PROMPT
    assert tei.headers["x-compute-tokens"] == "17"
    infinity = simulator.post("/infinity-sim/rerank", {"model": "m", "query": PROMPT, "documents": texts})
    assert [each["index"] for each in infinity.json()["results"]] == [1, 2, 0]
    assert infinity.json()["usage"]["total_tokens"] == 17


@pytest.mark.parametrize(
    ("path", "body", "key", "status", "told"),
    [
        ("/infinity-sim/embeddings", {"model": "m", "input": ["a"]}, "wrong", 401, {"detail": "Unauthorized"}),
        ("/infinity-sim/nothing", {}, "sim-key", 404, {"detail": "Not Found"}),
        ("/tei-sim/embed", {"inputs": []}, "sim-key", 400, {"error_type": "Empty"}),
        ("/tei-sim/embed", {"inputs": ["a"] * 3000}, "sim-key", 413, {"error_type": "Validation"}),
        ("/tei-sim/embed", {"inputs": 7}, "sim-key", 422, {"error_type": "Tokenizer"}),
    ],
)
def test_servers_of_open_models_say_no_in_their_own_shapes(
    simulator: Simulator, path: str, body: Any, key: str, status: int, told: dict[str, str]
) -> None:
    reply = httpx.post(simulator.url + path, json=body, headers={"authorization": f"Bearer {key}"}, timeout=20)
    assert reply.status_code == status
    assert reply.json().items() >= told.items()


def test_what_is_no_request_of_infinitys_is_refused_by_fastapi_and_a_key_by_nothing_at_tei(
    simulator: Simulator,
) -> None:
    reply = simulator.post("/infinity-sim/embeddings", {"model": "m"})
    assert reply.status_code == 422 and reply.json()["detail"][0]["loc"] == ["body"]
    key = {"authorization": "Bearer wrong"}
    refused = httpx.post(f"{simulator.url}/tei-sim/embed", json={"inputs": "a"}, headers=key, timeout=20)
    assert (refused.status_code, refused.content) == (401, b"")


def test_infinity_embeddings_with_openais_sdk(simulator: Simulator) -> None:
    with openai.OpenAI(base_url=f"{simulator.url}/infinity-sim", api_key="sim-key", max_retries=0) as client:
        reply = client.embeddings.create(model="infinity", input=["one two", "three"], encoding_format="float")
    assert len(reply.data) == 2 and reply.usage.prompt_tokens == 3
    assert simulator.last("infinity").dialect == "infinity-embeddings"
