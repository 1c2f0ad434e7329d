"""Who is shown to be better than every other target of the same load, metric by metric."""

from __future__ import annotations

from analysis.summary import Summary


def leaders(summary: Summary) -> set[tuple[str, str | None, int | None, str]]:
    """(target, workload, stage, metric) that is shown to be better than every other target."""
    wins: dict[tuple[str, str, int, str], int] = {}
    for found in summary.comparisons:
        winner = {"better": found.a, "worse": found.b}.get(found.verdict)
        if winner is not None:
            key = (winner, found.workload, found.stage, found.metric)
            wins[key] = wins.get(key, 0) + 1
    rivals = {
        (result.workload, result.stage): sum(
            (other.workload, other.stage) == (result.workload, result.stage) for other in summary.results
        )
        - 1
        for result in summary.results
    }
    return {key for key, count in wins.items() if count == rivals.get((key[1], key[2]))}
