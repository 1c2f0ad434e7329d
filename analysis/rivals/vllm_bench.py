"""`vllm bench serve --save-result`: one JSON document a run, with every request where `--save-detailed` was given."""

from __future__ import annotations

from collections import Counter
from typing import Any

from analysis.rivals.told import Beside, Told, at, count, given, known, number, stated, text, tpot_s

_METRICS = {"ttft_s": "ttft", "itl_s": "itl", "tpot_s": "tpot", "e2e_s": "e2el"}
_NOTES = (
    (
        "vllm bench measures from the first request to the last reply",
        "ramp-up and drain are in its rates, which are lower than those of a steady window",
    ),
    (
        "vllm bench counts output tokens by its own tokenizer where the server tells no usage",
        "TPOT and tokens/s are as good as that tokenizer",
    ),
)


def is_one(document: object) -> bool:
    """Whether a JSON document is a result of `vllm bench serve` (or of its elder, `benchmark_serving.py`)."""
    return at(document, "request_throughput") is not None and at(document, "num_prompts") is not None


def read(document: object, beside: Beside) -> list[Told]:  # noqa: ARG001
    """What it says."""
    ok = count(at(document, "completed"))
    failed = at(document, "failed")
    attempted = ok + count(failed) if failed is not None else max(ok, count(at(document, "num_prompts")))
    rate = number(at(document, "request_rate"))
    values = _values(document, ok)
    gaps = max(0, count(at(document, "total_output_tokens")) - ok)
    said = {ours: _stated(document, theirs, gaps if ours == "itl_s" else ok) for ours, theirs in _METRICS.items()}
    duration = number(at(document, "duration"))
    total_in = number(at(document, "total_input_tokens"))
    return [
        Told(
            tool="vllm bench",
            model=text(at(document, "model_id")) or "unknown",
            attempted=attempted,
            failed=attempted - ok,
            load=given({"concurrency": at(document, "max_concurrency") if rate is None else None, "rate_rps": rate}),
            request=given({"input_tokens": _each(total_in, ok), "output_tokens": _each_out(document, ok)}),
            errors=_errors(at(document, "errors")),
            duration_s=duration,
            goodput_rps=number(at(document, "request_goodput")),
            output_tokens_per_s=number(at(document, "output_throughput")),
            input_tokens_per_s=total_in / duration if total_in is not None and duration else None,
            values_s=values,
            said=said,
            notes=_NOTES,
        )
    ]


def _each(total: float | None, ok: int) -> int | None:
    """Tokens of a request, on the average and rounded: repeats of a run differ by fractions."""
    return round(total / ok) if total is not None and ok else None


def _each_out(document: object, ok: int) -> int | None:
    return _each(number(at(document, "total_output_tokens")), ok)


def _values(document: object, ok: int) -> dict[str, Any]:
    """The times of good requests, one by one; those of failed ones are zeros in the file."""
    lists = [at(document, name) for name in ("ttfts", "itls", "output_lens", "latencies", "errors")]
    if not all(isinstance(each, list) and len(each) == len(lists[0]) for each in lists):
        return {}
    rows = [row[:4] for row in zip(*lists, strict=True) if not row[4]]
    if len(rows) != ok or not all(isinstance(gaps, list) for _, gaps, _, _ in rows):
        return {}
    ttft, gaps, tokens, e2e = ([row[place] for row in rows] for place in range(4))
    return {
        "ttft_s": known(ttft),
        "itl_s": known(gap for each in gaps for gap in each),
        "tpot_s": tpot_s(e2e, ttft, tokens),
        "e2e_s": known(e2e),
    }


def _stated(document: object, name: str, n: int) -> Any:
    names = {"mean": f"mean_{name}_ms", "p50": f"median_{name}_ms"}
    names |= {quantile: f"{quantile}_{name}_ms" for quantile in ("p90", "p95", "p99")}
    return stated(document, names, n, 1e-3)


def _errors(errors: object) -> dict[str, int]:
    said = [each.strip() for each in (errors if isinstance(errors, list) else []) if isinstance(each, str)]
    return dict(Counter(each.splitlines()[-1] for each in said if each))
