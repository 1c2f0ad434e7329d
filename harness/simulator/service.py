"""Request -> response: routes, keys, limits, draws and faults, for all providers of one server. No sockets here."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import msgspec

from harness.records.dialect_names import KIND_OF_DIALECT, DialectName
from harness.simulator import (
    sigv4,
    speak_anthropic,
    speak_azure,
    speak_batches,
    speak_bedrock,
    speak_cohere,
    speak_google,
    speak_mistral,
    speak_ollama,
    speak_openai_chat,
    speak_openai_responses,
    speak_tei,
    speak_vectors,
)
from harness.simulator.batches import Job, Jobs, item_of
from harness.simulator.config import FAULT_HEADER, Config, Fault, FaultKind, Provider
from harness.simulator.draws import draws_of
from harness.simulator.faults import REFUSALS, chosen
from harness.simulator.judge import marks_for
from harness.simulator.limits import Limiter
from harness.simulator.load import Load
from harness.simulator.outages import Script, Timetable, scripts_of
from harness.simulator.prefix_cache import PrefixCache
from harness.simulator.refusals import Denied, limit_headers, refusal
from harness.simulator.report import report_for
from harness.simulator.response import UNANSWERED, Request, Response, no_reply_into, plain, reply_to, spoken
from harness.simulator.routing import Route, any_keys, key_in, route_of
from harness.simulator.skill import Answer, answer_to, question_known
from harness.simulator.speech import Asked, Refused, Reply, Speaker, encode
from harness.simulator.truth import Truth

SPEAKERS: dict[DialectName, Speaker] = {
    "openai-chat": speak_openai_chat.SPEAKER,
    "openai-responses": speak_openai_responses.SPEAKER,
    "azure-openai": speak_azure.SPEAKER,
    "anthropic-messages": speak_anthropic.SPEAKER,
    "bedrock-converse": speak_bedrock.SPEAKER,
    "google-generate": speak_google.SPEAKER,
    "vertex": speak_google.SPEAKER,
    "cohere-chat": speak_cohere.SPEAKER,
    "mistral": speak_mistral.SPEAKER,
    "ollama": speak_ollama.SPEAKER,
    "openai-embeddings": speak_vectors.OPENAI_EMBEDDINGS,
    "jina-embeddings": speak_vectors.JINA_EMBEDDINGS,
    "jina-rerank": speak_vectors.JINA_RERANK,
    "infinity-embeddings": speak_vectors.INFINITY_EMBEDDINGS,
    "infinity-rerank": speak_vectors.INFINITY_RERANK,
    "tei-embeddings": speak_tei.EMBEDDINGS,
    "tei-rerank": speak_tei.RERANK,
    "openai-batches": speak_openai_chat.SPEAKER,  # of its prompts
    "anthropic-batches": speak_anthropic.SPEAKER,
    "google-batches": speak_google.SPEAKER,
}
_NO_CODE = "REF-0000000000"  # of the request before the first one


class _State:
    """What changes about one provider. `scripts` are those of its faults and of the incidents that it is part of."""

    def __init__(self, provider: Provider, scripts: list[tuple[Fault, Script]]) -> None:
        self.provider = provider
        self._timetables = [(fault, Timetable(script)) for fault, script in scripts]
        self.load = Load(provider)
        self.limiter = Limiter(provider.limits)
        self._prefixes = PrefixCache()
        self.jobs = Jobs(provider.batch_workers)
        self.count = 0
        self.last_code = _NO_CODE

    def next_number(self) -> int:
        self.count += 1
        return self.count - 1

    def answer(self, asked: Asked, seed: int, number: int) -> Answer | None:
        """To a graded question that it has heard of, or to a judge's task; None: to be answered as any prompt."""
        own = f"{seed}/{self.provider.name}"
        if asked.structured:
            return report_for(own, number, self.provider.invalid_json)
        if asked.judged is not None:
            return marks_for(*asked.judged, own, number)
        skill = self.provider.skill
        question = None if skill is None or asked.question is None else question_known(skill, asked.question)
        if question is None or skill is None:
            return None
        return answer_to(skill, own, question, number, self.load.in_flight)

    def cached(self, reply: Reply) -> Reply:
        """The reply with what a cache of beginnings held of its prompt, where the provider has one."""
        if not self.provider.prefix_cache:
            return reply
        said = reply.asked.messages
        reply = replace(reply, cached_tokens=min(self._prefixes.read(said), reply.asked.input_tokens))
        self._prefixes.keep((*said, reply.whole_text()))
        return reply

    def faults(self, elapsed_s: float) -> list[Fault]:
        """Those that may strike now."""
        return [fault for fault, timetable in self._timetables if timetable.active(elapsed_s)]


