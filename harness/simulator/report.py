"""A simulated structured reply: JSON of the schema that prompts ask for, or, now and then, nearly that."""

from __future__ import annotations

import random

from harness.simulator.skill import Answer
from harness.simulator.speech import WORDS

_BROKEN = (
    ('{"title":', ' "words",', ' "count": "three",', ' "tags": []}'),  # a number as text
    ("Here is", " the JSON:", ' {"title":', ' "words",', ' "count": 3,', ' "tags": []}'),
    ('{"title":', ' "words",', ' "count": 3}'),  # a field is missing
)


def report_for(seed: str, number: int, invalid: float) -> Answer:
    """Token by token; of the share `invalid` it is not of the schema, and then it is not right."""
    rng = random.Random(f"{seed}/{number}/report")
    if rng.random() < invalid:
        return Answer(words=rng.choice(_BROKEN), right=False)
    title, *tags = rng.sample(WORDS, 3)
    listed = (f' "tags": ["{tags[0]}",', f' "{tags[1]}"]}}')
    told = ('{"title":', f' "{title}",', f' "count": {rng.randrange(100)},', *listed)
    return Answer(words=told, right=True)
