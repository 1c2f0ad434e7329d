"""Rule files: what is right is read, what is wrong is said with file, key, value and rule; the page's example works."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.alerting.webhook import signature
from harness.errors import UsageFault
from harness.records.alert_record import PLAIN, WINDOWED, CommandSink, LogSink, WebhookSink
from harness.rules.alert_file import read_alerts, rules_of, shipped_rules, sinks_of

PAGE = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8")


def _fault(document: Any) -> UsageFault:
    with pytest.raises(UsageFault) as caught:
        read_alerts(document, "f.yaml")
    return caught.value


def test_the_example_of_the_page_is_read(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])
    config = read_alerts(path)
    assert [name for name, _ in sinks_of(config)] == ["log", "ops", "chat", "command"]
    assert [type(sink) for _, sink in sinks_of(config)] == [LogSink, WebhookSink, WebhookSink, CommandSink]
    names = [rule.name for rule in rules_of(config)]
    assert names.count("slow") == 1 and "outage" in names and rules_of(config)[0].above == 1.5
    assert config.sla.latency_target == 0.95 and config.reports.webhooks == ("ops",)


def test_the_verification_of_the_page_accepts_ours_alone() -> None:
    names: dict[str, Any] = {"hmac": hmac, "hashlib": hashlib, "time": time}
    exec(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0], names)
    stamp = str(int(time.time()))
    headers = {"X-Tokenswarm-Timestamp": stamp, "X-Tokenswarm-Signature": signature("key", stamp, b"{}")}
    assert names["is_ours"](headers, b"{}", b"key")
    assert not names["is_ours"](headers, b"{ }", b"key") and not names["is_ours"](headers, b"{}", b"other")
    old = str(int(stamp) - 1000)
    replayed = {"X-Tokenswarm-Timestamp": old, "X-Tokenswarm-Signature": signature("key", old, b"{}")}
    assert not names["is_ours"](replayed, b"{}", b"key")


def test_the_page_names_every_metric_and_every_shipped_rule() -> None:
    for metric in (*WINDOWED, *PLAIN):
        name = metric if not metric.startswith(("itl.", "tpot.", "e2e.", "degradation.")) else metric.partition(".")[0]
        assert name in PAGE, metric
    assert all(f"`{rule.name}`" in PAGE for rule in shipped_rules())


def test_without_a_word_the_shipped_rules_and_the_log_hold() -> None:
    config = read_alerts({})
    assert rules_of(config) == shipped_rules() and sinks_of(config) == (("log", LogSink()),)
    assert rules_of(read_alerts({"rules": []})) == ()


RULE = {"name": "x", "metric": "ttft.p95", "above": 1}
HOOK = {"kind": "webhook", "url": "https://h/x"}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"rules": [RULE | {"metric": "ttft.p96"}]}, "rules[0].metric: 'ttft.p96': no such metric"),
        ({"rules": [RULE | {"metric": "ttft.p95@2m"}]}, "rules[0].metric: 'ttft.p95@2m': the window must be one of"),
        ({"rules": [RULE | {"metric": "silence_s@1m"}]}, "rules[0].metric: 'silence_s@1m': `silence_s` has no window"),
        ({"rules": [RULE | {"below": 1}]}, "rules[0]: 'x': has exactly one of `above` and `below`"),
        ({"rules": [RULE | {"resolve_at": 2}]}, "rules[0].resolve_at: 2.0: must be not above `above`"),
        ({"rules": [RULE | {"above": float("inf")}]}, "rules[0].above: inf: must be a finite number"),
        ({"rules": [RULE | {"summary": "{host}"}]}, "rules[0].summary: '{host}': nothing is filled in there"),
        ({"rules": [RULE | {"for": 3}]}, "rules[0].for: unknown key"),
        ({"rules": [RULE, RULE]}, "rules: 'x': a name is used once"),
        (
            {"sinks": [{"kind": "webhook", "url": "http://h\nx/"}]},
            "sinks[0].url: 'http://hx/...': must not hold spaces",
        ),
        ({"sinks": [{"kind": "command", "argv": ["a\0b"]}]}, "sinks[0].argv[0]: 'a\\x00b': expected `str` matching"),
        ({"rules": [RULE | {"for_s": "5m"}]}, "rules[0].for_s: '5m': expected `float`"),
        ({"sinks": [{"kind": "pager"}]}, "sinks[0].kind: 'pager': invalid value"),
        ({"sinks": [{"kind": "webhook"}]}, "sinks[0]: has exactly one of `url` and `url_env`"),
        ({"sinks": [HOOK | {"url": "ftp://h"}]}, "sinks[0].url: 'ftp://h/...': must be http:// or https://"),
        ({"sinks": [HOOK | {"url": "https://u:S3CRET@h/x"}]}, "sinks[0].url: 'https://h/...': must not hold a user"),
        ({"sinks": [HOOK | {"url": "https://hooks.slack.com/S3CRET"}]}, "who has this URL can post"),
        ({"sinks": [HOOK | {"format": "slack", "attach_reports": True}]}, "sinks[0].attach_reports: wants"),
        ({"sinks": [HOOK | {"name": "a"}, {"kind": "log", "name": "a"}]}, "sinks: 'a': a name is used once"),
        ({"reports": {"daily": "r", "webhooks": ["ops"]}}, "reports.webhooks: 'ops': names no sink of kind webhook"),
        ({"reports": {"webhooks": ["webhook"]}, "sinks": [HOOK]}, "reports: posts no report"),
        ({"reports": {"timezone": "../etc/passwd"}}, "reports.timezone: '../etc/passwd': no such time zone"),
        ({"sla": {"availability": 1}}, "sla.availability: 1: expected `float` < 1.0"),
    ],
)
def test_what_is_wrong_is_said_without_secrets(document: Any, said: str) -> None:
    fault = _fault(document)
    assert f"f.yaml: {said}" in fault.message or said in fault.message
    assert "S3CRET" not in fault.message + fault.hint and fault.hint


KEYS = ("name", "metric", "above", "kind", "url", "argv", "daily", "timezone", "ttft_s", "for_s")
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["webhook", "ttft.p95", "http://["]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)
TOP = st.sampled_from(["rules", "sinks", "reports", "sla", "shipped", "x"])


@settings(max_examples=50)
@given(st.dictionaries(TOP, VALUES | st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES)), max_size=3))
def test_any_document_is_read_or_refused_with_a_reason(document: dict[str, Any]) -> None:
    with suppress(UsageFault):  # anything else is a traceback for somebody
        read_alerts(document)
