"""OpenAI chat completions: `POST /v1/chat/completions`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from harness.simulator.speech import (
    Asked,
    Content,
    Event,
    Refused,
    Reply,
    Speaker,
    asked_of_chat,
    encode,
    quoted,
    read_json,
    texts_of,
)


class _Message(msgspec.Struct):
    role: str
    content: Content = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Function(msgspec.Struct):
    name: str


class _Tool(msgspec.Struct):
    function: _Function


class _Form(msgspec.Struct):
    type: str


class _Request(msgspec.Struct):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: list[_Tool] | None = None
    response_format: _Form | None = None


_decoder = msgspec.json.Decoder(_Request)


def read(body: bytes, _query: dict[str, str]) -> Asked:
    """What a request asks. Raises Refused."""
    request: _Request = read_json(_decoder, body)
    if not request.messages:
        raise Refused("Invalid 'messages': empty array. Expected an array with minimum length 1.")
    cap = request.max_completion_tokens or request.max_tokens
    if cap is not None and cap < 1:
        raise Refused("Invalid 'max_tokens': integer below minimum value.")
    return asked_of_chat(
        texts_of(*(message.content for message in request.messages)),
        model=request.model,
        stream=bool(request.stream),
        max_tokens=cap,
        include_usage=request.stream_options is not None and bool(request.stream_options.include_usage),
        tool=request.tools[0].function.name if request.tools else None,
        structured=request.response_format is not None and request.response_format.type == "json_schema",
    )


def stream(reply: Reply) -> Iterator[Event]:
    """Role chunk, reasoning and text chunks, finish chunk, usage chunk where it was asked for, `[DONE]`."""
    head = b'data: {"id":"chatcmpl-%b","object":"chat.completion.chunk","created":%d,"model":%b,%b,"choices":[' % (
        reply.id.encode(),
        reply.created,
        quoted(reply.model),
        b'"service_tier":"default","system_fingerprint":"fp_simulated"',
    )
    usage = b',"usage":null' if reply.asked.include_usage else b""
    begin = head + b'{"index":0,"delta":{'
    end = b'},"logprobs":null,"finish_reason":null}]' + usage + b"}\n\n"
    yield Event(begin + b'"role":"assistant","content":"","refusal":null' + end)
    thought = begin + b'"reasoning_content":"'
    for text, tokens in reply.reasoning():
        yield Event(thought + text + b'"' + end if reply.show_reasoning else b"", tokens)
    answer, closed = begin + b'"content":"', b'"' + end
    if reply.asked.tool is not None:
        yield Event(begin + b'"tool_calls":[%b]' % _call(reply.asked.tool, reply.id) + end)
        answer, closed = begin + b'"tool_calls":[{"index":0,"function":{"arguments":"', b'"}}]' + end
    for text, tokens in _answer_of(reply):
        yield Event(answer + text + closed, tokens)
    yield Event(begin + b'},"logprobs":null,"finish_reason":"%b"}]' % finish_reason(reply).encode() + usage + b"}\n\n")
    if reply.asked.include_usage:
        yield Event(head + b'],"usage":' + encode(usage_of(reply)) + b"}\n\n")
    yield Event(b"data: [DONE]\n\n")


def _answer_of(reply: Reply) -> Iterator[tuple[bytes, int]]:
    """Text or arguments, piece by piece, as they stand within a JSON string."""
    if reply.asked.tool is None:
        yield from reply.text()
        return
    for text, tokens in arguments_of(reply):
        yield encode(text.decode())[1:-1], tokens


def arguments_of(reply: Reply) -> Iterator[tuple[bytes, int]]:
    """The arguments of a call, in the pieces in which a text would come."""
    pieces = list(reply.text())
    for number, (text, tokens) in enumerate(pieces):
        last = number == len(pieces) - 1
        yield (b'{"query":"' if number == 0 else b"") + text + (b'","limit":3}' if last else b""), tokens


def _call(name: str, reply_id: str) -> bytes:
    function = {"name": name, "arguments": ""}
    return encode({"index": 0, "id": f"call_{reply_id}", "type": "function", "function": function})


def whole(reply: Reply) -> bytes:
    """The body of a reply that is not streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.whole_text(), "refusal": None, "annotations": []}
    if reply.reasoning_tokens and reply.show_reasoning:
        message["reasoning_content"] = reply.whole_reasoning()
    if reply.asked.tool is not None:
        arguments = b"".join(text for text, _ in arguments_of(reply)).decode()
        function = {"name": reply.asked.tool, "arguments": arguments}
        message |= {
            "content": None,
            "tool_calls": [{"id": f"call_{reply.id}", "type": "function", "function": function}],
        }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(reply)}
    return encode(
        {
            "id": f"chatcmpl-{reply.id}",
            "object": "chat.completion",
            "created": reply.created,
            "model": reply.model,
            "choices": [choice],
            "usage": usage_of(reply),
            "service_tier": "default",
            "system_fingerprint": "fp_simulated",
        }
    )


def finish_reason(reply: Reply) -> str:
    """OpenAI's word for why the reply ended."""
    return "tool_calls" if reply.asked.tool is not None else "length" if reply.cut else "stop"


def usage_of(reply: Reply) -> dict[str, Any]:
    """The usage object."""
    details = {"reasoning_tokens": reply.reasoning_tokens, "audio_tokens": 0}
    predicted = {"accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}
    return {
        "prompt_tokens": reply.asked.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": reply.asked.input_tokens + reply.output_tokens,
        "prompt_tokens_details": {"cached_tokens": reply.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": details | predicted,
    }


def error_event(_reply: Reply, message: str) -> bytes:
    """An error inside a stream."""
    error = {"message": message, "type": "server_error", "param": None, "code": "server_error"}
    return b"data: " + encode({"error": error}) + b"\n\n"


SPEAKER = Speaker("openai", read, whole, stream, error_event)
