"""Rules of alerts as a file, or as the key `alerts` of a plan: YAML -> checked `AlertConfig`."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo

from harness.errors import UsageFault
from harness.inputs.checked_yaml import fail, typed
from harness.inputs.plain_yaml import plain_yaml, text_of_file
from harness.inputs.secrecy import (
    has_form_of_key,
    holds_key,
    is_credential,
    looks_like_key,
    masked,
    may_be_credential,
)
from harness.records.alert_record import (
    PLAIN,
    WINDOWED,
    WINDOWS,
    AlertConfig,
    CommandSink,
    LogSink,
    Reports,
    Rule,
    Sink,
    WebhookSink,
)

_GUIDE = ("docs/alerts.md", "harness/alert_rules.yaml")
_HOOKS = (  # who has a URL there can post
    "slack.com",
    "discord.com",
    "discordapp.com",
    "webhook.office.com",
    "logic.azure.com",
    "chat.googleapis.com",
    "hooks.zapier.com",
)
_PLACES = {"rule", "metric", "target", "workload", "value", "threshold"}


def read_alerts(source: str | Path | Mapping[str, Any], place: str = "alerts") -> AlertConfig:
    """The rules in a YAML file, or those a mapping means (then `place` names it in errors). Raises UsageFault."""
    if isinstance(source, Mapping):
        document: Any = source
    else:
        place = str(source)
        hint = "leave it out to have the shipped rules; docs/alerts.md shows a file"
        document = plain_yaml(text_of_file(Path(source), "a rule file", hint), place)
    if not isinstance(document, Mapping) or not all(isinstance(key, str) for key in document):
        found = "an empty file" if document is None else type(document).__name__
        raise UsageFault(f"{place}: {found}: rules are a mapping with keys such as `rules`", "see docs/alerts.md")
    config = typed(document, AlertConfig, place, "", *_GUIDE)
    check_alerts(config, place, "")
    return config


@cache
def shipped_rules() -> tuple[Rule, ...]:
    """The rules of `harness/alert_rules.yaml`."""
    text = files("harness").joinpath("alert_rules.yaml").read_text(encoding="utf-8")
    return read_alerts(plain_yaml(text, "alert_rules.yaml"), "alert_rules.yaml").rules or ()


def rules_of(config: AlertConfig) -> tuple[Rule, ...]:
    """The rules in force: the file's own, the shipped ones, or both."""
    if config.rules is None:
        return shipped_rules()
    own = {rule.name for rule in config.rules}
    more = tuple(rule for rule in shipped_rules() if rule.name not in own) if config.shipped else ()
    return (*config.rules, *more)


def sinks_of(config: AlertConfig) -> tuple[tuple[str, Sink], ...]:
    """The sinks by name; a sink without a name has that of its kind, numbered where there are several."""
    sinks = (LogSink(),) if config.sinks is None else config.sinks
    kinds = [_kind(sink) for sink in sinks]
    counted: dict[str, int] = {}
    named: list[tuple[str, Sink]] = []
    for sink, kind in zip(sinks, kinds, strict=True):
        counted[kind] = counted.get(kind, 0) + 1
        named.append((sink.name or (kind if kinds.count(kind) == 1 else f"{kind}-{counted[kind]}"), sink))
    return tuple(named)


def _kind(sink: Sink) -> str:
    return str(sink.__struct_config__.tag)


def check_alerts(config: AlertConfig, place: str, under: str) -> None:
    """What the types alone do not say. `under` is the key that the configuration has in its file. Raises UsageFault."""
    top = f"{under}." if under else ""
    _check_unique(place, f"{top}rules", [rule.name for rule in config.rules or ()])
    for index, rule in enumerate(config.rules or ()):
        _check_rule(rule, place, f"{top}rules[{index}]")
    named = sinks_of(config)
    _check_unique(place, f"{top}sinks", [name for name, _ in named])
    for index, sink in enumerate(config.sinks or ()):
        if isinstance(sink, WebhookSink):
            _check_webhook(sink, place, f"{top}sinks[{index}]")
        if isinstance(sink, CommandSink):
            _check_command(sink, place, f"{top}sinks[{index}]")
    _check_reports(config.reports, named, place, f"{top}reports")


