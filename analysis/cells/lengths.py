"""Lengths of replies: what was asked for beside what came, and whether targets replied alike.

A cap is no length: a model stops where it likes. What takes longer because it says more is not slower.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from analysis.summary import Finding, Lengths, Result

_FULL = 0.98
_FEWEST = 10
_APART = 1.2  # a fifth more output: more than what latencies are compared to


def lengths_of(rows: pd.DataFrame) -> Lengths | None:
    """Of good replies that the provider counts; None: there is none, or none had a cap."""
    counted = (rows["outcome"] == "ok") & rows["max_tokens"].notna() & rows["output_tokens"].notna()
    good = rows[counted & (rows["usage_source"] == "provider")]
    if good.empty:
        return None
    asked, came = good["max_tokens"].astype(float), good["output_tokens"].astype(float)
    return Lengths(
        replies=len(good),
        asked_mean=float(asked.mean()),
        output_mean=float(came.mean()),
        full_share=float((came >= _FULL * asked).mean()),
    )


def length_findings(results: Sequence[Result]) -> list[Finding]:
    """A note where targets that were asked the same replied at different lengths, so that their times and costs are of
    unlike replies."""
    return [finding for alike in _asked_alike(results) for finding in _apart(alike)]


def _asked_alike(results: Sequence[Result]) -> Iterator[list[Result]]:
    """The results of one workload and stage that have enough replies."""
    for place in dict.fromkeys((each.workload, each.stage) for each in results):
        yield [
            each
            for each in results
            if (each.workload, each.stage) == place and each.lengths is not None and each.lengths.replies >= _FEWEST
        ]


def _apart(results: Sequence[Result]) -> Iterator[Finding]:
    by_length = sorted(((each.lengths.output_mean, each) for each in results if each.lengths), key=lambda each: each[0])
    if len(by_length) < 2 or by_length[-1][0] < _APART * max(by_length[0][0], 1.0):
        return
    (least, short), (most, long) = by_length[0], by_length[-1]
    asked = 0.0 if short.lengths is None else short.lengths.asked_mean
    saw = (
        f"{long.workload}, {long.stage_label}: {long.target} replies with {most:.0f} tokens in the mean, "
        f"{short.target} with {least:.0f}; asked for at most {asked:.0f}"
    )
    why = "E2E, cost and requests a second are of replies that are not equally long; TTFT, ITL and TPOT are not touched"
    hint = "where the server has it: body: {ignore_eos: true} or {min_tokens: N} in the target; or compare by token"
    yield Finding(code="lengths-differ", severity="note", saw=saw, why=why, hint=hint)
