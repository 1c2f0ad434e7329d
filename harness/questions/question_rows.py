"""Rows of published question sets -> questions. Pure: a row is a mapping of columns, however it was stored.

Known layouts, told by their columns:
  MMLU       question, subject, choices, answer (0 to 3, or A to D); MMLU-Pro: options, category and answer_index
  HellaSwag  ctx (or ctx_a and ctx_b), activity_label, endings, label
  ARC        id, question, choices of text and label, answerKey; also question.stem and question.choices
  own        question, with choices (or columns A, B, C ...) and answer as letter, index from 0 or text; or with answer,
             answers or references as free text or a number. `context` or `passage` stands before the question.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from harness.errors import UsageFault
from harness.inputs.numerals import number_of, same
from harness.records.question import Kind, Question, letters

LAYOUTS = (
    "known layouts: MMLU (question, choices, answer), HellaSwag (ctx, endings, label), ARC (question, choices, "
    "answerKey), own (question with choices and answer, or question with answer or references); see docs/quality.md"
)
_MOST_CHOICES = 26
_ARTEFACT = re.compile(r"\s?\[(?:title|header|step|substeps?)\]\s?")
_GSM8K = re.compile(r"####\s{0,3}(\S[^\n]{0,60})\s*\Z")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a row stands: `path:line`, or `path: row 3`."""

    name: str

    def refuse(self, column: str, value: object, rule: str, hint: str = LAYOUTS) -> NoReturn:
        """Raise the UsageFault of a wrong value."""
        shown = repr(value)
        shown = shown if len(shown) <= 80 else f"{shown[:80]}..."
        raise UsageFault(f"{self.name}: {column}: {shown}: {rule}", hint)

    def lacks(self, column: str, why: str) -> NoReturn:
        """Raise the UsageFault of a missing column."""
        raise UsageFault(f"{self.name}: {column}: missing: {why}", LAYOUTS)


@dataclass(frozen=True)
class _Read:
    """A row, read: its answer may still be a letter, an index or a text, which only all rows together tell."""

    place: Place
    id: str
    subject: str
    stem: str
    choices: tuple[str, ...]
    labels: tuple[str, ...]
    answer: Any
    column: str
    references: tuple[str, ...] = ()
    kind: Kind | None = None
    numeric: bool = False  # the choices were numbers, not texts


def questions_of(rows: Sequence[tuple[Place, Row]], subject: str) -> tuple[Question, ...]:
    """The questions of a set's rows. `subject` is theirs where the set names none.

    Raises UsageFault for the first row that is wrong, with its place, column, value and the rule.
    """
    read = [_read(place, _lowered(place, row), number, subject) for number, (place, row) in enumerate(rows, 1)]
    choosing = [row for row in read if row.choices]
    answers = dict(zip(map(id, choosing), _letters_of(choosing), strict=True))
    found: dict[str, Question] = {}
    for row in read:
        question = _choice(row, answers[id(row)]) if row.choices else _free(row)
        if question.id in found:
            row.place.refuse("id", question.id, "an earlier row has it: ids are unique")
        found[question.id] = question
    return tuple(found.values())