def _check_unique(place: str, key: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            fail(place, key, name, "a name is used once", "give each its own `name`")


def _check_rule(rule: Rule, place: str, key: str) -> None:
    _check_metric(rule.metric, place, f"{key}.metric")
    given = {name: getattr(rule, name) for name in ("above", "below") if getattr(rule, name) is not None}
    if len(given) != 1:
        fail(place, key, rule.name, "has exactly one of `above` and `below`", "such as above: 0.05")
    for name, value in {**given, "resolve_at": rule.resolve_at}.items():
        if value is not None and not math.isfinite(value):
            fail(place, f"{key}.{name}", value, "must be a finite number", "such as 0.05")
    if rule.resolve_at is not None:
        wrong = rule.resolve_at > rule.above if rule.above is not None else rule.resolve_at < (rule.below or 0.0)
        if wrong:
            side = "not above `above`" if rule.above is not None else "not below `below`"
            fail(place, f"{key}.resolve_at", rule.resolve_at, f"must be {side}: it is where things are good again",
                 "leave it out to take the limit itself")  # fmt: skip
    unknown = set(re.findall(r"\{(\w+)\}", rule.summary)) - _PLACES
    if unknown:
        hint = f"there are: {', '.join(sorted(_PLACES))}"
        fail(place, f"{key}.summary", "{" + min(unknown) + "}", "nothing is filled in there", hint)


def _check_metric(metric: str, place: str, key: str) -> None:
    name, at, window = metric.partition("@")
    if name not in WINDOWED and name not in PLAIN:
        near = difflib.get_close_matches(name, [*WINDOWED, *PLAIN], n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "docs/alerts.md lists the metrics"
        fail(place, key, metric, "no such metric", hint)
    if at and name in PLAIN:
        fail(place, key, metric, f"`{name}` has no window", f"write {name}")
    if at and window not in WINDOWS:
        fail(place, key, metric, f"the window must be one of {', '.join(WINDOWS)}", f"such as {name}@{WINDOWS[0]}")


def _check_webhook(sink: WebhookSink, place: str, key: str) -> None:
    if (sink.url is None) == (sink.url_env is None):
        hint = "such as url: https://example.org/hook; a URL that is a secret is named by url_env"
        fail(place, key, sink.name, "has exactly one of `url` and `url_env`", hint)
    for name in ("url_env", "secret_env"):
        if looks_like_key(getattr(sink, name) or ""):
            fail(place, f"{key}.{name}", None, "looks like a secret itself", "name the environment variable")
    if sink.attach_reports and sink.format != "plain":
        fail(place, f"{key}.attach_reports", None, "wants `format: plain`", "Slack's webhooks take no files")
    if sink.url is not None:
        fault = fault_of_url(sink.url)
        if fault is not None:
            fail(place, f"{key}.url", _shown_url(sink.url), fault, "such as https://example.org/hook")
        if _opens_by_itself(sink.url):
            hint = "put it into an environment variable, and name that by url_env"
            fail(place, f"{key}.url", _shown_url(sink.url), "who has this URL can post: it does not belong here", hint)


def _opens_by_itself(url: str) -> bool:
    """Whether who knows the URL of a webhook can post to it: a key stands in it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    known = any(host == name or host.endswith(f".{name}") for name in _HOOKS)
    query = parse_qsl(parts.query, keep_blank_values=True)
    named = any(is_credential(name) or may_be_credential(name, value) for name, value in query)
    return known or named or holds_key(f"{unquote(parts.path)} {unquote(parts.query)}")


def _check_command(sink: CommandSink, place: str, key: str) -> None:
    """A program's words stand in the plan and in the list of processes."""
    for index, word in enumerate(sink.argv):
        before = sink.argv[index - 1] if index else ""
        option, _, value = word.partition("=" if word.startswith("-") else ":")
        named = may_be_credential(option.lstrip("-"), value) or may_be_credential(before.lstrip("-"), word)
        if named or has_form_of_key(word) or is_credential(before.lstrip("-")):
            hint = "the program finds it in its environment, which is that of the monitor"
            fail(place, f"{key}.argv[{index}]", None, "a secret must not stand in a list of processes", hint)


def fault_of_url(url: str) -> str | None:
    """What is wrong with the URL of a webhook, without the URL; None: nothing."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if not url.isprintable() or " " in url:
        return "must not hold spaces or control characters"
    if parts.scheme not in ("http", "https") or not host:
        return "must be http:// or https:// with a host"
    if parts.username or parts.password:
        return "must not hold a user or password"
    return None


def _shown_url(url: str) -> str | None:
    """A URL without what may be secret; None: nothing of it can be shown."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return f"{parts.scheme}://{masked(parts.hostname)}/..." if parts.hostname else None


def _check_reports(reports: Reports, named: Sequence[tuple[str, Sink]], place: str, key: str) -> None:
    webhooks = [name for name, sink in named if isinstance(sink, WebhookSink)]
    for name in reports.webhooks:
        if name not in webhooks:
            hint = f"there are: {', '.join(webhooks)}" if webhooks else "add a sink of kind webhook, with a name"
            fail(place, f"{key}.webhooks", name, "names no sink of kind webhook", hint)
    if reports.webhooks and reports.daily is None and reports.weekly is None:
        fail(place, key, None, "posts no report: neither `daily` nor `weekly` is given", "such as daily: reports")
    if reports.timezone is not None:
        try:
            ZoneInfo(reports.timezone)
        except (ValueError, OSError, LookupError):
            fail(place, f"{key}.timezone", reports.timezone, "no such time zone", "such as Europe/Berlin")
