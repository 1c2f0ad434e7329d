"""What the simulator can be told: frozen records, the built-in providers, and YAML or a mapping -> `Config`.

```yaml
seed: 7
keys: [sim-key]
providers:
  openai-sim: {capacity: 16}                       # a built-in one: only what is named changes
  slow-sim:                                        # one of your own, reached at http://HOST:PORT/slow-sim/...
    dialects: [openai-chat]
    ttft: {kind: lognormal, median_s: 0.9, sigma: 0.3}
    itl: 0.02                                      # a bare number is a constant
    limits: {rpm: 60}
    usl: {sigma: 0.05, kappa: 0.001}               # how it slows with load: docs/capacity.md
    faults:
      - {kind: status_503, start_s: 30, duration_s: 10}   # an outage
      - {kind: truncate, probability: 0.01}
      - {kind: timeout, outages: {up: {kind: exponential, mean_s: 120}, repair: 10}}
incidents:                                         # what strikes several at once
  - {providers: [openai-sim, slow-sim], fault: {kind: status_503, start_s: 60, duration_s: 5}, joins: 0.5}
port_faults: [{kind: tcp_refuse, start_s: 90, duration_s: 5}]
```
Times are in seconds. Every kind of fault, with an example: docs/faults.md.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from harness.errors import UsageFault
from harness.inputs.lengths import parse_length
from harness.inputs.plain_yaml import read_plain_yaml
from harness.plan import Count, Name, NotNegative, Positive, Record, Share
from harness.records.dialect_names import DialectName
from harness.simulator.bottlenecks import Bottlenecks
from harness.simulator.skill import Skill


class Constant(Record, frozen=True, kw_only=True, tag_field="kind", tag="constant"):
    """Always `value_s`. A bare number means the same."""

    value_s: NotNegative


class Lognormal(Record, frozen=True, kw_only=True, tag_field="kind", tag="lognormal"):
    """exp(N(ln `median_s`, `sigma`)): half of the draws lie below `median_s`."""

    median_s: Positive
    sigma: NotNegative


class Normal(Record, frozen=True, kw_only=True, tag_field="kind", tag="normal"):
    """N(`mean_s`, `sd_s`), negative draws taken as 0."""

    mean_s: NotNegative
    sd_s: NotNegative


class Exponential(Record, frozen=True, kw_only=True, tag_field="kind", tag="exponential"):
    """Times between events that know nothing of each other; `mean_s` is their mean."""

    mean_s: Positive


class Weibull(Record, frozen=True, kw_only=True, tag_field="kind", tag="weibull"):
    """Of mean `mean_s`. `shape` 1 is the exponential; below, few are very long; above, they lie near the mean."""

    mean_s: Positive
    shape: Annotated[float, msgspec.Meta(ge=0.2, le=100)]


Distribution = NotNegative | Constant | Lognormal | Normal | Exponential | Weibull

FaultKind = Literal[
    "status_500",
    "status_503",
    "status_529",
    "rate_limit",
    "auth_failure",
    "reset",
    "refuse",
    "truncate",
    "truncate_chunked",
    "error_event",
    "stall",
    "slow",
    "malformed_json",
    "html",
    "empty",
    "wrong_content_length",
    "timeout",
    "slow_headers",
    "huge_event",
    "swapped",
]
FAULT_HEADER = "x-sim-fault"  # a request that names a kind here has that fault
PortFaultKind = Literal["tcp_refuse", "close_at_accept"]


class Outages(Record, frozen=True, kw_only=True):
    """A seeded script of outages: an `up` time, a `repair` time, and so on; each lasts a millisecond at least.

    The same `seed` gives the same script wherever it stands. Without one it comes from the configuration's seed and
    the fault's place, so that no two faults share theirs.
    """

    up: Distribution
    repair: Distribution
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None


class Timing(Record, frozen=True, kw_only=True):
    """When a fault is active, in seconds after the server began to listen: from `start_s` on, always.

    With `duration_s` only so long, and again `every_s` where that is given. With `outages` in random spans.
    """

    start_s: NotNegative = 0.0
    duration_s: Positive | None = None
    every_s: Positive | None = None
    outages: Outages | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a schedule of both sorts."""
        if self.outages is not None and (self.duration_s is not None or self.every_s is not None):
            raise ValueError("`outages` does not go with `duration_s` or `every_s`")


