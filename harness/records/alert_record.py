"""What alerts are made of: rules and sinks as a file says them, what is measured, states, events, and what people do.

The lines of `alerts.jsonl` are `AlertEvent`, those of `alert_actions.jsonl` `AlertAction`; `alert_states.json` holds
every `Episode`. Times `_wall_s` are seconds since 1970, and `_utc` the same for people.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec

Severity = Literal["info", "warning", "critical"]
Phase = Literal["pending", "firing", "resolved"]  # of an episode
NoData = Literal["keep", "resolve", "fire"]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Pause = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Limit = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
Ratio = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Glob = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Variable = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Argument = Annotated[str, msgspec.Meta(max_length=4096, pattern=r"^[^\x00]*$")]

WINDOWS = ("10s", "1m", "10m")
WINDOW = "1m"  # of a metric that names none
WINDOWED = {
    **{
        f"{what}.{quantile}": f"{what}, {quantile}, seconds"
        for what in ("ttft", "itl", "tpot", "e2e")
        for quantile in ("p50", "p95", "p99")
    },
    "error_ratio": "failed attempts of all attempts, 0 to 1",
    "throttled_ratio": "throttled attempts of all attempts, 0 to 1",
    "availability": "1 - provider failures of all attempts that were not throttled, 0 to 1",
    "attempted": "attempts that ended in the window",
    "completed_rps": "completed requests a second",
    "goodput_rps": "requests a second that met every limit of the SLO",
    "output_tokens_per_s": "tokens of replies a second",
}  # metrics of a sliding window, named such as `ttft.p95@10s`
PLAIN = {
    "failures_in_row": "provider failures since the last success, up to now",
    "refusals_in_row": "attempts since the last success that were refused or useless for another reason, up to now",
    "silence_s": "seconds since the last sample",
    "spend_usd": "USD spent so far",
    "spend_share": "the part of the budget that is used, 0 to 1; only where there is a budget",
    "validity": "of the measuring client: 0 valid, 1 suspect, 2 invalid",
    "burn.fast": "how fast the error budget is used: times the rate that would just use it up; the fastest pair",
    "burn.slow": "the same over the slowest pair of windows",
    "budget_left": "the part of the error budget that is left; negative when overspent",
    **{
        f"degradation.{what}": f"1 where {what} is confirmed to have got worse than its baseline, else 0"
        for what in ("ttft", "itl", "tpot", "e2e", "error_ratio", "throttled_ratio")
    },
    "sink_failing_s": "how long a sink has failed; the target is the sink's name",
}  # metrics without a window


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a rule file: immutable, and an unknown key is an error."""


class Rule(Part, frozen=True, kw_only=True):
    """When something is wrong: `metric` is `above` or `below` a number, without a break for `for_s`.

    It is over once the metric was on the right side of `resolve_at` (None: of the limit itself) for `resolve_after_s`.
    `target` and `workload` are globs (None: all). A value of a window with fewer than `min_requests` attempts counts as
    no data. `no_data`: `keep` leaves things as they are, `resolve` takes no data for good, `fire` for bad. `summary` is
    what people read; {rule}, {metric}, {target}, {workload}, {value} and {threshold} are filled in.
    """

    name: Name
    metric: str
    above: float | None = None
    below: float | None = None
    for_s: Seconds = 60.0
    severity: Severity = "warning"
    target: Glob | None = None
    workload: Glob | None = None
    resolve_at: float | None = None
    resolve_after_s: Seconds = 60.0
    min_requests: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    no_data: NoData = "keep"
    summary: Annotated[str, msgspec.Meta(max_length=500)] = ""


class LogSink(Part, frozen=True, kw_only=True, tag="log", tag_field="kind"):
    """A line on stderr for each event."""

    name: Name | None = None
    severity: Severity = "info"


class WebhookSink(Part, frozen=True, kw_only=True, tag="webhook", tag_field="kind"):
    """A POST for each event. `url_env` names the environment variable that holds the URL, where the URL is a secret as
    Slack's are; `secret_env` the one that holds the key of the signature (None: not signed).

    `timeout_s` is for a whole request. It is tried again after `backoff_s`, doubled each time up to `max_backoff_s`,
    or when the receiver's Retry-After says, until the event is `give_up_after_s` old. Of more than `most_waiting`
    events the oldest are left out. `attach_reports` puts the HTML of a report into the body (format `plain`).
    """

    name: Name | None = None
    severity: Severity = "info"
    url: str | None = None
    url_env: Variable | None = None
    secret_env: Variable | None = None
    format: Literal["plain", "slack"] = "plain"
    timeout_s: Pause = 10.0
    backoff_s: Pause = 1.0
    max_backoff_s: Pause = 60.0
    give_up_after_s: Seconds = 86_400.0
    most_waiting: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
    attach_reports: bool = False


class CommandSink(Part, frozen=True, kw_only=True, tag="command", tag_field="kind"):
    """A program started for each event, without a shell, with the event as JSON on its stdin. It has `timeout_s`;
    an exit code other than 0 is a failure, and tried again as a webhook is."""

    name: Name | None = None
    severity: Severity = "info"
    argv: Annotated[tuple[Argument, ...], msgspec.Meta(min_length=1)]
    timeout_s: Pause = 10.0
    backoff_s: Pause = 1.0
    max_backoff_s: Pause = 60.0
    give_up_after_s: Seconds = 600.0
    most_waiting: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000


