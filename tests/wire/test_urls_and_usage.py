from __future__ import annotations

import pytest

from harness.dialects.wire import join_url, merge_usage
from harness.sample import Usage


@pytest.mark.parametrize(
    ("base_url", "path", "url"),
    [
        ("https://api.openai.com/v1", "/chat/completions", "https://api.openai.com/v1/chat/completions"),
        ("https://api.openai.com/v1/", "/chat/completions", "https://api.openai.com/v1/chat/completions"),
        ("http://[::1]:8000", "/rerank", "http://[::1]:8000/rerank"),
        ("http://host/", "rerank", "http://host/rerank"),
        ("https://api.anthropic.com", "/v1/messages", "https://api.anthropic.com/v1/messages"),
        ("https://api.anthropic.com/v1", "/v1/messages", "https://api.anthropic.com/v1/messages"),
        ("https://api.anthropic.com/v1/", "/v1/messages", "https://api.anthropic.com/v1/messages"),
        ("http://gate/anthropic/v1", "/v1/messages", "http://gate/anthropic/v1/messages"),
        ("http://gate/v1/anthropic", "/v1/messages", "http://gate/v1/anthropic/v1/messages"),
        ("http://g/v1beta", "/v1beta/models/m:generateContent", "http://g/v1beta/models/m:generateContent"),
        ("http://g", "/v1beta/models/m:s?alt=sse", "http://g/v1beta/models/m:s?alt=sse"),
        ("http://g/v1", "/v1beta/models/m", "http://g/v1/v1beta/models/m"),
        ("http://g/v1beta", "/v1/messages", "http://g/v1beta/v1/messages"),
        ("http://g/models", "/models/m", "http://g/models/models/m"),
        ("http://v1", "/v1/messages", "http://v1/v1/messages"),
        ("https://a/openai?api-version=2", "/chat/completions", "https://a/openai/chat/completions?api-version=2"),
        ("https://a?x=1", "/v1beta/models/m:s?alt=sse", "https://a/v1beta/models/m:s?x=1&alt=sse"),
        ("https://u:p@a:8/v1#top", "/responses", "https://u:p@a:8/v1/responses"),
        ("http://g", "/v1beta/models/a%2Fb:s", "http://g/v1beta/models/a%2Fb:s"),
    ],
)
def test_join_url(base_url: str, path: str, url: str) -> None:
    assert join_url(base_url, path) == url


def test_usage_of_several_events_is_joined_field_by_field() -> None:
    first = Usage(source="provider", input_tokens=1810, cached_tokens=1800)
    last = Usage(source="provider", input_tokens=10, output_tokens=5, reasoning_tokens=0)
    joined = Usage(source="provider", input_tokens=1810, output_tokens=5, reasoning_tokens=0, cached_tokens=1800)
    assert merge_usage(first, last) == joined
    assert merge_usage(None, last) == merge_usage(last, None) == last
    assert merge_usage(None, None) is None
    shrunk = Usage(source="provider", output_tokens=4)
    assert merge_usage(joined, shrunk) == Usage(
        source="provider", input_tokens=1810, output_tokens=4, reasoning_tokens=0, cached_tokens=1800
    )
