"""Asking the plan's embedder and judge about the replies of a run: journals -> `grades.jsonl`.

It happens after the load, so that nothing that is measured is disturbed. What was asked once is not asked again: a
grading that was broken off goes on where it ended.
"""

from __future__ import annotations

import random
import re
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from harness.errors import UNREADABLE
from harness.grading.second_opinion import HelpRefused, answered, embedded, named
from harness.plan import Plan, Target, Workload
from harness.plan_file import read_plan
from harness.prompts import prompt
from harness.questions.asking import asked
from harness.questions.judging import judge_prompt, marks_in
from harness.records.grade_record import Embedding, Likeness, Line, Mark, decode, encode, text_id
from harness.records.question import read_questions
from harness.rundir import RunDir
from harness.runs.reachable import reachable
from harness.sample import Outcome, Sample
from harness.sample import decode as decode_sample

_MOST_TEXTS = 2000  # of a target and workload that are embedded
_BATCH = 64
_AT_ONCE = 4
_JUDGE_TOKENS = 200
_SENTENCE = re.compile(r"(?<=[.!?\u3002\uff01\uff1f])\s+")
_DIGITS = 5


@dataclass(frozen=True)
class Reply:
    """A reply that came whole, and the prompt it answers."""

    target: str
    workload: str
    prompt_id: str
    prompt: str
    text: str

    @property
    def id(self) -> str:
        """What stands for its text."""
        return text_id(self.text)


@dataclass
class Graded:
    """What a grading did: replies `embedded` and `judged`, requests `refused` and what the last of them said."""

    embedded: int = 0
    judged: int = 0
    refused: int = 0
    said: str = ""
    done: set[tuple[str, ...]] = field(default_factory=set)


def grade(run_dir: RunDir, watch: Callable[[int, int], None]) -> Graded:
    """Ask the helpers that the run's plan names; `watch` hears how many of how many requests are done.

    Raises UsageFault where there is no plan, no such target or no key. What a helper refuses is counted, not raised.
    """
    plan = read_plan(str(run_dir.plan))
    replies = list(_replies(plan, run_dir))
    found = Graded(done=_done(run_dir.grades))
    with ExitStack() as stack, run_dir.grades.open("ab") as out, _client() as client:
        helpers = {
            name: stack.enter_context(reachable(plan, named(plan.targets, name)))
            for name in dict.fromkeys((plan.quality.embedder, plan.quality.judge))
            if name is not None
        }
        work = list(_work(plan, replies, found, client, helpers))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for number, lines in enumerate(pool.map(_heard(found), work), 1):
                out.write(b"".join(map(encode, lines)))
                watch(number, len(work))
    return found


def _client() -> httpx.Client:
    """No proxy, as in a run; no redirect, which would carry the key along; certificates are verified."""
    return httpx.Client(trust_env=False, follow_redirects=False, verify=ssl.create_default_context())


_Helpers = dict[str, tuple[Target, str | None]]
_Work = Callable[[], list[Line]]


def _heard(found: Graded) -> Callable[[_Work], list[Line]]:
    def heard(work: _Work) -> list[Line]:
        try:
            lines = work()
        except HelpRefused as refusal:
            found.refused += 1
            found.said = str(refusal)
            return []
        found.embedded += sum(isinstance(line, Embedding) for line in lines)
        found.judged += sum(isinstance(line, Mark) for line in lines)
        return lines

    return heard


def _work(plan: Plan, replies: list[Reply], found: Graded, client: httpx.Client, helpers: _Helpers) -> Iterator[_Work]:
    """What is still to be asked, a request or a few each."""
    embedder, judge = plan.quality.embedder, plan.quality.judge
    chosen = list(_drawn(plan, replies))
    if embedder is not None:
        texts = {
            reply.id: reply.text
            for reply in _asked_again(replies)
            if ("embedding", embedder, reply.id) not in found.done
        }
        keys = list(texts)
        for begin in range(0, len(keys), _BATCH):
            batch = {key: texts[key] for key in keys[begin : begin + _BATCH]}
            yield _embeddings(client, embedder, helpers[embedder], batch)
        if judge is None:
            for reply in chosen:
                if ("likeness", embedder, reply.target, reply.workload, reply.id) not in found.done:
                    yield _likeness(client, embedder, helpers[embedder], reply)
    if judge is not None:
        for reply in chosen:
            for swapped in (False, True):
                if ("mark", judge, reply.target, reply.workload, reply.id, str(swapped)) not in found.done:
                    yield _mark(client, judge, helpers[judge], reply, swapped=swapped)


def _embeddings(client: httpx.Client, name: str, helper: tuple[Target, str | None], texts: dict[str, str]) -> _Work:
    def ask() -> list[Line]:
        vectors = embedded(client, *helper, list(texts.values()))
        return [
            Embedding(embedder=name, text_id=key, vector=tuple(map(float, vector.round(_DIGITS))))
            for key, vector in zip(texts, vectors, strict=True)
        ]

    return ask


