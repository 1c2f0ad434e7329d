"""Conversations: a user of a closed stage asks one turn after another, each with all that was said before."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.dialects.wire import Turn
from harness.prompts import Prompt
from harness.sample import Outcome, Sample


@dataclass(frozen=True)
class Conversation:
    """One that goes on: the number of its prompt in the workload, the turn that comes next, and what was said."""

    index: int
    turn: int = 1
    history: tuple[Turn, ...] = ()

    def said(self, prompt: Prompt) -> Prompt:
        """The prompt of this turn, with what was said before."""
        return replace(prompt, history=self.history)

    def after(self, prompt: Prompt, sample: Sample) -> Conversation | None:
        """What it is after a turn. None: it is over, since that was the last one, or since a reply failed or had no
        text, which nobody could go on from."""
        if prompt.last or sample.outcome is not Outcome.OK or not sample.text:
            return None
        heard = (Turn("user", prompt.texts[0]), Turn("assistant", sample.text))
        return Conversation(self.index, self.turn + 1, (*self.history, *heard))
