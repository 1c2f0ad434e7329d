"""The simulator without sockets or waiting: a plan in virtual time -> the run directory of an ideal client.

Draws, load, line, limits and sleep are those of the real simulator, so the truth of a configuration is the same; only
the clock, the network and the client are gone. Statistics that need hundreds of runs are proved with it. It speaks
streamed chat alone, graded questions among it, and knows no faults.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import msgspec

from harness.arrivals import arrivals
from harness.cells import Cell, cells
from harness.errors import ErrorKind
from harness.handover.question_sets import write_questions
from harness.inputs.lengths import parse_length
from harness.plan import SIMULATED, Plan
from harness.plan_file import dump_plan
from harness.prompts import CELL_PROMPTS, Prompt, prompt
from harness.questions.asking import stem_of
from harness.rundir import RunDir
from harness.sample import Footer, Header, Outcome, Sample, ServerTime, Usage, encode
from harness.simulator.config import Config, Provider
from harness.simulator.draws import Draws, draws_of
from harness.simulator.limits import Limiter
from harness.simulator.load import Load
from harness.simulator.skill import Answer, answer_to, question_known
from harness.simulator.speech import count_words

_PAUSE_S = 0.1  # of a user who was turned away
_BETWEEN_S = 0.5  # from the end of one cell to the next
_WALL_NS = 1_767_225_600 * 10**9  # 2026-01-01, midnight UTC


@dataclass(frozen=True)
class Client:
    """What is not the provider's: `connect_s`, how long a connection takes to stand, and `spread`, the standard
    deviation of the logarithm of a factor on all of its waits that is drawn anew for every cell of every repeat.
    `drift` is that of a factor that all cells of a repeat have in common, and that a repeat has from the one before but
    for what it forgets: `memory` is their correlation."""

    connect_s: float = 0.0
    spread: float = 0.0
    drift: float = 0.0
    memory: float = 0.7


@dataclass
class _State:
    """What changes about a provider while the run goes on."""

    provider: Provider
    load: Load
    limiter: Limiter
    requests: int = 0


@dataclass
class Sender:
    """Who sends: again and again in a closed stage; once in an open one, whose `due_s` is set."""

    due_s: float | None
    sent: int = 0


@dataclass
class Request:
    """One request under way. Times in seconds of the run."""

    seq: int
    start_s: float
    user: Sender
    input_tokens: int
    output_tokens: int
    place: int
    prompt: Prompt | None = None
    answer: Answer | None = None
    draws: Draws | None = None
    pace: float = 1.0
    left: int = 0
    cached_tokens: int = 0
    connect_s: float | None = None
    received_s: float = 0.0
    first_s: float = 0.0
    headers_s: float = 0.0
    events_s: list[float] = field(default_factory=list)


def play_offline(plan: Plan, config: Config, run_dir: RunDir, client: Client = Client()) -> None:
    """Write plan, run.json and the journal of each repeat. Targets are `sim://NAME`, workloads streamed chat."""
    run_dir.journals.mkdir(parents=True, exist_ok=True)
    run_dir.plan.write_text(dump_plan(plan), encoding="utf-8")
    write_questions(plan, run_dir)
    world = World(config, client, run_dir.name)
    for repeat in range(1, plan.repeats + 1):
        begin_s = world.now_s
        lines = [encode(sample) for cell in cells(plan, repeat) for sample in world.play(cell, plan, repeat, begin_s)]
        head = Header(
            schema=1,
            run=run_dir.name,
            worker=f"r{repeat}-w0",
            repeat=repeat,
            share=(0, 1),
            wall_ns=_WALL_NS + _ns(begin_s),
            mono_ns=0,
            pid=1,
            host="offline",
        )
        foot = Footer(samples=len(lines), end_ns=_ns(world.now_s - begin_s))
        run_dir.journal(head.worker).write_bytes(b"".join([encode(head), *lines, encode(foot)]))
    run_dir.run_json.write_bytes(msgspec.json.encode({"ended": "complete"}))


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


class World:
    """The providers of a configuration, and a clock that jumps from event to event."""

    def __init__(self, config: Config, client: Client, run: str) -> None:
        self.now_s = 0.0
        self._seed, self._client, self._run = config.seed, client, run
        self._states = {each.name: _State(each, Load(each), Limiter(each.limits)) for each in config.providers}
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()
        self._seq = count()

    def play(self, cell: Cell, plan: Plan, repeat: int, anchor_s: float) -> list[Sample]:
        """The attempts of one cell, in the order in which they ended; the clock then stands after the last."""
        self.enter(cell, plan, repeat, anchor_s)
        for begin_s, begin in self._begins(plan):
            self.at(begin_s, begin)
        while self._events:
            self.step()
        self.now_s += _BETWEEN_S
        return self.samples

    def enter(self, cell: Cell, plan: Plan, repeat: int, anchor_s: float) -> None:
        """What is sent from now on belongs to this cell."""
        self._state = self._states[cell.target.base_url.removeprefix(SIMULATED)]
        self._cell, self._repeat, self._anchor_s = cell, repeat, anchor_s
        self._prompts = random.Random(f"{plan.seed}/{cell.entry}/{cell.stage_index}/{repeat}")
        own = _factor(self._client.spread, f"{self._seed}/spread/{cell.entry}/{cell.stage_index}/{repeat}")
        self._pace = own * _drift(self._client, f"{self._seed}/drift", repeat)
        self._asked, self._plan_seed = count(), plan.seed
        self.samples: list[Sample] = []
        self._end_s = self.now_s + cell.span_s

    def step(self) -> None:
        """The next thing that happens."""
        self.now_s, _, act = heapq.heappop(self._events)
        act()

    def _begins(self, plan: Plan) -> Iterator[tuple[float, Callable[[], object]]]:
        stage = self._cell.stage
        if stage.open:
            seed = f"{plan.seed}/{self._cell.entry}/{self._cell.stage_index}/{self._repeat}"
            begin_s = self.now_s
            for arrival in arrivals(stage, self._cell.span_s, seed):
                due_s = begin_s + arrival.due_ns / 1e9
                yield due_s, partial(self.send, Sender(due_s, sent=1))
        else:
            for user in range(stage.concurrency or 0):
                yield self.now_s + user * 1e-4, partial(self.send, Sender(None))

    def at(self, at_s: float, act: Callable[[], object]) -> None:
        """Have something happen at a time, in seconds of the run."""
        heapq.heappush(self._events, (at_s, next(self._order), act))

    def send(self, user: Sender) -> Request | None:
        """Send one request of a user, if the stage is not over. A user's first connection stands beforehand."""
        if self.now_s >= self._end_s:
            return None
        length, cap = (parse_length(n) for n in (self._cell.workload.input_tokens, self._cell.workload.output_tokens))
        most = self._state.provider.requests_per_connection
        place = user.sent % most if most else user.sent
        request = Request(
            seq=next(self._seq),
            start_s=self.now_s,
            user=user,
            input_tokens=length.draw(self._prompts),
            output_tokens=cap.draw(self._prompts),
            place=place,
        )
        if self._cell.workload.questions is not None:
            request.prompt = self._next_prompt()
            request.input_tokens = count_words(list(request.prompt.texts))
        if place == 0 and user.sent:
            request.connect_s = self.now_s + self._client.connect_s
        user.sent += 1
        self.at(request.connect_s or self.now_s, lambda: self._receive(request))
        return request

    def _next_prompt(self) -> Prompt:
        index = (self._repeat * 1000 + self._cell.stage_index) * CELL_PROMPTS + next(self._asked)
        return prompt(self._plan_seed, self._cell.workload, index, self._cell.target.name)

    def _answer(self, request: Request, number: int, in_flight: int) -> Answer | None:
        state = self._state
        skill, provider = state.provider.skill, state.provider.name
        stem = None if request.prompt is None else stem_of(request.prompt.texts[0])
        question = None if skill is None or stem is None else question_known(skill, stem)
        if question is None or skill is None:
            return None
        return answer_to(skill, f"{self._seed}/{provider}", question, number, in_flight)

    def _receive(self, request: Request) -> None:
        state = self._state
        provider, load = state.provider, state.load
        request.received_s = now_s = self.now_s
        refused = state.limiter.admit(request.input_tokens + request.output_tokens, load.in_flight, now_s)
        draws = request.draws = draws_of(provider, self._seed, state.requests)
        state.requests += 1
        if refused is not None:
            self._turn_away(request, refused.wait_s)
            return
        request.answer = self._answer(request, state.requests - 1, load.in_flight)
        load.enter(now_s)
        if request.answer is not None:
            request.output_tokens = min(request.output_tokens, len(request.answer.words))
        elif draws.reply_tokens is not None:
            request.output_tokens = min(request.output_tokens, draws.reply_tokens)
        request.left = request.output_tokens
        request.cached_tokens = int(request.input_tokens * provider.cached_share) if draws.cached else 0
        request.pace = draws.pace * self._pace
        prefill_s = provider.prefill_s_per_input_token * (request.input_tokens - request.cached_tokens)
        wait_s = load.asleep_s(now_s) + (provider.new_connection_s if request.place == 0 else 0.0)
        request.first_s = wait_s + (draws.ttft_s + prefill_s) * load.first_factor * request.pace
        if load.begin(str(request.seq), lambda: self._begin(request)):
            self._begin(request)

    def _begin(self, request: Request) -> None:
        began_s = self.now_s + self._state.provider.network_s
        request.headers_s = began_s + request.first_s * self._state.provider.headers_share
        self.at(began_s + request.first_s, lambda: self._event(request))

    def _event(self, request: Request) -> None:
        provider, load = self._state.provider, self._state.load
        assert request.draws is not None
        request.events_s.append(self.now_s)
        request.left -= min(request.left, provider.tokens_per_chunk)
        if request.left:
            tokens = min(request.left, provider.tokens_per_chunk)
            gap_s = request.draws.gap_s() * tokens * load.gap_factor * request.pace
            self.at(self.now_s + gap_s, lambda: self._event(request))
            return
        load.leave(str(request.seq), self.now_s)
        self._keep(request, Outcome.OK)
        self.over(request)

    def _turn_away(self, request: Request, wait_s: float) -> None:
        request.headers_s = self.now_s
        self._keep(request, Outcome.THROTTLED, retry_after_s=wait_s, error=ErrorKind.RATE_LIMIT, status=429)
        self.at(self.now_s + _PAUSE_S, lambda: self.over(request))

    def over(self, request: Request) -> None:
        """A request is over; its user goes on with the next."""
        if request.user.due_s is None:
            self.send(request.user)

    def _keep(self, request: Request, outcome: Outcome, **more: object) -> None:
        """The sample of a request that ends now."""
        events = tuple(self._ns_of(at_s) for at_s in request.events_s)
        fields: dict[str, object] = {"status": 200, "server": None, "usage": None}
        if outcome is Outcome.OK:
            network_s = self._state.provider.network_s
            served_ns = _ns(request.headers_s - request.received_s - network_s)
            fields["server"] = ServerTime(source="openai-processing-ms", headers_ns=served_ns)
            fields["usage"] = Usage(
                source="provider",
                input_tokens=request.input_tokens,
                output_tokens=request.output_tokens,
                cached_tokens=request.cached_tokens,
            )
            fields["items"] = 1
            if request.answer is not None:
                text = "".join(request.answer.words[: request.output_tokens])
                fields |= {"text": text, "text_chars": len(text), "finish_reason": "stop"}
        self.samples.append(
            Sample(
                run=self._run,
                target=self._cell.target.name,
                dialect=self._cell.target.dialect,
                model=self._cell.target.model,
                workload=self._cell.workload.name,
                stage=self._cell.stage_index,
                repeat=self._repeat,
                worker=f"r{self._repeat}-w0",
                seq=request.seq,
                prompt_id=request.prompt.id if request.prompt else f"{self._cell.workload.name}-{request.seq}",
                due_ns=None if request.user.due_s is None else self._ns_of(request.user.due_s),
                start_ns=self._ns_of(request.start_s),
                connect_ns=None if request.connect_s is None else self._ns_of(request.connect_s),
                headers_ns=self._ns_of(request.headers_s),
                event_ns=events,
                first_text_ns=events[0] if events else None,
                end_ns=self._ns_of(self.now_s),
                outcome=outcome,
                reused=request.connect_s is None,
                stamps="kernel",
                **(fields | more),  # type: ignore[arg-type]
            )
        )

    def _ns_of(self, at_s: float) -> int:
        return _ns(at_s - self._anchor_s)


def _factor(spread: float, seed: str) -> float:
    return 1.0 if spread == 0 else random.Random(seed).lognormvariate(0.0, spread)


def _drift(client: Client, seed: str, repeat: int) -> float:
    """The factor of a repeat, counted from 1: an autoregressive process of the first order that is in its steady
    state."""
    if client.drift == 0:
        return 1.0
    draws = random.Random(seed)
    level = draws.gauss(0.0, client.drift)
    fresh = client.drift * math.sqrt(1 - client.memory**2)
    for _ in range(repeat - 1):
        level = client.memory * level + draws.gauss(0.0, fresh)
    return math.exp(level)