def _states_of(config: Config) -> dict[str, _State]:
    scripts: dict[str, list[tuple[Fault, Script]]] = {provider.name: [] for provider in config.providers}
    for script in scripts_of(config):
        if isinstance(script.fault, Fault):
            scripts[script.provider].append((script.fault, script))
    return {provider.name: _State(provider, scripts[provider.name]) for provider in config.providers}


class Service:
    """All providers of one server. `answer` says what to write; `ended` is told when that was done."""

    def __init__(self, config: Config, write: Callable[[Truth], None]) -> None:
        self.config = config
        self._write = write
        self._providers = {provider.name: provider for provider in config.providers}
        self._states = _states_of(config)
        self.begin_ns = time.monotonic_ns()  # the scripts of faults begin here
        self._instance = secrets.token_hex(3)
        self._requests = 0

    def answer(self, request: Request) -> Response:
        """What to write for `request`."""
        if request.method == "GET":
            page = self._page(request)
            if page is not None:
                return page
        route = route_of(request.target, request.body, self._providers)
        truth = self._truth(request, route)
        try:
            return self._admitted(request, route, truth)
        except Denied as denied:
            return self._refused(route, truth, denied)
        except Refused as refused:
            return self._refused(route, truth, Denied("bad_request", str(refused)))

    def ended(self, response: Response, generated: int, outcome: str) -> None:
        """The response is over, `generated` tokens or items of it written or spent."""
        if response.load is not None:
            response.load.leave(response.truth.id, time.monotonic())
        truth, reply = response.truth, response.reply
        truth.outcome, truth.end_ns = outcome, max(truth.end_ns, time.monotonic_ns())
        if reply is not None and truth.dialect and KIND_OF_DIALECT[truth.dialect] == "chat":
            truth.output_tokens = generated
            truth.reasoning_tokens = min(generated, reply.reasoning_tokens)
            truth.items = int(outcome == "complete")
        elif reply is not None:
            truth.items = generated
        if response.recorded:
            self._write(truth)

    def _next_id(self) -> str:
        self._requests += 1
        return f"req_{self._instance}{self._requests:08d}"

    def _truth(self, request: Request, route: Route) -> Truth:
        return Truth(
            id=self._next_id(),
            provider=route.provider.name if route.provider else "",
            dialect=route.dialect if route.provider else "",
            path=request.target.partition("?")[0],
            received_ns=request.received_ns,
        )

    def _admitted(self, request: Request, route: Route, truth: Truth) -> Response:
        provider = _checked(request, route, self.config)
        state, speaker = self._states[provider.name], SPEAKERS[route.dialect]
        if KIND_OF_DIALECT[route.dialect] == "batch":
            return self._of_job(request, route, truth, state)
        asked = speaker.read(request.body, route.query)
        truth.model, truth.input_tokens = asked.model, asked.input_tokens
        number = state.next_number()
        draws = draws_of(provider, self.config.seed, number)
        fault = _forced(request, provider) or chosen(state.faults(self._elapsed_s(request)), draws.fault)
        truth.fault = fault.kind if fault else None
        if fault is not None and fault.kind in REFUSALS:
            raise Denied(REFUSALS[fault.kind], f"Simulated fault: {fault.kind}.")
        code, state.last_code = state.last_code, asked.code or state.last_code
        if fault is not None and fault.kind == "swapped" and asked.code is not None:
            asked = replace(asked, code=code)
        answer = state.answer(asked, self.config.seed, number)
        truth.right = None if answer is None else answer.right
        reply = state.cached(reply_to(asked, truth.id, provider, draws, number, answer))
        truth.cached_tokens = reply.cached_tokens if speaker.stream else None
        _limit(state, asked.input_tokens + (reply.output_tokens if speaker.stream else 0), request)
        response = spoken(reply, speaker, truth, provider, draws, fault, state.load, request.place)
        response.headers += speaker.headers(reply)
        response.headers += limit_headers(speaker.family, state.limiter.meters(request.received_ns * 1e-9))
        return response

    def _of_job(self, request: Request, route: Route, truth: Truth, state: _State) -> Response:
        """The answer of a batch endpoint. What asks for a job is in no truth: its creation is, as the job."""
        voice, act, now_s = speak_batches.VOICES[route.dialect], route.query["act"], request.received_ns * 1e-9
        if act == "create":
            return self._created(request, route, truth, state)
        if act == "upload":
            body = speak_batches.upload(state.jobs, request, f"file-{truth.id}")
        elif act == "status":
            body = voice.status(state.jobs.find(route.query["id"]), now_s, speak_batches.url_of(request))
        else:
            body = voice.results(state.jobs, route.query["id"], now_s)
        response = plain(truth, SPEAKERS[route.dialect].family, 200, body)
        response.recorded = False
        return response

    def _created(self, request: Request, route: Route, truth: Truth, state: _State) -> Response:
        """A job begins, unless a fault strikes its creation; others strike its prompts."""
        voice, speaker, provider = speak_batches.VOICES[route.dialect], SPEAKERS[route.dialect], state.provider
        active = state.faults(self._elapsed_s(request))
        forced = _forced(request, provider)
        fault = forced or chosen(active, draws_of(provider, self.config.seed, state.next_number()).fault)
        truth.fault = fault.kind if fault else None
        if fault is not None and fault.kind in REFUSALS:
            raise Denied(REFUSALS[fault.kind], f"Simulated fault: {fault.kind}.")
        if fault is not None and fault.kind in UNANSWERED:
            response = plain(truth, speaker.family, 200, b"")
            response.outcome = f"fault:{fault.kind}"
            no_reply_into(response, fault)
            return response
        items = []
        for key, body in voice.read(request.body, state.jobs):
            draws = draws_of(provider, self.config.seed, number := state.next_number())
            struck = forced or chosen(active, draws.fault)
            items.append(item_of(key, body, route.query, speaker, provider, draws, number, state.load, struck))
        job = state.jobs.create(voice.prefix + truth.id.removeprefix("req_"), items, request)
        return _answer_with(job, voice.status(job, 0.0, f"{speak_batches.url_of(request)}/{job.id}"), truth, speaker)

    def _elapsed_s(self, request: Request) -> float:
        return (request.received_ns - self.begin_ns) * 1e-9

    def _refused(self, route: Route, truth: Truth, denied: Denied) -> Response:
        family = SPEAKERS[route.dialect].family
        no = refusal(family, denied.cause, denied.message, truth.id, denied.wait_s, denied.limit)
        response = plain(truth, family, no.status, no.body)
        response.outcome = f"fault:{truth.fault}" if truth.fault in REFUSALS else "rejected"
        response.headers = no.headers
        response.close = denied.cause == "too_large"
        if route.provider is not None:
            meters = self._states[route.provider.name].limiter.meters(truth.received_ns * 1e-9)
            response.headers += limit_headers(family, meters)
        return response

    def _page(self, request: Request) -> Response | None:
        """`/`, `/healthz` and the list of models, which no truth is written about; None for any other path."""
        path = request.target.partition("?")[0]
        if path not in ("/", "/healthz") and not path.endswith("/models"):
            return None
        truth = Truth(id=self._next_id(), provider="", dialect="", path=path, received_ns=request.received_ns)
        if path in ("/", "/healthz"):
            page = plain(truth, "openai", 200, encode({"status": "ok"}))
        elif self.config.keys and not any_keys(request.headers, request.target) & set(self.config.keys):
            page = plain(truth, "openai", 401, refusal("openai", "auth", _WRONG_KEY, truth.id).body)
        else:
            page = plain(truth, "openai", 200, self._models())
        page.recorded = False
        return page

    def _models(self) -> bytes:
        models = [{"id": name, "object": "model", "created": 0, "owned_by": name} for name in self._providers]
        return encode({"object": "list", "data": models})


