"""From a provider's bytes to USD: each provider's rule of billing, calculated by hand.

The prices are such that no two wrong rules give the same sum.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.dialects import DIALECTS
from harness.dialects.wire import merge_usage
from harness.plan import Price
from harness.prices import Spend, spend_of
from harness.sample import Usage
from harness.streams.stream_readers import reader_of

HERE = Path(__file__).parent
PRICE = Price(input=2.0, input_cached=0.5, input_cache_write=2.5, output=8.0, batch_factor=0.5)


def usage_in(dialect: str, name: str) -> Usage:
    """What a recorded stream or reply tells of its tokens."""
    data = (HERE / dialect / name).read_bytes()
    told = None
    if not name.startswith("whole_"):
        reader = reader_of(DIALECTS[dialect].framing)
        for event in [*reader.feed(data), *reader.flush()]:
            told = merge_usage(told, DIALECTS[dialect].read(event.event, event.data).usage)
    else:
        told = DIALECTS[dialect].read_whole(data).usage
    assert told is not None
    return told


BILLS = [
    # prompt_tokens 2006, of which 1920 cached; completion_tokens 300, of which 256 were thought.
    ("openai-chat", "usage_details.sse", (86 * 2 + 1920 * 0.5 + 300 * 8) / 1e6),
    # The same in other words.
    ("openai-responses", "usage_details.sse", (86 * 2 + 1920 * 0.5 + 300 * 8) / 1e6),
    # input_tokens 10 beside 200 written to the cache and 1800 read from it; output_tokens 300, 256 of them thinking.
    ("anthropic-messages", "usage_details.sse", (10 * 2 + 200 * 2.5 + 1800 * 0.5 + 300 * 8) / 1e6),
    # The last event repeats input_tokens 10 and is silent about the cache; output_tokens 3.
    ("anthropic-messages", "input_repeated_without_cache.sse", (10 * 2 + 200 * 2.5 + 1800 * 0.5 + 3 * 8) / 1e6),
    # input_tokens 10, 20 written, 300 read, in a reply that is not streamed; output_tokens 12.
    ("anthropic-messages", "whole_plain.json", (10 * 2 + 20 * 2.5 + 300 * 0.5 + 12 * 8) / 1e6),
    # promptTokenCount 2000 with 1800 cached in it, 30 of tool use beside it; candidates 2, thoughts 250 beside them.
    ("google-generate", "usage_details.sse", (230 * 2 + 1800 * 0.5 + 252 * 8) / 1e6),
    # Azure: prompt_tokens 2006, 1920 of them cached; completion_tokens 3.
    ("azure-openai", "plain.sse", (86 * 2 + 1920 * 0.5 + 3 * 8) / 1e6),
    # Bedrock: inputTokens 10 beside 200 written to the cache and 1800 read from it; outputTokens 5.
    ("bedrock-converse", "cached.bin", (10 * 2 + 200 * 2.5 + 1800 * 0.5 + 5 * 8) / 1e6),
    # The same where the total shows that inputTokens holds what was cached.
    ("bedrock-converse", "cached_within_the_input.bin", (210 * 2 + 1800 * 0.5 + 5 * 8) / 1e6),
    ("bedrock-converse", "whole_tool_use.json", (10 * 2 + 1800 * 0.5 + 5 * 8) / 1e6),
    # Vertex: promptTokenCount 2000 with 1800 cached in it; candidates 2, thoughts 250 beside them.
    ("vertex", "plain.sse", (200 * 2 + 1800 * 0.5 + 252 * 8) / 1e6),
    # Cohere bills 17 and 3, not the 215 and 5 that its model saw; 16 of them cached.
    ("cohere-chat", "cached.sse", (1 * 2 + 16 * 0.5 + 3 * 8) / 1e6),
    # DeepSeek: prompt_tokens 20, 16 of them hits of its cache.
    ("openai-chat", "deepseek_cached.sse", (4 * 2 + 16 * 0.5 + 2 * 8) / 1e6),
    ("mistral", "thinking.sse", (1 * 2 + 16 * 0.5 + 3 * 8) / 1e6),
    ("ollama", "plain.ndjson", (26 * 2 + 3 * 8) / 1e6),
    ("infinity-rerank", "whole_plain.json", 40 * 2 / 1e6),
    ("openai-embeddings", "whole_one.json", 8 * 2 / 1e6),
    ("jina-rerank", "whole_plain.json", 40 * 2 / 1e6),  # total_tokens alone
]


@pytest.mark.parametrize(("dialect", "name", "usd"), BILLS)
def test_a_reply_costs_what_the_providers_rule_says(dialect: str, name: str, usd: float) -> None:
    usage = usage_in(dialect, name)
    assert spend_of(PRICE, dialect, usage).usd == pytest.approx(usd, rel=1e-12)
    # A batch job pays the factor for tokens, not for the request; the same reply in a result file of a batch.
    fee = msgspec.structs.replace(PRICE, per_request_usd=0.01)
    assert spend_of(fee, "any-batches", usage).usd == pytest.approx(0.5 * usd + 0.01, rel=1e-12)
    assert spend_of(fee, dialect, usage).usd == pytest.approx(usd + 0.01, rel=1e-12)


def test_reasoning_that_a_server_leaves_out_of_the_completion_is_billed() -> None:
    raw = (HERE / "openai-chat" / "reasoning_apart_from_completion.sse").read_bytes()
    usage = usage_in("openai-chat", "reasoning_apart_from_completion.sse")
    assert usage.reasoning_tokens
    completion = (usage.output_tokens or 0) - usage.reasoning_tokens
    assert b'"completion_tokens":%d,' % completion in raw
    dearer = Price(input=0, output=8.0, reasoning=20.0)
    usd = (completion * 8 + usage.reasoning_tokens * 20) / 1e6
    assert spend_of(dearer, "openai-chat", usage).usd == pytest.approx(usd, rel=1e-12)


def test_the_spend_is_split_by_what_it_is_for() -> None:
    spend = spend_of(PRICE, "anthropic-messages", usage_in("anthropic-messages", "usage_details.sse"))
    assert spend == Spend(
        input_usd=10 * 2 / 1e6,
        input_cached_usd=1800 * 0.5 / 1e6,
        input_cache_write_usd=200 * 2.5 / 1e6,
        output_usd=44 * 8 / 1e6,
        reasoning_usd=256 * 8 / 1e6,
    )


def test_openais_cache_writes_are_a_part_of_the_input() -> None:
    chat = (
        b'{"choices":[],"usage":{"prompt_tokens":3000,"completion_tokens":5,"total_tokens":3005,'
        b'"prompt_tokens_details":{"cached_tokens":1000,"cache_write_tokens":1500}}}'
    )
    responses = (
        b'{"type":"response.completed","response":{"status":"completed","usage":{"input_tokens":3000,"output_tokens":5,'
        b'"input_tokens_details":{"cached_tokens":1000,"cache_write_tokens":1500}}}}'
    )
    for dialect, data in (("openai-chat", chat), ("openai-responses", responses)):
        usage = DIALECTS[dialect].read("", data).usage
        assert usage is not None
        usd = (500 * 2 + 1000 * 0.5 + 1500 * 2.5 + 5 * 8) / 1e6
        assert spend_of(PRICE, dialect, usage).usd == pytest.approx(usd, rel=1e-12)


def test_jina_is_billed_by_its_total() -> None:
    body = b'{"model":"m","data":[{"index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":38,"total_tokens":40}}'
    usage = DIALECTS["jina-embeddings"].read_whole(body).usage
    assert usage is not None
    assert spend_of(PRICE, "jina-embeddings", usage).usd == pytest.approx(40 * 2 / 1e6, rel=1e-12)
