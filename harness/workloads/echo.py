"""Whether a reply belongs to its request: the prompt asks for a code that no other has, and the reply repeats it.

A reply that holds the code of another request is that one's reply: somebody crossed the two. One that holds no code
proves nothing: a model need not do as it is told, and a reply may be cut before the code. Pure.
"""

from __future__ import annotations

import hashlib
import re

from harness.sample import Echo

_ASK = "Begin your reply with the code"
_CODE = re.compile(r"REF-\d{10}(?!\d)")
_ASKED = re.compile(rf"{_ASK} (REF-\d{{10}})\.")
WORDS = len(_ASK.split()) + 1


def code_of(seed: int, workload: str, index: int, asker: str) -> str:
    """The code of one prompt: ten digits that nothing but the arguments decide. Two prompts have the same by a chance
    of 1 in 10^10."""
    digest = hashlib.blake2b(f"{seed}/{workload}/{index}/{asker}".encode(), digest_size=8).digest()
    return f"REF-{int.from_bytes(digest) % 10**10:010d}"


def instruction(code: str) -> str:
    """The words that ask for the code; they end a prompt, so that a shared prefix stays shared."""
    return f"{_ASK} {code}."


def code_asked(text: str) -> str | None:
    """The code that a prompt asks for: the last, where several do. None: it asks for none."""
    found = _ASKED.findall(text)
    return found[-1] if found else None


def echo_of(text: str, code: str) -> Echo:
    """Whose reply a text is. Where it holds several codes it is another's, since a part of it is."""
    found = set(_CODE.findall(text))
    if found - {code}:
        return "other"
    return "own" if found else "missing"
