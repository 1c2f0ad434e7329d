"""A plan's budget: what is left of it for a repeat, and what cannot be promised."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.allowances.allowance import Purse, paid
from harness.errors import UNREADABLE, UsageFault
from harness.inputs.lengths import parse_length
from harness.plan import Plan, Target
from harness.rundir import RunDir
from harness.sample import Outcome, Sample, decode

_NANO = 1e9


def check_limits(plan: Plan, workers: int, *, shared: bool) -> None:
    """Refuse a budget or limit that cannot be kept. `shared`: all workers have one ledger. Raises UsageFault."""
    for target in plan.targets:
        if plan.budget.usd is not None and target.price is None:
            message = f"budget.usd: {plan.budget.usd:g}: target {target.name} has no price, so its cost is not known"
            raise UsageFault(message, "give it a `price` (docs/cost.md), or bound the run by `budget.requests`")
        _check_lengths(plan, target)
        places = target.limits.concurrency
        if places is not None and places < workers and not shared:
            message = f"targets: {target.name}: limits.concurrency: {places}: {workers} workers cannot share {places}"
            raise UsageFault(message, "use fewer --workers, or let them share through --redis")


def _check_lengths(plan: Plan, target: Target) -> None:
    """A budget wants prompts whose price is known. Raises UsageFault."""
    most = None if target.price is None or plan.budget.usd is None else target.price.up_to_input_tokens
    for workload in plan.workloads:
        mean = parse_length(workload.input_tokens).mean * (workload.batch + (workload.kind == "rerank"))
        if most is not None and workload.kind == target.kind and mean > most:
            message = f"budget.usd: target {target.name}: its price holds up to {most} input tokens"
            raise UsageFault(f"{message}, workload {workload.name} has {mean:g}", "write its `price` for such prompts")


def purse_of(plan: Plan, run_dir: RunDir, repeat: int, *, journals_here: bool) -> Purse:
    """What the workers of a repeat may spend together.

    It is what the journals of earlier repeats have left. Where these are on other hosts and not here, each repeat has
    an even part of the budget.
    """
    budget = plan.budget
    whole = Purse(budget.requests, None if budget.usd is None else int(budget.usd * _NANO))
    if whole == Purse():
        return whole
    if not journals_here:
        return whole.part((repeat - 1, plan.repeats))
    requests, nano_usd = _spent(plan, run_dir)
    return Purse(
        None if whole.requests is None else max(0, whole.requests - requests),
        None if whole.nano_usd is None else max(0, whole.nano_usd - nano_usd),
    )


def _spent(plan: Plan, run_dir: RunDir) -> tuple[int, int]:
    """Requests, and billionths of a USD, that the journals tell of. What was not billed as far as is known, such as a
    request that failed, counts with the dearest that was."""
    targets = {target.name: target for target in plan.targets}
    requests = unknown = total = most = 0
    for path in (*run_dir.journals.glob("*.jsonl"), *run_dir.unfinished.glob("*.jsonl")):
        for sample in _sent(path):
            requests += 1
            cost = paid(targets[sample.target], sample)
            if cost is None:
                unknown += 1
            else:
                total, most = total + cost, max(most, cost)
    return requests, total + unknown * most


def _sent(path: Path) -> Iterator[Sample]:
    with path.open("rb") as journal:
        for line in journal:
            try:
                record = decode(line)
            except UNREADABLE:
                continue  # the torn last line of a worker that was killed
            if isinstance(record, Sample) and record.outcome is not Outcome.DROPPED:
                yield record
