"""What tokens cost: tables of prices, which of them a target has, and the USD of a usage.

A table is YAML, see docs/cost.md; one is shipped (`harness/prices.yaml`). A price that the plan gives to a target wins
over a table, a table of the user's over the shipped one. Simulated targets cost nothing and so get no table's price.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from harness.errors import UsageFault
from harness.inputs.plain_yaml import plain_yaml, read_plain_yaml
from harness.plan import Plan, Price, Record, Share, Target
from harness.sample import Usage

PLAN = "plan"  # the source of a price that stands in a plan
_SHIPPED = "shipped table"
_BATCHES = "-batches"
# What a provider appends to a model's name for one version of it.
_VERSION = re.compile(r"[-@]\d{8}|-\d{4}-\d{2}-\d{2}|-\d{3}|-latest")


class Spend(msgspec.Struct, frozen=True, kw_only=True):
    """USD by what they are paid for: input (fresh, read from a cache, written to one), output (visible, thought), and
    what a request costs whatever its length."""

    input_usd: float = 0.0
    input_cached_usd: float = 0.0
    input_cache_write_usd: float = 0.0
    output_usd: float = 0.0
    reasoning_usd: float = 0.0
    requests_usd: float = 0.0

    @property
    def usd(self) -> float:
        """All of it."""
        tokens = self.input_usd + self.input_cached_usd + self.input_cache_write_usd + self.output_usd
        return tokens + self.reasoning_usd + self.requests_usd


class Listed(Record, frozen=True, kw_only=True):
    """The price list of one provider, as it stood on a day (a price in it may have another). It is for dialects of
    these names (`*` is a wildcard) on these hosts (none named: on every host), since the same model may cost something
    else elsewhere."""

    provider: str
    as_of: date
    source: str
    dialects: tuple[str, ...] = ("*",)
    hosts: tuple[str, ...] = ()
    batch_factor: Share | None = None
    models: dict[str, Price]


def factor_of(price: Price, dialect: str) -> float:
    """What tokens cost through a dialect, over what the price says of a token: jobs may be cheaper."""
    return 1.0 if price.batch_factor is None or not dialect.endswith(_BATCHES) else price.batch_factor


def spend_of(price: Price, dialect: str, usage: Usage, requests: int = 1) -> Spend:
    """What a usage costs, or the usages of several requests together. It is the provider's own, as every dialect gives
    it: cached and cache-written tokens are parts of the input, reasoning is a part of the output."""
    factor = factor_of(price, dialect)
    tokens_in, tokens_out = usage.input_tokens or 0, usage.output_tokens or 0
    cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
    thought = min(usage.reasoning_tokens or 0, tokens_out)

    def usd(tokens: int, per_million: float, special: float | None = None) -> float:
        return factor * tokens * (per_million if special is None else special) / 1e6

    return Spend(
        input_usd=usd(max(0, tokens_in - cached - written), price.input),
        input_cached_usd=usd(cached, price.input, price.input_cached),
        input_cache_write_usd=usd(written, price.input, price.input_cache_write),
        output_usd=usd(tokens_out - thought, price.output),
        reasoning_usd=usd(thought, price.output, price.reasoning),
        requests_usd=requests * price.per_request_usd,
    )


def usd_of(target: Target, usage: Usage | None) -> float | None:
    """What a request has cost; None where the price or the provider's count is not known."""
    price = target.price
    if price is None or usage is None or usage.source != "provider":
        return None
    if usage.input_tokens is None and (price.input > 0 or usage.output_tokens is None):
        return None
    if price.up_to_input_tokens is not None and (usage.input_tokens or 0) > price.up_to_input_tokens:
        return None
    return spend_of(price, target.dialect, usage).usd