def _likeness(client: httpx.Client, name: str, helper: tuple[Target, str | None], reply: Reply) -> _Work:
    def ask() -> list[Line]:
        sentences = [each for each in _SENTENCE.split(reply.text) if each.strip()][:_BATCH]
        vectors = embedded(client, *helper, [reply.prompt, reply.text, *(sentences if len(sentences) > 1 else [])])
        steps = np.sum(vectors[2:-1] * vectors[3:], axis=1)
        return [
            Likeness(
                embedder=name,
                target=reply.target,
                workload=reply.workload,
                text_id=reply.id,
                relevance=round(float(vectors[0] @ vectors[1]), _DIGITS),
                coherence=round(float(np.mean(steps)), _DIGITS) if len(steps) else None,
            )
        ]

    return ask


def _mark(client: httpx.Client, name: str, helper: tuple[Target, str | None], reply: Reply, *, swapped: bool) -> _Work:
    def ask() -> list[Line]:
        wanted = judge_prompt(reply.prompt, reply.text, swapped=swapped)
        relevance, coherence = marks_in(answered(client, *helper, wanted, _JUDGE_TOKENS))
        return [
            Mark(
                judge=name,
                target=reply.target,
                workload=reply.workload,
                text_id=reply.id,
                swapped=swapped,
                relevance=relevance,
                coherence=coherence,
            )
        ]

    return ask


def _drawn(plan: Plan, replies: list[Reply]) -> Iterator[Reply]:
    """At most `judged` different replies of each target and workload, drawn by the plan's seed."""
    groups: dict[tuple[str, str], dict[str, Reply]] = {}
    for reply in replies:
        groups.setdefault((reply.target, reply.workload), {}).setdefault(reply.id, reply)
    for (target, workload), own in sorted(groups.items()):
        rng = random.Random(f"{plan.seed}/judged/{target}/{workload}")  # noqa: S311
        yield from rng.sample(sorted(own.values(), key=lambda each: each.id), min(plan.quality.judged, len(own)))


def _asked_again(replies: list[Reply]) -> Iterator[Reply]:
    """The replies to prompts that were answered more than once, up to a number of each target and workload."""
    groups: dict[tuple[str, str, str], list[Reply]] = {}
    for reply in replies:
        groups.setdefault((reply.target, reply.workload, reply.prompt_id), []).append(reply)
    taken: dict[tuple[str, str], int] = {}
    for (target, workload, _), own in groups.items():
        before = taken.get((target, workload), 0)
        if len(own) > 1 and before < _MOST_TEXTS:
            taken[target, workload] = before + len(own)
            yield from own


def _replies(plan: Plan, run_dir: RunDir) -> Iterator[Reply]:
    """Every whole reply whose text was kept."""
    workloads = {workload.name: workload for workload in plan.workloads}
    prompts: dict[tuple[str, str, str], str] = {}
    stems = {name: _asked_texts(run_dir, workload) for name, workload in workloads.items()}
    for path in sorted(run_dir.journals.glob("*.jsonl")):
        for sample in _samples(path):
            if sample.text is None or sample.outcome is not Outcome.OK or sample.workload not in workloads:
                continue
            key = (sample.target, sample.workload, sample.prompt_id)
            if key not in prompts:
                again = stems[sample.workload].get(sample.prompt_id)
                prompts[key] = again or _made_again(plan, workloads[sample.workload], sample)
            yield Reply(sample.target, sample.workload, sample.prompt_id, prompts[key], sample.text)


def _asked_texts(run_dir: RunDir, workload: Workload) -> dict[str, str]:
    """The prompts of a workload of questions, by their ids."""
    if workload.questions is None:
        return {}
    every = read_questions(run_dir.questions(workload.name))
    return {f"{workload.name}-{each.id}": asked(each) for each in every}


def _made_again(plan: Plan, workload: Workload, sample: Sample) -> str:
    """A synthetic prompt, from the number in its id; of a conversation what its turn says, and nothing before."""
    number = int(sample.prompt_id.rpartition("-")[2].partition(".")[0])
    turn = sample.turn or 1
    return prompt(plan.seed, workload, number * workload.ask_times, sample.target, turn, sample.run).texts[0]


def _samples(path: Path) -> Iterator[Sample]:
    with path.open("rb") as lines:
        for line in lines:
            try:
                record = decode_sample(line)
            except UNREADABLE:
                continue  # torn: analysis tells of it
            if isinstance(record, Sample):
                yield record


def _done(path: Path) -> set[tuple[str, ...]]:
    """What an earlier grading has asked; a torn last line is cut off."""
    if not path.exists():
        return set()
    whole = path.read_bytes()
    kept = whole[: whole.rfind(b"\n") + 1]
    if len(kept) < len(whole):
        path.write_bytes(kept)
    found: set[tuple[str, ...]] = set()
    for line in map(decode, kept.splitlines()):
        match line:
            case Embedding():
                found.add(("embedding", line.embedder, line.text_id))
            case Likeness():
                found.add(("likeness", line.embedder, line.target, line.workload, line.text_id))
            case Mark():
                found.add(("mark", line.judge, line.target, line.workload, line.text_id, str(line.swapped)))
    return found
