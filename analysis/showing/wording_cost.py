"""How tokens and money are worded, in the terminal and in the report alike."""

from __future__ import annotations

from collections.abc import Callable

from analysis.summary import Cost, Resources, Result, Summary, Tokens
from analysis.wording import NOTHING, digits, number
from harness.prices import price_words


def count(value: float | None) -> str:
    """A count with its thousands told apart."""
    return NOTHING if value is None else f"{value:,.0f}"


def dollars(value: float | None) -> str:
    """US dollars with three digits, however few they are."""
    return NOTHING if value is None else f"${digits(value)}" if value else "$0"


def _of_tokens(cell: Callable[[Tokens], str]) -> Callable[[Result], str]:
    return lambda result: NOTHING if result.tokens is None else cell(result.tokens)


def _of_cost(cell: Callable[[Cost], str]) -> Callable[[Result], str]:
    return lambda result: NOTHING if result.cost is None else cell(result.cost)


def _of_client(cell: Callable[[Resources], str]) -> Callable[[Result], str]:
    return lambda result: NOTHING if result.resource_utilization is None else cell(result.resource_utilization)


def _part(usd: float) -> str:
    return dollars(usd) if usd else NOTHING


TOKEN_COLUMNS: dict[str, Callable[[Result], str]] = {
    "tokens out": _of_tokens(lambda found: count(found.billed)),
    "visible": _of_tokens(lambda found: count(found.visible) if found.reasoning else NOTHING),
    "reasoning": _of_tokens(lambda found: count(found.reasoning) if found.reasoning else NOTHING),
    "events": _of_tokens(lambda found: count(found.events) if found.events else NOTHING),
    "local": _of_tokens(lambda found: NOTHING if found.local_ratio is None else f"{100 * found.local_ratio:.0f} %"),
    "tok/event": _of_tokens(lambda found: number(found.tokens_per_event)),
    "char/tok": _of_tokens(lambda found: number(found.chars_per_token)),
    "char/s": _of_tokens(lambda found: number(found.chars_per_s)),
    "char/s/user": _of_tokens(lambda found: number(found.chars_per_s_user)),
}
COST_COLUMNS: dict[str, Callable[[Result], str]] = {
    "USD": _of_cost(lambda found: dollars(found.usd)),
    "input": _of_cost(lambda found: _part(found.spend.input_usd)),
    "cached": _of_cost(lambda found: _part(found.spend.input_cached_usd)),
    "cache write": _of_cost(lambda found: _part(found.spend.input_cache_write_usd)),
    "output": _of_cost(lambda found: _part(found.spend.output_usd)),
    "thought": _of_cost(lambda found: _part(found.spend.reasoning_usd)),
    "requests": _of_cost(lambda found: _part(found.spend.requests_usd)),
    "USD/req": _of_cost(lambda found: dollars(found.usd_per_request)),
    "USD/1k good": _of_cost(lambda found: dollars(found.usd_per_1k_good)),
    "USD/1M tok": _of_cost(lambda found: dollars(found.usd_per_1m_tokens)),
}
RESOURCE_COLUMNS: dict[str, Callable[[Result], str]] = {
    "CPU-s/1k req": _of_client(lambda found: number(found.cpu_s_per_1k)),
    "memory": _of_client(lambda found: NOTHING if found.rss_bytes is None else f"{found.rss_bytes / 1e6:,.0f} MB"),
    "MB in/1k req": _of_client(lambda found: number(None if (n := found.bytes_received_per_1k) is None else n / 1e6)),
}


def price_lines(summary: Summary) -> list[str]:
    """Each price with the targets that have it and where it is from, in a line."""
    prices: dict[str, list[str]] = {}
    for target, price in {result.target: result.cost.price for result in summary.results if result.cost}.items():
        prices.setdefault(price_words(price), []).append(target)
    return [f"price of {', '.join(targets)}: {words}" for words, targets in prices.items()]