def _lowered(place: Place, row: Row) -> dict[str, Any]:
    """The columns that hold something, by their names in small letters."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        key = str(name).strip().lower()
        if key in found:
            place.refuse(str(name), value, "stands twice, in capitals and in small letters")
        if value is not None:
            found[key] = value
    inner = found.get("train")
    if len(found) == 1 and isinstance(inner, Mapping):  # MMLU's auxiliary set
        return _lowered(place, inner)
    return found


def _read(place: Place, row: dict[str, Any], number: int, subject: str) -> _Read:
    if "endings" in row:
        return _hellaswag(place, row, number)
    if "answerkey" in row:
        return _arc(place, row, number)
    return _own(place, row, number, subject)


def _hellaswag(place: Place, row: dict[str, Any], number: int) -> _Read:
    if "ctx" in row:
        context = _text(place, row, "ctx")
    elif "ctx_a" in row:
        second = _text(place, row, "ctx_b", empty=True) if "ctx_b" in row else ""
        context = f"{_text(place, row, 'ctx_a')} {second[:1].upper()}{second[1:]}".strip()
    else:
        place.lacks("ctx", "a row with endings has ctx, or ctx_a and ctx_b")
    activity = _text(place, row, "activity_label") if "activity_label" in row else ""
    begun = _without_artefacts(f"{activity}: {context}" if activity else context)
    if "label" not in row:
        place.lacks("label", "it says which of the endings is right")
    return _Read(
        place=place,
        id=str(number),
        subject="hellaswag",
        stem=f"Which ending continues the text best?\n\n{begun}",
        choices=tuple(map(_without_artefacts, _texts(place, row, "endings"))),
        labels=(),
        answer=row["label"],
        column="label",
    )


def _without_artefacts(text: str) -> str:
    """Without the marks that WikiHow's pages left in the set: a title is a sentence, the others are nothing."""
    text = text.replace(" [title]", ". ")
    return " ".join(_ARTEFACT.sub(" ", text).split())


def _arc(place: Place, row: dict[str, Any], number: int) -> _Read:
    question = row.get("question")
    inner = _lowered(place, question) if isinstance(question, Mapping) else row
    stem = _text(place, inner, "stem") if inner is not row else _text(place, row, "question")
    texts, labels = _labelled(place, inner)
    return _Read(
        place=place,
        id=_name(place, row, number),
        subject="arc",
        stem=stem,
        choices=texts,
        labels=labels,
        answer=row["answerkey"],
        column="answerKey",
    )