_WRONG_KEY = "Incorrect API key provided. The simulator accepts the keys of its configuration, by default sim-key."


def _checked(request: Request, route: Route, config: Config) -> Provider:
    """The provider, when path, method, size, key and version will do. Raises Denied."""
    if route.provider is None:
        raise Denied("not_found", f"Nothing is served at {request.method} {route.path}")
    method = "GET" if route.query.get("act") in ("status", "results") else "POST"
    if request.method != method:
        raise Denied("method", f"{request.method} is not allowed here; use {method}")
    keys = config.keys if route.provider.keys is None else route.provider.keys
    if request.headers.get("authorization", "").startswith(sigv4.SCHEME) and route.dialect == "bedrock-converse":
        _check_signature(request, keys)
    elif keys and key_in(request.headers, route) not in keys:
        raise Denied("auth", _WRONG_KEY)
    if request.too_large:
        raise Denied("too_large", f"The request body exceeds {config.max_body_bytes} bytes")
    if route.dialect.startswith("anthropic-") and "anthropic-version" not in request.headers:
        raise Denied("bad_request", "anthropic-version: header is required")
    return route.provider


def _check_signature(request: Request, keys: tuple[str, ...]) -> None:
    """Raises Denied. Any id will do, with one of the keys as its secret."""
    fault = sigv4.fault_in(request.method, request.target, request.headers, request.body, keys)
    if keys and fault is not None:
        raise Denied("auth", fault)


