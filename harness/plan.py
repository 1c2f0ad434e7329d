"""The plan: what to measure, as frozen typed records.

`harness.plan_file` reads these records from YAML; `docs/plan.schema.json` is generated from them.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

import msgspec

from harness.records.alert_record import AlertConfig
from harness.records.dialect_names import KIND_OF_DIALECT, DialectName, Kind

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]

Arrival = Literal["constant", "poisson", "gamma", "trace"]
TraceFormat = Literal["azure", "burstgpt", "mooncake"]

SIMULATED = "sim://"


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a plan: immutable, and an unknown key is an error."""


class Price(Record, frozen=True, kw_only=True):
    """USD per million tokens, as billed, and where the price is from.

    `input_cached` is for input tokens read from a cache, `input_cache_write` for those written to one (None: as
    `input`), `reasoning` for output tokens that were thought (None: as `output`). `batch_factor` multiplies all of
    these for batch jobs (None: they cost the same). `per_request_usd` is paid for each answered request. Of a request
    with more than `up_to_input_tokens` of input the price is not known. `source` None: somebody wrote it in the plan.
    """

    input: NotNegative
    output: NotNegative = 0.0
    input_cached: NotNegative | None = None
    input_cache_write: NotNegative | None = None
    reasoning: NotNegative | None = None
    batch_factor: Share | None = None
    per_request_usd: NotNegative = 0.0
    up_to_input_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    source: str | None = None
    as_of: date | None = None


class Limits(Record, frozen=True, kw_only=True):
    """What all workers together may ask of a target: requests and tokens a minute, evenly spaced, and requests under
    way. A request counts with the tokens of its prompt (one for 4 characters) and the cap of its reply. `pace` keeps
    them just under what the provider itself allows, as its headers tell and its refusals teach."""

    rpm: Positive | None = None
    tpm: Positive | None = None
    concurrency: Count | None = None
    pace: bool = False


class Polling(Record, frozen=True, kw_only=True):
    """How often a job is asked for that a provider works on: `first_s` after it was created, then each time a tenth
    later than before, at most every `most_s`. So the end of a job is known to about a tenth of what it took."""

    first_s: Positive = 0.5
    most_s: Positive = 30.0


EnvironmentName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Aws(Record, frozen=True, kw_only=True):
    """How requests to AWS are signed (SigV4): the variables that hold the id of the key whose secret `key_env` names,
    and the token of a session (None, or not set: the key is no temporary one). `region` None: it is in the host's name.
    """

    key_id_env: EnvironmentName = "AWS_ACCESS_KEY_ID"
    session_token_env: EnvironmentName | None = "AWS_SESSION_TOKEN"  # noqa: S105  (a name)
    region: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{3,32}$")] | None = None


class Target(Record, frozen=True, kw_only=True):
    """An endpoint to measure.

    `base_url` is what an official SDK would take, or `sim://NAME` for a provider of the embedded simulator.
    `key_env` names the environment variable that holds the key; None sends no key.
    `body` holds further fields for the request's JSON body (of a job: of each prompt's), `headers` further headers,
    `query` further fields for the query of its URL, such as Azure's `api-version`. `aws` signs requests to AWS.
    `price` None: that of a table of prices, if one has it. `tokenizer` counts replies whose text is kept once more: an
    encoding of tiktoken, or the path of a `tokenizer.json` (None: what tiktoken knows for the model, of the dialects
    of OpenAI).
    """

    name: Name
    dialect: DialectName
    base_url: str
    model: Annotated[str, msgspec.Meta(min_length=1)]
    key_env: EnvironmentName | None = None
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    body: dict[str, Any] = {}
    aws: Aws | None = None
    price: Price | None = None
    tokenizer: str | None = None
    limits: Limits = Limits()
    polling: Polling = Polling()

    @property
    def kind(self) -> Kind:
        """What the dialect does: chat, embeddings, rerank, or batch (chats as a job)."""
        return KIND_OF_DIALECT[self.dialect]

    @property
    def simulated(self) -> bool:
        """Whether the embedded simulator plays this target."""
        return self.base_url.startswith(SIMULATED)


Scenario = Literal["timeout", "rate_limit", "auth_failure"]


