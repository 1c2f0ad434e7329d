"""What a plan will use, before it is run: requests, tokens, cost, duration. An estimate, with its assumption."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from harness.arrivals import expected_arrivals
from harness.capacity.calibrate import Calibration
from harness.cells import Cell, cells
from harness.inputs.lengths import parse_length
from harness.launch import expected_s
from harness.plan import Plan, Target
from harness.prices import price_of, spend_of
from harness.records.dialect_names import GENERATING
from harness.sample import Usage
from harness.workloads.conversation_files import read_conversations

_ASSUMED_TTFT_S = 0.5
_ASSUMED_TPOT_S = 0.02
_ASSUMED_STREAMS = 20
_CHARS_PER_TOKEN = 4


def estimate(plan: Plan) -> dict[str, Any]:
    """Figures for all repeats together. A closed stage sends as fast as replies come, so its count rests on an
    assumed service time of 0.5 s plus 20 ms for each output token; a faster target gets more requests. A job is one
    request with the tokens of all its prompts, and is assumed to take no longer than one reply: that is the most."""
    requests = input_tokens = output_tokens = 0.0
    usd: float | None = 0.0
    for cell in cells(plan, 1):
        count = plan.repeats * _requests(cell)
        tokens_in = count * _prompt_tokens(cell) * cell.workload.batch
        tokens_out = count * _reply_tokens(cell) * cell.workload.batch
        requests, input_tokens, output_tokens = requests + count, input_tokens + tokens_in, output_tokens + tokens_out
        cost = _usd(cell.target, tokens_in, tokens_out, count)
        usd = None if usd is None or cost is None else usd + cost
    return {
        "requests": round(requests),
        "input_tokens": round(input_tokens),
        "output_tokens": round(output_tokens),
        "usd": None if usd is None else round(usd, 4),
        "prices": {target.name: price_of(target) for target in plan.targets},
        "duration_s": round(expected_s(plan)),
        "assumes": f"a service time of {_ASSUMED_TTFT_S:g} s + {_ASSUMED_TPOT_S:g} s per reply token in closed stages",
    }


def _usd(target: Target, tokens_in: float, tokens_out: float, requests: float) -> float | None:
    usage = Usage(source="estimated", input_tokens=round(tokens_in), output_tokens=round(tokens_out))
    return None if target.price is None else spend_of(target.price, target.dialect, usage, round(requests)).usd


def _reply_tokens(cell: Cell) -> float:
    """The output tokens of one reply; a job has a reply for each of its prompts."""
    return parse_length(cell.workload.output_tokens).mean if cell.workload.kind in GENERATING else 0.0


def _prompt_tokens(cell: Cell) -> float:
    """The input tokens of one text; of a conversation's turns the mean, with all that was said before, by caps."""
    mean, turns = parse_length(cell.workload.input_tokens).mean, cell.workload.turns
    if cell.workload.conversations is not None:
        said = [text for each in read_conversations(cell.workload.conversations) for text in each[:turns]]
        mean = sum(map(len, said)) / len(said) / _CHARS_PER_TOKEN
    return mean * (turns + 1) / 2 + _reply_tokens(cell) * (turns - 1) / 2


def _service_s(cell: Cell) -> float:
    return _ASSUMED_TTFT_S + _ASSUMED_TPOT_S * _reply_tokens(cell)


def _requests(cell: Cell) -> float:
    if cell.stage.open:
        return expected_arrivals(cell.stage, cell.span_s)
    begin = cell.stage.concurrency or 0
    users = (begin + (begin if cell.stage.end_concurrency is None else cell.stage.end_concurrency)) / 2
    return users * cell.span_s / _service_s(cell)


@dataclass(frozen=True)
class Load:
    """What a stage asks of its target at its height: requests and tokens a minute, requests under way."""

    rpm: float
    tpm: float
    streams: int


def load_of(cell: Cell) -> Load:
    """The load of one cell, by the same assumption. Tokens are those of prompts and of the replies' caps."""
    stage, workload = cell.stage, cell.workload
    peak_rps = max(stage.rate_rps or 0.0, stage.end_rate_rps or 0.0)
    if not stage.open:
        peak_rps = _streams(cell) / _service_s(cell)
    rpm = 60 * (peak_rps or expected_arrivals(stage, cell.span_s) / cell.span_s)
    texts = workload.batch + (workload.kind == "rerank")
    replies = workload.batch * _reply_tokens(cell)
    return Load(rpm, rpm * (_prompt_tokens(cell) * texts + replies), _streams(cell))


def most_streams(plan: Plan) -> int:
    """How many requests will be under way at once, at most: by the concurrency of closed stages, and for open ones by
    the rate (a trace's mean one) and an assumed service time of 0.5 s + 20 ms for each output token."""
    return max((_streams(cell) for cell in cells(plan, 1)), default=0)


def _streams(cell: Cell) -> int:
    stage = cell.stage
    if stage.concurrency is not None:
        return max(stage.concurrency, stage.end_concurrency or 0)
    rate_rps = max(stage.rate_rps or 0, stage.end_rate_rps or 0) or expected_arrivals(stage, cell.span_s) / cell.span_s
    return min(stage.max_in_flight, math.ceil(rate_rps * _service_s(cell)))


def workers_needed(plan: Plan, calibration: Calibration) -> int:
    """How many workers keep every stage within what one worker measures within 1 ms (else 5 ms)."""
    ceiling = calibration.streams_within_1ms or calibration.streams_within_5ms or _ASSUMED_STREAMS
    return max(1, math.ceil(most_streams(plan) / ceiling))
