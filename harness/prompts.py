"""Prompt sources. A prompt is a pure function of seed, workload and index: every worker can make any of them.

Synthetic text is made of short common English words, which most tokenizers count as one token each; the provider's
own count is what is reported. Token counts asked for are therefore close, never exact.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from harness.dialects.wire import Image, Turn
from harness.inputs.lengths import Length, parse_length
from harness.plan import Images, Workload
from harness.questions.asking import asked
from harness.records.dialect_names import GENERATING
from harness.records.question import COPY_SUFFIX, Question, read_questions
from harness.workloads import structured
from harness.workloads.conversation_files import Said, read_conversations
from harness.workloads.echo import WORDS, code_of, instruction
from harness.workloads.pictures import png_text

_WORDS = (  # noqa: SIM905  (two hundred quoted words would be harder to read)
    "time year people way day man thing woman life child world school state family student group country problem "
    "hand part place case week company system program question work government number night point home water room "
    "mother area money story fact month lot right study book eye job word business issue side kind head house "
    "service friend father power hour game line end member law car city community name president team minute idea "
    "kid body information back parent face others level office door health person art war history party result "
    "change morning reason research girl guy moment air teacher force education foot boy age policy music market "
    "sense nation plan college interest death experience effect use class control care field development role "
    "effort rate heart drug show leader light voice wife police mind price report decision son view relation town "
    "road arm difference value building action season society tax director position player record paper space "
    "ground form event official matter center couple site project base activity star table need court oil half "
    "situation cost industry figure street image phone data picture practice piece land product doctor wall "
    "patient worker news test movie north love support technology step baby computer type attention film tree "
    "source organization hair look century evidence window culture chance brother energy period course summer "
    "plant opportunity term letter condition choice rule daughter south husband floor campaign material "
    "population economy hospital church risk fire future bank sound station"
).split()

CELL_PROMPTS = 10_000_000  # the prompts of one stage of one repeat are numbered up to here
_OWN_WORDS = 8
_ASK = "Write a long continuation of the following words."


@dataclass(frozen=True)
class Prompt:
    """One request's content. `texts`: the prompt; the batch of an embeddings request; query, then documents, of a
    rerank request; the prompts of a job. `max_tokens` caps the reply of a chat, and each reply of a job. `code` is what
    the reply must repeat, where that is asked. Of a conversation: which one, the number of the turn, and what was said
    before it. `images` stand beside the prompt."""

    id: str
    texts: tuple[str, ...]
    max_tokens: int | None
    code: str | None = None
    conversation: str | None = None
    turn: int | None = None
    history: tuple[Turn, ...] = ()
    images: tuple[Image, ...] = ()
    last: bool = True  # no turn follows


def prompt(seed: int, workload: Workload, index: int, asker: str = "", turn: int = 1, run: str = "") -> Prompt:
    """The `index`-th prompt of a workload: of the same lengths and mostly the same words for every target.

    With `unique_prompts` the words that follow the shared part begin with some that belong to the index and to the
    `asker` (the target's name), so that no provider can answer from a cache of an earlier prompt, even when two
    targets are one server; without it a set of 32 prompts is repeated. `prefix_share` of each text is common to all.
    A workload of questions asks all of its set in a shuffled order, and again in another, alike in every stage, in
    every repeat and of every target, so that answers can be set side by side. `turn` of a conversation, counted from
    1, has words of its own. `run` is what a nonce is drawn from as well.
    """
    if workload.questions is not None:
        return _question(seed, workload, workload.questions, index)
    which = index // workload.ask_times
    which = which if workload.unique_prompts else which % 32
    conversation = f"{workload.name}-{which}"
    drawn = which if workload.turns == 1 else f"{which}.{turn}"
    rng = random.Random(f"{seed}/{workload.name}/{drawn}")  # noqa: S311  (a workload, not a secret)
    ask, cap = _lengths(workload)
    length = ask.draw(rng)
    max_tokens = cap.draw(rng) if workload.kind in GENERATING else None
    count = workload.batch + (workload.kind == "rerank")
    own = random.Random(f"{seed}/{workload.name}/{drawn}/{asker}") if workload.unique_prompts else rng  # noqa: S311
    code = code_of(seed, workload.name, which, asker) if workload.echo else None
    rest = length if code is None else max(1, length - WORDS)
    last = turn >= workload.turns
    texts: tuple[str, ...]
    if workload.conversations is not None:
        said = _recorded(f"{seed}/{workload.name}", workload.conversations, which)
        texts, last = (said[min(turn, len(said)) - 1],), last or turn >= len(said)
    else:
        texts = tuple(_text(seed, workload, rng, own, rest) for _ in range(count))
    texts = _dressed(texts, workload, code, f"{run}/{seed}/{workload.name}/{index}/{turn}/{asker}")
    images = _images(workload.images, f"{seed}/{workload.name}/{drawn}/{asker}")
    if workload.turns == 1:
        return Prompt(conversation, texts, max_tokens, code, images=images)
    return Prompt(f"{conversation}.{turn}", texts, max_tokens, code, conversation, turn, images=images, last=last)


def _dressed(texts: tuple[str, ...], workload: Workload, code: str | None, drawn_from: str) -> tuple[str, ...]:
    """The texts with what a workload puts before and after them."""
    if code is not None:
        texts = tuple(f"{text}. {instruction(code)}" for text in texts)
    if workload.structured:
        texts = tuple(f"{text}. {structured.ASK}" for text in texts)
    return tuple(f"{_nonce(drawn_from)} {text}" for text in texts) if workload.nonce else texts


def _recorded(key: str, path: str, which: int) -> Said:
    """One of the recorded conversations: all of them in a shuffled order, then again in another."""
    every = read_conversations(path)
    cycle, place = divmod(which % CELL_PROMPTS, len(every))
    return every[_order(f"{key}/{cycle}", len(every))[place]]


def _nonce(drawn_from: str) -> str:
    """A word of 16 hexadecimal digits."""
    return blake2b(drawn_from.encode(), digest_size=8).hexdigest()


def _images(images: Images | None, seed: str) -> tuple[Image, ...]:
    if images is None:
        return ()
    if images.url is not None:
        return (Image(url=images.url),) * images.count
    return tuple(Image(data=png_text(images.width, images.height, f"{seed}/{k}")) for k in range(images.count))


def _question(seed: int, workload: Workload, source: str, index: int) -> Prompt:
    every = _questions(source)
    cycle, place = divmod(index % CELL_PROMPTS // workload.ask_times, len(every))
    question = every[_order(f"{seed}/{workload.name}/{cycle}", len(every))[place]]
    rng = random.Random(f"{seed}/{workload.name}/{index}")  # noqa: S311
    return Prompt(f"{workload.name}-{question.id}", (asked(question),), _lengths(workload)[1].draw(rng))


@lru_cache(maxsize=64)
def _questions(source: str) -> tuple[Question, ...]:
    if source.endswith(COPY_SUFFIX):
        return read_questions(Path(source))
    from harness.questions.question_files import load_questions  # noqa: PLC0415  (workers have a copy, and need no readers)

    return load_questions(source)


@lru_cache(maxsize=64)
def _order(key: str, count: int) -> list[int]:
    return random.Random(key).sample(range(count), count)  # noqa: S311


@lru_cache(maxsize=64)
def _parsed(value: int | str) -> Length:
    return parse_length(value)


def _lengths(workload: Workload) -> tuple[Length, Length]:
    return _parsed(workload.input_tokens), _parsed(workload.output_tokens)


def _text(seed: int, workload: Workload, rng: random.Random, own: random.Random, length: int) -> str:
    shared = round(length * workload.prefix_share)
    first = min(_OWN_WORDS, length - shared)
    rest = rng.choices(_WORDS, k=length - shared - first)
    words = [*_shared_words(seed, shared), *own.choices(_WORDS, k=first), *rest]
    if workload.kind in GENERATING:
        instruction = _ASK.split()
        words = instruction[: max(0, length - 1)] + words[: length - min(len(instruction), max(0, length - 1))]
    return " ".join(words)


@lru_cache(maxsize=256)
def _shared_words(seed: int, count: int) -> tuple[str, ...]:
    return tuple(random.Random(f"{seed}/prefix").choices(_WORDS, k=count))  # noqa: S311
