"""A simulated judge: marks of a reply by plain rules, with noise, so that what is made of marks can be proved. Pure."""

from __future__ import annotations

import random
from itertools import pairwise

from harness.questions.judging import HIGHEST, LOWEST
from harness.simulator.skill import Answer

_NOISE = (-1, 0, 0, 0, 0, 0, 0, 1)


def marks_for(prompt: str, reply: str, seed: str, number: int) -> Answer:
    """Relevance by the share of the reply's words that are of the prompt, coherence by how seldom it says a word twice
    running; one request in four is a mark off in each."""
    rng = random.Random(f"{seed}/{number}/marks")
    words, known = reply.lower().split(), set(prompt.lower().split())
    shared = sum(word in known for word in words) / (len(words) or 1)
    stammered = sum(a == b for a, b in pairwise(words)) / (len(words) or 1)
    relevance = _mark(1 + 4 * shared**0.5 + rng.choice(_NOISE))
    coherence = _mark(5 - 8 * stammered + rng.choice(_NOISE))
    return Answer(words=("Relevance:", f" {relevance},", " Coherence:", f" {coherence}"), right=None)


def _mark(value: float) -> int:
    return min(HIGHEST, max(LOWEST, round(value)))
