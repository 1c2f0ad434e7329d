"""What a chat may be asked for, and which of it goes together: a plan's rules on conversations, tools and forms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.cells import stages_of
from harness.plan import Plan, Workload

OF_CHAT_ALONE = (
    *("questions", "keep_text", "ask_times", "turns", "conversations", "nonce", "images", "tools", "structured"),
)
_FETCH_NO_IMAGE = ("bedrock-converse", "ollama")
_OWN_WORKLOAD = "give each its own workload"

Broken = tuple[str, Any, str, str]  # the key, its value, the rule and a hint


def faults_of_chat(plan: Plan, workload: Workload) -> Iterator[Broken]:
    """The rules that a workload breaks."""
    if workload.turns > 1:
        yield from _faults_of_turns(plan, workload)
    for name in ("questions", "echo"):
        if workload.conversations is not None and getattr(workload, name):
            yield "conversations", workload.conversations, f"does not go with `{name}`", _OWN_WORKLOAD
    for name in ("nonce", "images"):
        if workload.questions is not None and getattr(workload, name):
            yield name, None, "does not go with `questions`: a graded question is asked as it stands", _OWN_WORKLOAD
    yield from _faults_of_form(workload)
    if workload.images is not None and workload.images.url is not None:
        for target in plan.targets:
            if target.dialect in _FETCH_NO_IMAGE:
                hint = "leave out the url: pictures are then made here and sent along"
                yield "images.url", None, f"{target.dialect} takes no image by URL", hint


def _faults_of_turns(plan: Plan, workload: Workload) -> Iterator[Broken]:
    if any(stage.open for stage in stages_of(plan, workload)):
        hint = "name a concurrency: so many conversations are held at once"
        yield "turns", workload.turns, "wants closed stages: a turn follows the reply before it", hint
    others = ("questions", workload.questions), ("tools", workload.tools), ("ask_times", workload.ask_times > 1)
    for name, wanted in others:
        if wanted:
            yield "turns", workload.turns, f"does not go with `{name}`", _OWN_WORKLOAD


def _faults_of_form(workload: Workload) -> Iterator[Broken]:
    """A reply is of one form."""
    wanted = [name for name in ("structured", "tools", "echo", "questions") if getattr(workload, name)]
    if len(wanted) > 1 and wanted[0] in ("structured", "tools"):
        yield wanted[0], None, f"does not go with `{wanted[1]}`: a reply is of one form", _OWN_WORKLOAD