class Fault(Timing, frozen=True, kw_only=True):
    """Something that goes wrong with a share of a provider's requests, always or for a time.

    status_500/503/529, rate_limit (429), auth_failure (401): an error reply. refuse: the request is read, the
    connection closed. reset: TCP RST. timeout: the request is read, and never answered. truncate: the stream ends in
    order as HTTP, without its own end marker. truncate_chunked: it stops without the terminating chunk. error_event:
    an error inside a stream of status 200. stall: nothing for `stall_s` (None: ever after). slow: every wait is
    `factor` times as long. slow_headers: status line and headers come a byte at a time, every `byte_s`.
    malformed_json: one event, or the body, is broken. huge_event: one event, or the body, is `event_bytes` long
    (None: it never ends), all of it legal. html: a web page with status 200. empty: an orderly reply without content.
    wrong_content_length: more bytes promised than sent. swapped: the reply is that to the request before it, which
    shows where prompts ask for a code (a workload's `echo`).

    Faults within a stream strike after `after_chunks` content events, or earlier in a short reply. Whether a fault
    strikes is decided when the request was read: replies that had begun by then are not struck.
    """

    kind: FaultKind
    probability: Share = 1.0
    after_chunks: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 3
    stall_s: Positive | None = None
    factor: Positive = 10.0
    byte_s: Positive = 0.25
    event_bytes: Annotated[int, msgspec.Meta(ge=1, le=2**40)] | None = None


class PortFault(Timing, frozen=True, kw_only=True):
    """Something that goes wrong before any request is read, and so for all providers, which share the server's port.

    tcp_refuse: nobody listens, so that the kernel refuses connections, and those that stand are reset: what a
    crashed server looks like. close_at_accept: each new connection is closed at once.
    """

    kind: PortFaultKind


class Incident(Record, frozen=True, kw_only=True):
    """One fault of several providers, on one schedule. The first provider is struck each time the fault comes, each
    of the others with the probability `joins`, drawn once for every time it comes."""

    providers: Annotated[tuple[Name, ...], msgspec.Meta(min_length=2)]
    fault: Fault
    joins: Share = 1.0


class Limits(Record, frozen=True, kw_only=True):
    """What all clients together may use: requests and tokens (input and output) a minute, requests at a time."""

    rpm: Count | None = None
    tpm: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] | None = None
    concurrency: Count | None = None


class Provider(Bottlenecks, frozen=True, kw_only=True):
    """One simulated provider.

    `ttft` is the time from the whole request read to the first content event; `itl` the time of each further
    output token (a chunk of k tokens comes after k times one draw). Response headers and events before the
    content are sent at `headers_share` of the time to first content. Replies that are not streamed come at
    once, when the stream would have ended; embeddings and rankings after `ttft` and `per_item_s` for each item.

    What holds it up (load, a line, replicas ...) stands in `Bottlenecks`.

    `reasoning_tokens` are the part of the output that is thought before the answer, sent as reasoning events, or
    in silence when `show_reasoning` is false. Replies run to the request's cap (`default_output_tokens` without
    one) unless `reply_tokens` gives a length of their own: `80`, `N(80,20)` or `U(10,200)`.
    `cached_share` of each prompt is read from a cache; with `prefix_cache` it is what was sent or said before, message
    by message from the beginning of a conversation. `invalid_json` is the share of structured replies that are broken.
    `keys` replace the server's; an empty list lets everybody in. With `skill` it answers graded questions that it
    finds in its set; other prompts are answered as ever.

    Jobs of its batch endpoint are worked on by `batch_workers`, for all jobs together and in the order in which they
    came, each prompt `batch_speed` times as fast as it would be answered by itself.
    """

    name: Name
    dialects: Annotated[tuple[DialectName, ...], msgspec.Meta(min_length=1)]
    keys: tuple[str, ...] | None = None
    ttft: Distribution = 0.1
    itl: Distribution = 0.01
    headers_share: Share = 0.5
    prefill_s_per_input_token: NotNegative = 0.0
    per_item_s: NotNegative = 0.0
    tokens_per_chunk: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    reasoning_tokens: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    show_reasoning: bool = True
    cached_share: Share = 0.0
    prefix_cache: bool = False
    invalid_json: Share = 0.0
    default_output_tokens: Count = 128
    reply_tokens: int | str | None = None
    batch_workers: Count = 32
    batch_speed: Positive = 1.0
    limits: Limits = Limits()
    skill: Skill | None = None
    faults: tuple[Fault, ...] = ()


_TTFT, _ITL = Lognormal(median_s=0.150, sigma=0.15), Lognormal(median_s=0.010, sigma=0.15)
_PLAIN: tuple[tuple[str, tuple[DialectName, ...]], ...] = (
    ("azure-sim", ("azure-openai",)),
    ("bedrock-sim", ("bedrock-converse",)),
    ("vertex-sim", ("vertex",)),
    ("cohere-sim", ("cohere-chat",)),
    ("mistral-sim", ("mistral",)),
    ("ollama-sim", ("ollama",)),
    ("tei-sim", ("tei-embeddings", "tei-rerank")),
    ("infinity-sim", ("infinity-embeddings", "infinity-rerank")),
)
BUILT_IN = (
    Provider(
        name="openai-sim",
        dialects=("openai-chat", "openai-responses", "openai-embeddings", "openai-batches"),
        ttft=Lognormal(median_s=0.120, sigma=0.15),
        itl=Lognormal(median_s=0.008, sigma=0.15),
        prefill_s_per_input_token=0.00002,
        per_item_s=0.001,
        capacity=64,
    ),
    Provider(
        name="anthropic-sim",
        dialects=("anthropic-messages", "anthropic-batches"),
        ttft=Lognormal(median_s=0.180, sigma=0.12),
        itl=Lognormal(median_s=0.012, sigma=0.12),
        prefill_s_per_input_token=0.00003,
        capacity=48,
    ),
    Provider(
        name="google-sim",
        dialects=("google-generate", "google-batches"),
        ttft=Lognormal(median_s=0.090, sigma=0.20),
        itl=Lognormal(median_s=0.006, sigma=0.20),
        prefill_s_per_input_token=0.00001,
        tokens_per_chunk=4,
        capacity=96,
    ),
    Provider(
        name="jina-sim",
        dialects=("jina-embeddings", "jina-rerank"),
        ttft=Lognormal(median_s=0.040, sigma=0.10),
        per_item_s=0.002,
        capacity=32,
    ),
    *(
        Provider(name=name, dialects=dialects, ttft=_TTFT, itl=_ITL, per_item_s=0.002, capacity=48)
        for name, dialects in _PLAIN
    ),
)