def _answer_with(job: Job, body: bytes, truth: Truth, speaker: Speaker) -> Response:
    """The answer to the creation of a job. Its truth is the job's, which ends when the last prompt is answered: that is
    known beforehand."""
    replies = [item.reply for item in job.items if item.reply is not None]
    truth.id, truth.end_ns = job.id, round(job.end_s * 1e9)
    truth.model = next((reply.model for reply in replies), "")
    truth.input_tokens = sum(reply.asked.input_tokens for reply in replies)
    truth.output_tokens = sum(reply.output_tokens for reply in replies)
    truth.reasoning_tokens = sum(reply.reasoning_tokens for reply in replies)
    truth.cached_tokens = sum(reply.cached_tokens for reply in replies)
    truth.items = len(replies)
    truth.fault = truth.fault or next((item.fault for item in job.items if item.fault), None)
    response = plain(truth, speaker.family, 200, body)
    response.outcome = "rejected" if job.invalid else f"fault:{truth.fault}" if truth.fault else "complete"
    return response


def _forced(request: Request, provider: Provider) -> Fault | None:
    """The fault that the request asks for itself, as the provider's own fault of that kind is configured."""
    kind = request.headers.get(FAULT_HEADER)
    if kind is None:
        return None
    if kind not in get_args(FaultKind):
        raise Refused(f"{FAULT_HEADER}: {kind}: one of {', '.join(get_args(FaultKind))}")
    own = [fault for fault in provider.faults if fault.kind == kind]
    return own[0] if own else msgspec.convert({"kind": kind}, Fault)


def _limit(state: _State, tokens: int, request: Request) -> None:
    """Count the request in, or raise Denied."""
    provider, load = state.provider, state.load
    limited = provider.capacity is not None and provider.queue_limit is not None
    if limited and load.in_flight >= (provider.capacity or 0) + (provider.queue_limit or 0):
        anthropic = "anthropic-messages" in provider.dialects
        raise Denied("overloaded" if anthropic else "unavailable", "The provider is overloaded; try again later.")
    throttled = state.limiter.admit(tokens, load.in_flight, request.received_ns * 1e-9)
    if throttled is not None:
        message = f"Rate limit reached: {throttled.limit} {throttled.name}. Try again in {throttled.wait_s:.3f}s."
        raise Denied("rate_limit", message, throttled.wait_s, throttled.name)