class Inject(Record, frozen=True, kw_only=True):
    """A fault that is made to happen, so that the recovery from it can be measured: for `duration_s`, from `start_s`
    after the stage's warm-up on, to every attempt that is sent then.

    A simulated target has the fault itself. With a real one the client makes it: `timeout` gives each attempt up after
    a millisecond, `auth_failure` sends a wrong key; `rate_limit` cannot be made, and its stage is left out.
    """

    kind: Scenario
    start_s: NotNegative = 0.0
    duration_s: Positive


class Stage(Record, frozen=True, kw_only=True):
    """A span of load: closed (`concurrency` users, each sends when its last reply ended) or open (`rate_rps`
    arrivals a second, whether or not replies have come). `duration_s` follows the warm-up.

    A ramp goes evenly from `concurrency` to `end_concurrency`, or from `rate_rps` to `end_rate_rps`, over warm-up
    and duration. Steps, spikes and soaks are stages one after another.
    `burstiness` is the shape of gamma-distributed gaps: 1 is Poisson, below 1 comes in bursts, above 1 is more even.
    `trace` is a file of arrivals (`arrival: trace`), sped up by `trace_speed`; see `harness/workloads/traces.py`.
    Of an open stage, arrivals that find `max_in_flight` requests under way (all workers together) wait, and those
    that could not be sent within `max_lag_s` of their due time are dropped. `inject` makes a fault happen in an open
    stage. `goals` are those of this stage alone, beside those of its workload.
    """

    duration_s: Positive
    name: Name | None = None
    concurrency: Count | None = None
    end_concurrency: Count | None = None
    rate_rps: Positive | None = None
    end_rate_rps: Positive | None = None
    arrival: Arrival = "constant"
    burstiness: Positive = 1.0
    trace: str | None = None
    trace_format: TraceFormat | None = None
    trace_speed: Positive = 1.0
    max_in_flight: Count = 1000
    max_lag_s: Positive = 1.0
    warmup_s: NotNegative | None = None
    inject: Inject | None = None
    goals: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Whether arrivals follow a schedule, rather than replies."""
        return self.concurrency is None

    @property
    def label(self) -> str:
        """The stage's name, or what load it is."""
        if self.name:
            return self.name
        if self.concurrency is not None:
            return f"{_range(self.concurrency, self.end_concurrency)} users"
        return "trace" if self.rate_rps is None else f"{_range(self.rate_rps, self.end_rate_rps)}/s {self.arrival}"


def _range(begin: float, end: float | None) -> str:
    return f"{begin:g}" if end is None else f"{begin:g} to {end:g}"


class Images(Record, frozen=True, kw_only=True):
    """Pictures beside each prompt of a chat: PNGs made here, each of its own (`url` None), or one that the provider
    fetches from `url`."""

    count: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    width: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 256
    height: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 256
    url: Annotated[str, msgspec.Meta(pattern=r"^https?://")] | None = None


class Workload(Record, frozen=True, kw_only=True):
    """What each request asks for.

    Lengths are in tokens: `256`, `N(480,120)` (normal: mean, standard deviation) or `U(100,400)` (uniform).
    `output_tokens` caps the reply. `batch` is how many texts an embeddings request holds, how many documents a rerank
    request ranks, or how many prompts a job has (kind `batch`: chats through a provider's batch endpoint).
    `prefix_share` is the part of a prompt that all prompts share (what a provider may cache). `echo` has each prompt of
    a chat ask for a code of its own, and proves by it that the reply belongs to the request. `goals` are limits that
    the report shows as met or missed, such as `e2e_s.p95 < 2`.

    With `questions` the prompts of a chat are graded questions (see docs/quality.md): `own` or `own:200` (made here),
    a file, or `hf:REPO/CONFIG@SPLIT`; `input_tokens` then means nothing. Each prompt is asked `ask_times` in a row, so
    that its replies can be compared with each other. The text of replies is kept where either is asked for, and with
    `keep_text`.

    Of a chat: with `turns` the users of a closed stage hold conversations of so many turns, each of `input_tokens` and
    with all that was said before. `conversations` is a file of recorded ones, whose users' words are asked (at most
    `turns` of each); `input_tokens` then means nothing. `nonce` begins each prompt with a word of its own, of this run
    alone, so that no cache of anybody's helps. `images` stand beside each prompt; one of `tools` functions has to be
    called; with `structured` the reply has to be JSON of a schema, and is judged by it. See docs/workloads.md.
    """

    kind: Kind = "chat"
    name: Name = "default"
    input_tokens: int | str = 256
    output_tokens: int | str = 256
    stream: bool = True
    unique_prompts: bool = True
    prefix_share: Share = 0.0
    temperature: NotNegative | None = 0.0
    batch: Count = 1
    echo: bool = False
    questions: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    ask_times: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    keep_text: bool = False
    turns: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    conversations: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    nonce: bool = False
    images: Images | None = None
    tools: Annotated[int, msgspec.Meta(ge=0, le=128)] = 0
    structured: bool = False
    goals: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = ()

    @property
    def keeps_text(self) -> bool:
        """Whether samples hold the text of their replies."""
        return self.keep_text or self.questions is not None or self.ask_times > 1

    @property
    def needs_text(self) -> bool:
        """Whether the text of replies is needed while the load goes on or afterwards."""
        return self.keeps_text or self.turns > 1 or self.structured