def _labelled(place: Place, row: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Texts and labels of choices: a mapping of two lists, or a list of mappings of two."""
    value = row.get("choices")
    if isinstance(value, Mapping):
        columns = _lowered(place, value)
    elif isinstance(value, Sequence) and value and all(isinstance(each, Mapping) for each in value):
        pairs = [_lowered(place, each) for each in value]
        columns = {key: [pair.get(key) for pair in pairs] for key in ("text", "label")}
    elif value is None:
        place.lacks("choices", "a row with answerKey has them")
    else:
        place.refuse("choices", value, "neither lists of text and label, nor a list of objects with text and label")
    texts, labels = _texts(place, columns, "text"), _texts(place, columns, "label")
    if len(texts) != len(labels):
        place.refuse("choices", value, f"{len(texts)} texts and {len(labels)} labels: each choice has both")
    if len(set(labels)) != len(labels):
        place.refuse("choices", value, "a label stands twice")
    return texts, labels


def _own(place: Place, row: dict[str, Any], number: int, subject: str) -> _Read:
    column = next((name for name in ("question", "stem") if name in row), None)
    if column is None:
        place.lacks("question", f"there are only {', '.join(row) or 'empty columns'}")
    stem = _text(place, row, column)
    if before := next((name for name in ("context", "passage") if name in row), None):
        stem = f"{_text(place, row, before, empty=True)}\n\n{stem}".strip()
    group = next((name for name in ("subject", "category") if name in row), None)
    kind = row.get("kind")
    if kind not in (None, "choice", "number", "text"):
        place.refuse("kind", kind, "not one of choice, number, text")
    choices = _own_choices(place, row)
    if (kind == "choice") != bool(choices) and kind is not None:
        place.refuse("kind", kind, f"but the row has {'choices' if choices else 'no choices'}")
    answer, answer_column, references = _own_answer(place, row, choices)
    return _Read(
        place=place,
        id=_name(place, row, number),
        subject=(_text(place, row, group, empty=True) if group else "") or subject,
        stem=stem,
        choices=choices,
        labels=(),
        answer=answer,
        column=answer_column,
        references=references,
        kind=kind,
        numeric=not any(isinstance(each, str) for each in row.get("choices") or row.get("options") or ("",)),
    )


def _own_choices(place: Place, row: dict[str, Any]) -> tuple[str, ...]:
    listed = [name for name in ("choices", "options") if _filled(row.get(name))]
    lettered = [letter for letter in letters(_MOST_CHOICES).lower() if letter in row]
    if len(listed) + bool(lettered) > 1:
        place.refuse(listed[-1], row[listed[-1]], "choices stand in other columns too")
    if listed:
        return _texts(place, row, listed[0])
    while lettered and row[lettered[-1]] == "":  # fewer choices than the set has columns
        lettered.pop()
    for letter, wanted in zip(lettered, letters(_MOST_CHOICES).lower(), strict=False):
        if letter != wanted:
            place.lacks(wanted.upper(), f"there is a column {letter.upper()}")
    found = tuple(_text(place, row, letter) for letter in lettered)
    if len(found) == 1:
        place.refuse("A", found[0], "the only choice: a question has 2 or more")
    return found


def _filled(value: object) -> bool:
    return value is not None and value != "" and not (isinstance(value, Sequence) and len(value) == 0)


def _own_answer(place: Place, row: dict[str, Any], choices: tuple[str, ...]) -> tuple[Any, str, tuple[str, ...]]:
    """The answer, the column that it stands in, and every text that counts."""
    if choices:
        column = next((name for name in ("answer", "answer_index", "label") if name in row), None)
        if column is None:
            place.lacks("answer", "it says which of the choices is right")
        _check_index(place, row, choices)
        return row[column], column, ()
    columns = [name for name in ("answer", "answers", "references") if _filled(row.get(name))]
    if not columns:
        place.lacks("answer", "a question without choices has answer, answers or references")
    texts = [text for name in columns for text in _accepted(place, row, name)]
    return texts[0], columns[0], tuple(dict.fromkeys(texts))


def _check_index(place: Place, row: dict[str, Any], choices: tuple[str, ...]) -> None:
    """MMLU-Pro names the right choice twice: by letter and by index."""
    letter, index = row.get("answer"), row.get("answer_index")
    if not isinstance(index, int) or not isinstance(letter, str) or letter.strip() not in tuple(letters(len(choices))):
        return
    if letters(len(choices)).index(letter.strip()) != index:
        place.refuse("answer_index", index, f"contradicts the answer {letter!r}")


def _accepted(place: Place, row: dict[str, Any], column: str) -> list[str]:
    """The texts of a column of answers: one, a list, or SQuAD's object with a list `text`."""
    value = row[column]
    if isinstance(value, Mapping):
        inner = _lowered(place, value)
        name = next((key for key in ("text", "aliases", "value") if key in inner), None)
        if name is None:
            place.refuse(column, dict(value), "an object without text")
        return _accepted(place, {column: inner[name]}, column)
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if not values:
        place.refuse(column, value, "no answer in it: questions that cannot be answered cannot be graded")
    return [_answer_text(place, column, each) for each in values]


def _answer_text(place: Place, column: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or value != value:  # noqa: PLR0124  (NaN)
        place.refuse(column, value, "neither text nor a number")
    text = str(value).strip()
    if not text:
        place.refuse(column, value, "empty")
    final = _GSM8K.search(text)
    return final[1].strip() if final else text


def _text(place: Place, row: dict[str, Any], column: str, *, empty: bool = False) -> str:
    value = row.get(column)
    if value is None:
        place.lacks(column, "this layout has it")
    if not isinstance(value, str):
        place.refuse(column, value, "not text")
    if not value.strip() and not empty:
        place.refuse(column, value, "empty")
    return value.strip()


def _texts(place: Place, row: dict[str, Any], column: str) -> tuple[str, ...]:
    values = row.get(column)
    if values is None:
        place.lacks(column, "this layout has it")
    if isinstance(values, str) or not isinstance(values, Sequence):
        place.refuse(column, values, "not a list")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            place.refuse(column, value, "not text, in a list of texts")
    if not 2 <= len(values) <= _MOST_CHOICES:
        place.refuse(column, list(values), f"{len(values)} of them: a question has 2 to {_MOST_CHOICES} choices")
    return tuple(str(value).strip() for value in values)


def _name(place: Place, row: dict[str, Any], number: int) -> str:
    column = next((name for name in ("id", "question_id") if name in row), None)
    if column is None or row[column] == "":
        return str(number)
    value = row[column]
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        place.refuse(column, value, "neither text nor a whole number")
    return str(value)


def _letters_of(rows: Sequence[_Read]) -> list[str]:
    """The letter of the right choice of each row.

    Whether "2" is an index or a text can be seen only where all rows are looked at: what can be said of every row holds
    for all. Where rows differ, each is taken for itself.
    """
    readings = [_readings(row) for row in rows]
    shared = [way for way in ("label", "letter", "index", "text") if readings and all(way in each for each in readings)]
    found = []
    for row, ways in zip(rows, readings, strict=True):
        possible = {ways[way] for way in (shared or ways)}
        if len(possible) > 1:
            ways_said = " or ".join(f"the {way} of {letter}" for way, letter in ways.items())
            row.place.refuse(row.column, row.answer, f"can be {ways_said}", "name the right choices by their letters")
        found.append(possible.pop())
    return found


def _readings(row: _Read) -> dict[str, str]:
    """What a row's answer can mean: way of naming -> letter of the choice. At least one way."""
    answer = row.answer.strip() if isinstance(row.answer, str) else row.answer
    if isinstance(answer, bool) or not isinstance(answer, (str, int, float)):
        row.place.refuse(row.column, row.answer, "neither a letter, an index nor a text of the choices")
    if answer in ("", "-1", -1) and str(answer) not in row.choices:
        hint = "the test part of HellaSwag and some others has no answers: take the validation part"
        row.place.refuse(row.column, row.answer, "no label: what has no right answer cannot be graded", hint)
    names = letters(len(row.choices))
    if row.labels:
        if str(answer) not in row.labels:
            row.place.refuse(row.column, row.answer, f"not one of the labels {', '.join(row.labels)}")
        return {"label": names[row.labels.index(str(answer))]}
    found = _ways(row, names, answer)
    if not found:
        rule = f"not a letter from A to {names[-1]}, an index from 0 to {len(names) - 1}, or a text of the choices"
        row.place.refuse(row.column, row.answer, rule)
    return found


def _ways(row: _Read, names: str, answer: str | float) -> dict[str, str]:
    found: dict[str, str] = {}
    if isinstance(answer, str) and len(answer) == 1 and answer.upper() in names:
        found["letter"] = answer.upper()
    index = _index(answer)
    if index is not None and index < len(names):
        found["index"] = names[index]
    same_text = [name for name, text in zip(names, row.choices, strict=True) if text == str(answer)]
    if same_text and (isinstance(answer, str) or row.numeric or not found):
        if len(same_text) > 1 and not found:
            row.place.refuse(row.column, row.answer, f"the text of {' and '.join(same_text)}: name the letter")
        found["text"] = same_text[0]
    return found


def _index(answer: str | float) -> int | None:
    """A whole number from 0, also as text."""
    if isinstance(answer, str):
        return int(answer) if re.fullmatch(r"[0-9]{1,3}", answer) else None
    return int(answer) if math.isfinite(answer) and answer == int(answer) and answer >= 0 else None


def _choice(row: _Read, letter: str) -> Question:
    return Question(id=row.id, subject=row.subject, kind="choice", stem=row.stem, choices=row.choices, answer=letter)


def _free(row: _Read) -> Question:
    """A question without choices: a number, where all that counts is one number, else text."""
    numbers = [number_of(text) for text in row.references]
    first = numbers[0]
    is_number = first is not None and all(other is not None and same(first, other) for other in numbers)
    if row.kind == "number" and not is_number:
        row.place.refuse(row.column, row.answer, "not a number, though the kind is")
    if is_number and row.kind != "text":
        return Question(id=row.id, subject=row.subject, kind="number", stem=row.stem, answer=row.references[0])
    references = row.references if len(row.references) > 1 else ()
    return Question(
        id=row.id, subject=row.subject, kind="text", stem=row.stem, answer=row.references[0], references=references
    )