class Config(Record, frozen=True, kw_only=True):
    """A whole simulator. Requests without a provider's name in their path go to the first that speaks the dialect."""

    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    keys: tuple[str, ...] = ("sim-key",)
    providers: tuple[Provider, ...] = BUILT_IN
    incidents: tuple[Incident, ...] = ()
    port_faults: tuple[PortFault, ...] = ()
    max_body_bytes: Annotated[int, msgspec.Meta(ge=1, le=2**30)] = 32 * 2**20


_RESERVED = ("v1", "v1beta", "healthz")
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]")
T = TypeVar("T")
_HINT = "the keys a simulator may have are described in harness/simulator/config.py"


def load_config(path: Path | None) -> Config:
    """Read a YAML file; None gives the built-in providers. Raises UsageFault."""
    if path is None:
        return Config()
    mapping = read_plain_yaml(path, _HINT)
    return config_from({} if mapping is None else mapping, str(path))


def config_from(mapping: Any, place: str = "simulator") -> Config:
    """The configuration in a mapping, such as a plan's `simulator`; `place` begins error messages.

    Built-in providers stay, changed by what is given under their names. Raises UsageFault.
    """
    if not isinstance(mapping, dict):
        raise UsageFault(f"{place}: {type(mapping).__name__}: a simulator's configuration is a mapping", _HINT)
    own = _providers(mapping.get("providers"), place)
    base = {provider.name: msgspec.to_builtins(provider) for provider in BUILT_IN}
    merged = {name: {**base.get(name, {}), **fields} for name, fields in (base | own).items()}
    providers = tuple(_provider(fields, f"{place}: providers.{name}") for name, fields in merged.items())
    config = _convert({**mapping, "providers": []}, Config, place)
    for number, incident in enumerate(config.incidents):
        _check_named(incident.providers, merged.keys(), f"{place}: incidents[{number}].providers")
    return msgspec.structs.replace(config, providers=providers)


def _check_named(names: Sequence[str], known: Collection[str], place: str) -> None:
    for name in names:
        if name not in known:
            raise UsageFault(f"{place}: {name!r}: no such provider", f"name some of {', '.join(known)}")
        if names.count(name) > 1:
            raise UsageFault(f"{place}: {name!r}: stands twice", "name each provider once")


def _providers(given: Any, place: str) -> dict[str, dict[str, Any]]:
    """The providers' raw fields by name, from a mapping or a list."""
    if given is None:
        return {}
    if isinstance(given, dict):
        given = [{**(fields or {}), "name": name} if isinstance(fields, dict | None) else fields
                 for name, fields in given.items()]  # fmt: skip
    if not isinstance(given, list) or not all(isinstance(one, dict) and "name" in one for one in given):
        raise UsageFault(f"{place}: providers: {type(given).__name__}: a mapping by name, or a list with names", _HINT)
    named = {str(one["name"]): one for one in given}
    if len(named) < len(given):
        raise UsageFault(f"{place}: providers: {sorted(named)}: a name stands twice", "give each its own name")
    return named


def _provider(fields: dict[str, Any], place: str) -> Provider:
    provider = _convert(fields, Provider, place)
    if provider.name in _RESERVED:
        raise UsageFault(f"{place}: {provider.name}: is a path of the server itself", "choose another name")
    if provider.reply_tokens is not None:
        try:
            parse_length(provider.reply_tokens)
        except ValueError as fault:
            raise UsageFault(
                f"{place}.reply_tokens: {provider.reply_tokens!r}: {fault}", "write 80 or N(80,20)"
            ) from fault
    return provider


def _convert(value: Any, wanted: type[T], place: str) -> T:
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError as fault:
        rule, _, path = str(fault).partition(" - at `$")
        for name, index in _STEP.findall(path):
            value = value[int(index)] if index else value.get(name)
        where = path.rstrip("`").lstrip(".")
        hidden = isinstance(value, dict | list) or "keys" in where
        shown = "" if hidden else f"{value!r}: "
        joint = "." if ": " in place else ": "
        raise UsageFault(f"{place}{where and joint + where}: {shown}{rule}", _HINT) from fault
