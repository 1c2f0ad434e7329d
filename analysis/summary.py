"""The records of `summary.json`. `docs/summary.schema.json` is generated from them.

Times are seconds. `None` (null) means not measured or not measurable; 0 means zero.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from analysis.records.capacity_record import CapacitySearch, Diagnosis, Outliers, Relation, Scaling, Sweep, Trend
from analysis.records.comparison_record import Comparison
from analysis.records.quality_record import Quality, QualityUnderLoad
from analysis.records.record import Estimate, Interval
from analysis.records.reliability_record import Fit, Integrity, Outage, Provider, Recovery, Reliability, Survival
from harness.plan import Price
from harness.prices import Spend
from harness.records.sequential_record import SequentialRecord

# Besides what is defined here.
__all__ = ["Estimate", "Fit", "Integrity", "Interval", "Outage", "Provider", "Recovery", "Reliability", "Survival"]

SCHEMA = 1

Verdict = Literal["valid", "suspect", "invalid"]
Severity = Literal["note", "suspect", "invalid"]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the summary."""


class Dist(Part, frozen=True, kw_only=True):
    """A distribution over the requests of all repeats; a quantile with too few samples is null.

    `ci95` holds intervals by name of the statistic (mean, p50 ...): Student-t over the repeats' own values, so null
    (absent) with fewer than two repeats.
    """

    n: int
    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None
    ci95: dict[str, Interval] = {}
    cv: dict[str, float] = {}  # coefficient of variation of the repeats' own values, by statistic


class Finding(Part, frozen=True, kw_only=True):
    """A doubt about the run: what was seen, why it matters, what to do."""

    code: str
    severity: Severity
    saw: str
    why: str
    hint: str


class Validity(Part, frozen=True, kw_only=True):
    """Whether the run's numbers may be used, and every doubt about them."""

    verdict: Verdict
    findings: tuple[Finding, ...] = ()


class Batch(Part, frozen=True, kw_only=True):
    """Throughput of a workload that sends batches of texts or documents, or jobs of prompts.

    `items_per_s`: throughput x what a good request brings. `efficiency` = items/s at b / (b x items/s at batch 1);
    `versus_sequential` = items/s at b / items/s at batch 1;
    null without a batch of 1 to compare with.
    """

    size: int
    items_per_s: float | None
    efficiency: float | None = None
    versus_sequential: float | None = None


class Cost(Part, frozen=True, kw_only=True):
    """USD by `price`, which says where it is from and of which day. Formulas: docs/cost.md.

    `usd` is that of the `requests` whose usage the provider told; of `unknown_requests` more, which had a reply or a
    part of one, it is not known: then `usd` is too low. The figures per million tokens are all of `usd` over the tokens
    of the input, of the output, and of both; `cost_per_token` is the last one for a single token.
    `quality_per_dollar` = accuracy / USD for 1,000 requests.
    """

    usd: float
    requests: int
    unknown_requests: int = 0
    usd_per_request: float | None
    usd_per_1k_good: float | None
    usd_per_1m_input_tokens: float | None = None
    usd_per_1m_output_tokens: float | None
    usd_per_1m_tokens: float | None = None
    cost_per_token: float | None = None
    quality_per_dollar: float | None = None
    spend: Spend
    price: Price


class Tokens(Part, frozen=True, kw_only=True):
    """The output of the `replies` that ended ok, counted in every way there is.

    By the provider: `provider` replies have its usage, `estimated` one that is not the provider's, `missing` none.
    `billed` is what they add up to, `reasoning` the part that was thought, `visible` the rest. By the wire: content
    `events`, and the tokens sent per event (what was thought and not sent left out); where most replies have one token
    an event, `odd_replies` do not. By the text: visible `chars`, for each visible token, for each second of the window
    and, in `chars_per_s_user`, as one user sees them come (the median reply): units that tokenizers do not change.
    By ourselves: `local` tokens in `local_replies` whose text was kept, and their ratio to the provider's visible count
    of the same replies; null where `tokenizer` is not on this machine.
    """

    replies: int
    provider: int = 0
    estimated: int = 0
    missing: int = 0
    billed: int | None = None
    reasoning: int | None = None
    visible: int | None = None
    events: int = 0
    tokens_per_event: float | None = None
    odd_replies: int | None = None
    chars: int | None = None
    chars_per_token: float | None = None
    chars_per_s: float | None = None
    chars_per_s_user: float | None = None
    tokenizer: str | None = None
    local: int | None = None
    local_replies: int = 0
    local_ratio: float | None = None


class Resources(Part, frozen=True, kw_only=True):
    """What the client's workers used for 1,000 requests in the window: CPU-seconds and bytes received (of bodies);
    `rss_bytes` is the most memory that all of them held at once, as the sum of their peaks."""

    cpu_s_per_1k: float | None = None
    rss_bytes: int | None = None
    bytes_received_per_1k: float | None = None


class ServerTimes(Part, frozen=True, kw_only=True):
    """What the servers say that requests took, in seconds: all of it, until the headers, waiting, reading the prompt
    and making the output. `sources`: requests by where the server said so (a header, or a field of the reply)."""

    sources: dict[str, int] = {}
    total: Dist | None = None
    headers: Dist | None = None
    queue: Dist | None = None
    prompt: Dist | None = None
    output: Dist | None = None


class Window(Part, frozen=True, kw_only=True):
    """The steady window: from the end of the warm-up to the end of arrivals, in seconds after the cell's first arrival.
    The mean of the repeats."""

    begin_s: float
    end_s: float