Sink = LogSink | WebhookSink | CommandSink


class Reports(Part, frozen=True, kw_only=True):
    """Summaries as HTML files, written when a local day or week (Monday to Sunday) has ended: into which folders, by
    which time zone (None: this machine's), and the names of the webhook sinks that are told."""

    daily: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    weekly: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    timezone: str | None = None
    webhooks: tuple[Name, ...] = ()


class Sla(Part, frozen=True, kw_only=True):
    """The promises that a budget of errors is kept of: the limits of a plan's `slo` (None: as the plan says), which
    part of the requests must keep each latency, and over how many days (a run of a plan: over its length)."""

    ttft_s: Limit | None = None
    tpot_s: Limit | None = None
    e2e_s: Limit | None = None
    availability: Ratio | None = None
    latency_target: Ratio = 0.95
    period_days: Annotated[float, msgspec.Meta(gt=0, le=366)] = 30.0


class AlertConfig(Part, frozen=True, kw_only=True):
    """A rule file, or the key `alerts` of a plan. `rules` None: the shipped ones; `shipped` puts them beside,
    and of one name those of the file win. `sinks` None: the log."""

    rules: tuple[Rule, ...] | None = None
    shipped: bool = False
    sinks: tuple[Sink, ...] | None = None
    reports: Reports = Reports()
    sla: Sla = Sla()


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured of a target and workload at a moment. A value that is missing or not a number is no data. What
    is of the whole run (`spend_usd`, `spend_share`, `validity`) stands in a reading of `(run)`, workload `(all)`."""

    wall_s: float
    target: str
    workload: str
    values: dict[str, float]


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """How a rule stands for a target and workload; `resolved` also where it never was otherwise.

    `id` names the episode. `bad_s` and `good_s` (None: it is not good now) say for how long, on the clock of the
    steps. `told`: its firing went to the sinks, so its end must.
    """

    id: str
    rule: str
    severity: Severity
    target: str
    workload: str
    state: Phase
    since_wall_s: float
    since_utc: str
    changed_wall_s: float
    seen_wall_s: float
    value: float | None
    threshold: float
    summary: str
    bad_s: float = 0.0
    good_s: float | None = None
    fired: bool = False
    told: bool = False
    silenced: bool = False
    acknowledged_by: str | None = None
    acknowledged_utc: str | None = None
    comment: str = ""


class AlertEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `alerts.jsonl`: an episode changed its state. Sinks other than the file are told where `silenced` is
    false and it `fired`: of a pending that went away nobody else hears.

    An episode that began to fire in a silence is told when the silence ends: a second line `firing` of its id, this one
    not silenced. So `id`, `state` and `silenced` together are unique.
    """

    schema: int = 1
    id: str
    rule: str
    severity: Severity
    target: str
    workload: str
    state: Phase
    at_wall_s: float
    at_utc: str
    since_utc: str
    since_wall_s: float
    value: float | None
    threshold: float
    summary: str
    fired: bool
    silenced: bool = False

    @property
    def key(self) -> str:
        """What a receiver knows a repeated delivery by."""
        return f"{self.id}:{self.state}"


class AlertAction(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `alert_actions.jsonl`: what somebody said about alerts. `rule` and `target` of a silence are globs
    (None: all); with `id` it is for that episode alone. `unsilence` ends the silences of the same `id`, `rule` and
    `target`; with none of the three, all."""

    at_utc: str
    by: str
    kind: Literal["acknowledge", "silence", "unsilence"]
    id: str | None = None
    rule: str | None = None
    target: str | None = None
    until_utc: str | None = None
    comment: str = ""


class SinkState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a sink has come, in `sinks.json`: `cursor` is the byte of `alerts.jsonl` behind the last event that is
    done with. `lost` events were given up, `skipped` ones left out since too many waited."""

    cursor: int = 0
    delivered: int = 0
    lost: int = 0
    skipped: int = 0
    failing_since_wall_s: float | None = None
    last_error: str | None = None
    last_error_utc: str | None = None
    last_ok_utc: str | None = None


def utc_text(wall_s: float) -> str:
    """Seconds since 1970 as people read them, to the millisecond: 2026-11-27T10:15:00.250Z."""
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def place_key(rule: str, target: str, workload: str) -> str:
    """What a rule's state is filed under: RULE/TARGET/WORKLOAD, plain ASCII whatever the names hold."""
    return "/".join(quote(part, safe="") for part in (rule, target, workload))


def episode_id(rule: str, target: str, workload: str, since_wall_s: float) -> str:
    """The name of an episode, the same whoever computes it: RULE/TARGET/WORKLOAD/START in UTC."""
    moment = datetime.fromtimestamp(since_wall_s, UTC).isoformat(timespec="milliseconds")
    return f"{place_key(rule, target, workload)}/{moment.replace('+00:00', 'Z').replace('-', '').replace(':', '')}"
