"""Lengths asked for and used, by hand; and when it is said that they differ."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.cells.lengths import length_findings, lengths_of
from analysis.summary import Lengths, Result


def rows(*replies: tuple[str, float | None, float | None, str]) -> pd.DataFrame:
    return pd.DataFrame(replies, columns=["outcome", "max_tokens", "output_tokens", "usage_source"])


def test_only_good_replies_that_the_provider_counts_are_taken() -> None:
    found = lengths_of(
        rows(
            ("ok", 100, 100, "provider"),
            ("ok", 100, 98, "provider"),
            ("ok", 100, 42, "provider"),
            ("ok", 200, 200, "estimated"),
            ("ok", None, 5, "provider"),
            ("ok", 100, None, "provider"),
            ("failed", 100, 1, "provider"),
        )
    )
    assert found is not None and (found.replies, found.asked_mean, found.output_mean) == (3, 100, 80)
    assert found.full_share == pytest.approx(2 / 3)
    assert lengths_of(rows(("failed", 100, 1, "provider"))) is None


def result(target: str, mean: float, replies: int = 50, workload: str = "w") -> Result:
    lengths = Lengths(replies=replies, asked_mean=256, output_mean=mean, full_share=0.5)
    return Result(target=target, workload=workload, stage=0, stage_label="8 users", attempted=replies, lengths=lengths)


def test_a_note_says_which_targets_reply_at_different_lengths() -> None:
    (finding,) = length_findings([result("a", 100), result("b", 250), result("c", 130)])
    assert (finding.code, finding.severity) == ("lengths-differ", "note")
    assert finding.saw == "w, 8 users: b replies with 250 tokens in the mean, a with 100; asked for at most 256"


@pytest.mark.parametrize(
    "results",
    [
        [result("a", 100)],
        [result("a", 100), result("b", 119)],
        [result("a", 100), result("b", 250, replies=9)],
        [result("a", 100), result("b", 250, workload="other")],
        [result("a", 0), result("b", 1)],
    ],
)
def test_nothing_is_said_of_lengths_that_are_alike_or_hardly_known(results: list[Result]) -> None:
    assert length_findings(results) == []