class Slo(Record, frozen=True, kw_only=True):
    """Limits that a good request meets all together. `availability` is a limit on the target, not a request."""

    ttft_s: Positive | None = None
    tpot_s: Positive | None = None
    e2e_s: Positive | None = None
    availability: Share | None = None


class Budget(Record, frozen=True, kw_only=True):
    """What the whole run may use: USD by the targets' prices, and requests. It stops before passing either limit."""

    usd: Positive | None = None
    requests: Count | None = None


class Quality(Record, frozen=True, kw_only=True):
    """Who helps to judge replies whose text was kept, after the load is over: `embedder`, a target of the plan that
    makes embeddings, tells how alike replies are in meaning; `judge`, a chat target, marks at most `judged` replies of
    each target and workload. Both are asked by `tokenswarm grade`, which a run does at its end."""

    embedder: Name | None = None
    judge: Name | None = None
    judged: Count = 30


class Timeouts(Record, frozen=True, kw_only=True):
    """When an attempt is given up: to connect, between two bytes of a response, and in all."""

    connect_s: Positive = 10.0
    read_s: Positive = 60.0
    total_s: Positive = 600.0


class OutageRule(Record, frozen=True, kw_only=True):
    """When a provider counts as down, as degraded and as throttled. See docs/reliability.md.

    Down: from the first of `k` consecutive provider failures to the first of `k` successes; with `failure_ratio` also
    when so many of the attempts of the last `window_s` failed. Degraded: `k` consecutive replies that took more than
    `slow_factor` times the baseline, which is `baseline_s` or else the median. Throttled: refusals for too high a rate
    that are less than `window_s` apart.
    """

    k: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 3
    failure_ratio: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    window_s: Positive = 10.0
    slow_factor: Annotated[float, msgspec.Meta(gt=1, le=1e6)] = 3.0
    baseline_s: Positive | None = None


class Plan(Record, frozen=True, kw_only=True):
    """The whole plan. `workloads` may be written as one `workload`.

    `scale` multiplies the length of every stage, warm-up and injected fault: 0.02 makes 36 s of half an hour. A
    resolved plan has it done, and is at scale 1.
    """

    name: Name
    targets: Annotated[tuple[Target, ...], msgspec.Meta(min_length=1)]
    workloads: Annotated[tuple[Workload, ...], msgspec.Meta(min_length=1)]
    stages: tuple[Stage, ...] = ()
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    repeats: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 3
    scale: Annotated[float, msgspec.Meta(ge=1e-4, le=1e4)] = 1.0
    warmup_s: NotNegative = 5.0
    drain_s: NotNegative = 30.0
    timeouts: Timeouts = Timeouts()
    slo: Slo = Slo()
    outage: OutageRule = OutageRule()
    budget: Budget = Budget()
    quality: Quality = Quality()
    simulator: dict[str, Any] = {}
    alerts: AlertConfig = AlertConfig()

    @property
    def wants_grading(self) -> bool:
        """Whether it names somebody who judges replies, and keeps replies that could be judged."""
        helped = self.quality.embedder is not None or self.quality.judge is not None
        return helped and any(workload.keeps_text for workload in self.workloads)