def most_usd(target: Target, input_tokens: int, output_tokens: int) -> float:
    """The most that a request of such a length can cost, whatever is cached or thought; 0 without a price."""
    price = target.price
    if price is None:
        return 0.0
    dearest_in = max(price.input, price.input_cached or 0.0, price.input_cache_write or 0.0)
    dearest = msgspec.structs.replace(price, input=dearest_in, output=max(price.output, price.reasoning or 0.0))
    usage = Usage(source="estimated", input_tokens=input_tokens, output_tokens=output_tokens)
    return spend_of(dearest, target.dialect, usage).usd


def priced(plan: Plan, file: Path | None = None, *, shipped: bool = True) -> Plan:
    """The plan with the price of every target that has one: its own, else that of the user's table (`file`), else that
    of the shipped one; each says where it is from. Raises UsageFault for a table that cannot be read."""
    tables = [] if file is None else read_prices(file)
    fallback = read_prices(None) if shipped else []

    def settled(target: Target) -> Target:
        given = target.price
        if given is not None and given.source in (None, PLAN):
            return msgspec.structs.replace(target, price=msgspec.structs.replace(given, source=PLAN))
        found = _listed(target, tables) or given or _listed(target, fallback)
        return msgspec.structs.replace(target, price=found)

    return msgspec.structs.replace(plan, targets=tuple(settled(target) for target in plan.targets))


def read_prices(file: Path | None) -> list[Listed]:
    """The price lists in a YAML file; None: the shipped ones. Raises UsageFault."""
    place, hint = _SHIPPED if file is None else file.name, "docs/cost.md shows one"
    if file is None:
        document = plain_yaml(files("harness").joinpath("prices.yaml").read_text("utf-8"), place)
    else:
        document = read_plain_yaml(file, hint, "a table of prices")
    try:
        found = msgspec.convert(document, list[Listed])
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        raise UsageFault(f"{file}: not a table of prices: {' '.join(str(error).split())}", hint) from error
    return [msgspec.structs.replace(each, source=f"{place}, {each.provider}: {each.source}") for each in found]


def _listed(target: Target, tables: Sequence[Listed]) -> Price | None:
    """The price under the longest name that fits a target's model, in the lists that are for its dialect and host."""
    if target.simulated:
        return None
    host = urlsplit(target.base_url).hostname
    fitting = [
        (len(name), table, price)
        for table in tables
        if not table.hosts or host in table.hosts
        if any(fnmatchcase(target.dialect, each) for each in table.dialects)
        for name, price in table.models.items()
        if _names(name, target.model.removeprefix("models/"))
    ]
    if not fitting:
        return None
    _, table, price = max(fitting, key=lambda each: each[0])
    factor = table.batch_factor if price.batch_factor is None else price.batch_factor
    return msgspec.structs.replace(price, batch_factor=factor, source=table.source, as_of=price.as_of or table.as_of)


def _names(name: str, model: str) -> bool:
    """Whether a name in a table (`*` is a wildcard) means a model, or one version of it: never another that merely
    begins alike, as gpt-4.1-nano does with gpt-4.1."""
    return fnmatchcase(model, name) or (
        model.startswith(name) and _VERSION.fullmatch(model.removeprefix(name)) is not None
    )


def price_of(target: Target) -> str:
    """A target's price for people, or that it has none."""
    if target.price is not None:
        return price_words(target.price)
    return "none: it is simulated" if target.simulated else f"unknown for {target.dialect}, model {target.model}"


def price_words(price: Price) -> str:
    """A price and where it is from."""
    parts = (
        ("in", price.input),
        ("cached", price.input_cached),
        ("cache write", price.input_cache_write),
        ("out", price.output),
        ("reasoning", price.reasoning),
    )
    each = ", ".join(f"{name} {usd:g}" for name, usd in parts if usd is not None)
    fee = f", {price.per_request_usd:g} a request" if price.per_request_usd else ""
    dated = "" if price.as_of is None else f", as of {price.as_of}: check before use"
    return f"USD per 1M tokens: {each}{fee} ({price.source or PLAN}{dated})"
