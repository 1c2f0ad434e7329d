"""Lines of `history.jsonl`: lean, and nothing of them is lost that is read of them."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from harness.records.monitor_record import Latency, Minute, Window, decode_minute, encode_minute

numbers = st.none() | st.floats(0, 1e9, allow_nan=False)
latencies = st.none() | st.builds(Latency, n=st.integers(0, 10**6), p50=numbers, p95=numbers, p99=numbers)
counts = st.dictionaries(st.sampled_from(["ok", "failed", "throttled"]), st.integers(0, 10**6))
windows = st.builds(
    Window, window_s=st.just(60.0), since_s=st.floats(0, 60), attempted=st.integers(0, 10**6), outcomes=counts,
    errors=counts, completed_rps=numbers, goodput_rps=numbers, output_tokens_per_s=numbers, error_ratio=numbers,
    throttled_ratio=numbers, ttft_s=latencies, itl_s=latencies, tpot_s=latencies, e2e_s=latencies, thinned=numbers,
)  # fmt: skip
spreads = st.dictionaries(
    st.sampled_from(["ttft", "tpot", "e2e"]), st.dictionaries(st.integers(-900, 900), st.integers(1, 10**6), min_size=1)
)
minutes = st.builds(
    Minute, at_utc=st.just("2026-11-27T10:15:00.000Z"), target=st.just("t"), workload=st.just("w"), window=windows,
    usd=numbers, spreads=spreads,
)  # fmt: skip


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_alike(a[key], b[key]) for key in a)
    return math.isclose(a, b, rel_tol=1e-6) if isinstance(a, float) else a == b


@given(minutes)
def test_what_is_read_is_what_was_written_to_seven_digits(minute: Minute) -> None:
    line = encode_minute(minute)
    assert _alike(msgspec.to_builtins(minute), msgspec.to_builtins(decode_minute(line)))
    assert b"null" not in line and b"{}" not in line
    assert decode_minute(msgspec.json.encode(minute)) == minute, "lines of before are read as well"


def test_a_minute_of_three_probes_takes_a_fifth_less() -> None:
    third = Latency(n=3, p50=0.4123456789123, p95=None, p99=None)
    window = Window(
        window_s=60.0, since_s=60.0, attempted=3, outcomes={"ok": 3}, errors={}, completed_rps=3 / 60,
        goodput_rps=3 / 60, output_tokens_per_s=100 / 60, error_ratio=0.0, throttled_ratio=0.0, ttft_s=third,
        itl_s=third, tpot_s=third, e2e_s=third,
    )  # fmt: skip
    spread = {name: {-200: 1, -190: 1, -180: 1} for name in ("ttft", "tpot", "e2e")}
    minute = Minute(
        at_utc="2026-11-27T10:15:00.000Z", target="openai", workload="chat", window=window, usd=1 / 3, spreads=spread
    )
    assert len(encode_minute(minute)) < 0.8 * len(msgspec.json.encode(minute))
    assert json.loads(encode_minute(minute))["window"]["ttft_s"] == {"n": 3, "p50": 0.4123457}