class Goal(Part, frozen=True, kw_only=True):
    """A limit the plan set: `saw` is the measured value, `met` None when it was not measured."""

    text: str
    saw: float | None
    met: bool | None


class Repeat(Part, frozen=True, kw_only=True):
    """The figures of one repeat, on which the intervals rest."""

    repeat: int
    attempted: int
    window_s: float | None
    values: dict[str, float | None]  # such as ttft_s.p50, achieved_rps


class Turn(Part, frozen=True, kw_only=True):
    """One turn of the conversations of a result, counted from 1; means and medians over replies that were good.
    `cached_share`: of the input tokens those that the provider read from a cache (null: it does not tell)."""

    turn: int
    attempted: int
    ok: int
    input_tokens_mean: float | None = None
    cached_share: float | None = None
    ttft_p50_s: float | None = None
    e2e_p50_s: float | None = None


class Lengths(Part, frozen=True, kw_only=True):
    """Good replies whose output the provider counts, beside what was asked for: the mean cap, the mean output, and the
    share of replies that came within 2 % of their cap, or passed it."""

    replies: int
    asked_mean: float
    output_mean: float
    full_share: float


class Structured(Part, frozen=True, kw_only=True):
    """Whole replies that were to be JSON of a schema, and how many of them are."""

    replies: int
    valid: int
    valid_share: float


class Result(Part, frozen=True, kw_only=True):
    """One target under one workload at one stage, all repeats together.
    Warm-up is out of everything but `warmup_attempts`.

    Rates: `offered_rps` planned arrivals (null for a closed stage), `achieved_rps` sent, `completed_rps` ended ok,
    `goodput_rps` ended ok and within every SLO limit. `network_s` is E2E less the server's own total. `stamps` counts
    requests by who stamped the arrival of their bytes: the kernel, or this program (`user`). `limits_left`: the least
    part of the provider's limits on `requests` and `tokens` that was left, by its headers (absent: not told).
    Attempts with an injected fault are in everything but `reliability` and `integrity`.
    `speed_quality_ratio` = output tokens/s x accuracy; null where the answers are not graded.
    """

    target: str
    dialect: str | None = None
    model: str | None = None
    workload: str | None = None
    kind: str | None = None
    stage: int | None = None
    stage_label: str | None = None
    load: dict[str, Any] = {}  # what the stage was, in the plan's words
    request: dict[str, Any] = {}  # what the workload asks, in the plan's words
    repeats: int = 1
    attempted: int
    warmup_attempts: int = 0
    outcomes: dict[str, int] = {}
    errors: dict[str, int] = {}  # by kind
    error_classes: dict[str, int] = {}
    stamps: dict[str, int] = {}
    limits_left: dict[str, float] = {}
    window: Window | None = None
    window_s: float | None = None  # all repeats together
    offered_rps: float | None = None
    achieved_rps: float | None = None
    completed_rps: float | None = None
    goodput_rps: float | None = None
    output_tokens_per_s: float | None = None
    ramp_to_drain_tokens_per_s: float | None = None
    input_tokens_per_s: float | None = None
    tokens_per_event: float | None = None
    in_flight_mean: float | None = None
    ttft_s: Dist | None = None
    ttfo_s: Dist | None = None
    itl_s: Dist | None = None
    tpot_s: Dist | None = None
    e2e_s: Dist | None = None
    response_s: Dist | None = None
    lag_s: Dist | None = None
    connect_s: Dist | None = None
    server_s: ServerTimes | None = None
    turns: tuple[Turn, ...] = ()
    structured: Structured | None = None
    lengths: Lengths | None = None
    network_s: Dist | None = None
    input_tokens: Dist | None = None
    output_tokens: Dist | None = None
    reliability: Reliability | None = None
    recovery: Recovery | None = None
    integrity: Integrity | None = None
    batch: Batch | None = None
    scaling: Scaling | None = None
    quality: Quality | None = None
    cost: Cost | None = None
    tokens: Tokens | None = None
    resource_utilization: Resources | None = None
    speed_quality_ratio: float | None = None
    goals: tuple[Goal, ...] = ()
    outliers: tuple[Outliers, ...] = ()
    repeat_values: tuple[Repeat, ...] = ()


class Reconciliation(Part, frozen=True, kw_only=True):
    """Whether Locust's CSV and the samples tell the same story, for one Type and Name."""

    entry: str
    csv_requests: int | None
    samples_requests: int | None
    csv_failures: int | None
    samples_failures: int | None
    csv_median_ms: float | None
    samples_median_ms: float | None
    agree: bool


class Summary(Part, frozen=True, kw_only=True):
    """All numbers of one run."""

    schema: int = SCHEMA
    run: str
    plan: str | None
    source: Literal["samples", "locust-csv", "import"]
    started_utc: str | None = None
    duration_s: float | None = None
    ended: str | None = None  # complete, degraded, interrupted, died
    validity: Validity
    results: tuple[Result, ...]
    providers: tuple[Provider, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    search: CapacitySearch | None = None
    sequential: SequentialRecord | None = None
    relations: tuple[Relation, ...] = ()
    quality_under_load: tuple[QualityUnderLoad, ...] = ()
    trends: tuple[Trend, ...] = ()
    reconciliation: tuple[Reconciliation, ...] = ()
    slo: dict[str, float | None] = {}
    environment: dict[str, Any] = {}


def summary_schema() -> dict[str, Any]:
    """JSON Schema of summary.json."""
    schema = msgspec.json.schema(Summary)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "tokenswarm summary", **schema}
