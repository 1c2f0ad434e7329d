"""This project's own questions: arithmetic, logic and reading, made from a seed. No two sets of one seed differ."""

from __future__ import annotations

from harness.questions.draws import Rng, one, seeded, shuffled
from harness.questions.own_arithmetic import arithmetic
from harness.questions.own_draft import Draft
from harness.questions.own_logic import logic
from harness.questions.own_reading import reading
from harness.records.question import Question, letters

_SUBJECTS = (arithmetic, logic, reading)
_TRIES = 1000


def own_questions(count: int, seed: int) -> tuple[Question, ...]:
    """So many questions, all different. A smaller count gives the first ones of a larger. The right letter of choices
    is each as often as another, to within one. Raises ValueError where so many cannot be made."""
    found: list[Question] = []
    seen: set[str] = set()
    rows: dict[int, list[str]] = {}
    for index in range(count):
        rng = seeded(f"own/{seed}/{index}")
        draft = _new(rng, index, seen)
        seen.add(draft.stem)
        size = len(draft.wrong) + 1
        row = rows.setdefault(size, [])
        if not row:
            row += shuffled(rng, letters(size))
        found.append(_lettered(rng, draft, f"own-{index + 1}", row.pop() if draft.wrong else ""))
    return tuple(found)


def _new(rng: Rng, index: int, seen: set[str]) -> Draft:
    """A draft that was not made before; the subjects take turns."""
    for attempt in range(_TRIES):
        subject = _SUBJECTS[index % 3] if attempt < _TRIES // 2 else one(rng, _SUBJECTS)
        draft = subject(rng)
        if draft.stem not in seen:
            return draft
    raise ValueError(f"no new question after {len(seen)}: ask for fewer")


def _lettered(rng: Rng, draft: Draft, name: str, letter: str) -> Question:
    """The draft with its right choice at that letter ("": it has no choices)."""
    if not draft.wrong:
        return Question(
            id=name,
            subject=draft.subject,
            kind=draft.kind,
            stem=draft.stem,
            answer=draft.answer,
            references=draft.references,
        )
    choices = shuffled(rng, draft.wrong)
    choices.insert(letters(len(draft.wrong) + 1).index(letter), draft.answer)
    return Question(
        id=name, subject=draft.subject, kind="choice", stem=draft.stem, choices=tuple(choices), answer=letter
    )
