"""The project's own questions: every answer is derived again from the question's text, by other means."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import permutations, product

import pytest

from analysis.answers.answers import graded
from harness.questions.asking import asked, stem_of
from harness.questions.own_draft import Draft
from harness.questions.own_questions import own_questions
from harness.records.question import Question, encode_questions

COUNT = 6000
QUESTIONS = own_questions(COUNT, 11)
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
GOLDEN = "7426d52c159ad44c1ecb09130a9d54670e972d31a760fd9d4975a4f8329a5640"


def answer_of(question: Question) -> str:
    return question.choices["ABCD".index(question.answer)] if question.choices else question.answer


def numbers(text: str) -> list[int]:
    return [int(found) for found in re.findall(r"\d+", text)]


def clock(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def evaluated(stem: str) -> str:
    """Expressions, with Python's own arithmetic."""
    found = re.search(r"[\d(][\d+×() -]*\d\)?", stem)
    assert found
    return str(eval(found[0].replace("×", "*"), {"__builtins__": {}}))


def shopped(stem: str) -> str:
    prices = dict(re.findall(r"([a-z]+) (?:at|for|cost) (\d+) euros", stem, re.IGNORECASE))
    prices |= dict(re.findall(r"apiece, ([a-z]+) (\d+) euros", stem))
    counts = dict(re.findall(r"([a-z]+)=(\d+)", re.sub(r"(\d+) ([a-z]+)", r"\2=\1", stem)))
    return str(sum(int(counts[thing.lower()]) * int(price) for thing, price in prices.items()))


def changed(stem: str) -> str:
    paid = max(numbers(stem))
    count, price = (value for value in numbers(stem) if value != paid)
    return str(paid - count * price)


def remained(stem: str) -> str:
    dividend, divisor = numbers(stem)
    while dividend >= divisor:
        dividend -= divisor
    return str(dividend)


def percent(stem: str) -> str:
    if stem.startswith("A price"):
        base, rate = numbers(stem)
        return str(round(base * (1 - rate / 100)))
    rate, base = numbers(stem)
    return str(round(rate / 100 * base))


def part(stem: str) -> str:
    over, under, base = numbers(stem)
    return str(round(over / under * base))


def continued(stem: str) -> str:
    terms = numbers(stem)
    rows = [terms]
    while any(rows[-1]):
        rows.append([right - left for left, right in zip(rows[-1], rows[-1][1:], strict=False)])
        assert len(rows) <= 4, "differences of the second order are constant"
    return str(sum(row[-1] for row in rows))


def produced(stem: str) -> str:
    values = {}
    for value, unit in re.findall(r"(\d+) (\w+)", stem):
        values["minutes" if unit == "minutes" else "hours" if unit == "hours" else "parts"] = value
    per_minute = int(values["parts"]) / int(values["minutes"])
    return str(round(per_minute * 60 * int(values["hours"])))


def arrived(stem: str) -> str:
    found = re.search(r"(\d\d:\d\d).*?(\d+) h (\d+) min", stem)
    assert found
    total = clock(found[1]) + int(found[2]) * 60 + int(found[3])
    return f"{total // 60:02d}:{total % 60:02d}"


def syllogism(question: Question) -> str:
    """All worlds of up to four individuals, each of which is of any of the three kinds or none."""
    first, second = re.findall(r"(?:All|No|Some) [^.]*\.", question.stem)[:2]
    pairs = re.findall(r"(?:All|No|Some) (\w+) are (?:not )?(\w+)", f"{first} {second}")
    kinds = sorted({kind for pair in pairs for kind in pair})

    def holds(statement: str, world: tuple[tuple[bool, ...], ...]) -> bool:
        found = re.fullmatch(r"(All|No|Some) (\w+) are (not )?(\w+)\.", statement)
        assert found, statement
        x, y = kinds.index(found[2]), kinds.index(found[4])
        members = [each for each in world if each[x]]
        if found[1] == "All":
            return all(each[y] for each in members)
        if found[1] == "No":
            return not any(each[y] for each in members)
        return any(each[y] != bool(found[3]) for each in members)

    beings = list(product((False, True), repeat=3))
    sure = {choice: True for choice in question.choices if not choice.startswith("None")}
    for chosen in product((False, True), repeat=len(beings)):
        world = tuple(being for being, there in zip(beings, chosen, strict=True) if there)
        peopled = all(any(being[kind] for being in world) for kind in range(3))
        if peopled and holds(first, world) and holds(second, world):
            sure = {choice: known and holds(choice, world) for choice, known in sure.items()}
    certain = [choice for choice, known in sure.items() if known]
    assert len(certain) <= 1, question
    return certain[0] if certain else "None of the other three"


def ordered(question: Question) -> str:
    pairs: list[tuple[str, str]] = []
    for x, word, y in re.findall(r"(\w+) is (\w+er) than (\w+)\.", question.stem):
        pairs.append((x, y) if word in ("taller", "older", "faster") else (y, x))
    names = sorted({name for pair in pairs for name in pair})
    found = [each for each in permutations(names) if all(each.index(x) < each.index(y) for x, y in pairs)]
    assert len(found) == 1
    asked_for = re.search(r"the (second )?(\w+est)", question.stem)
    assert asked_for
    order = found[0] if asked_for[2] in ("tallest", "oldest", "fastest") else found[0][::-1]
    return order[1 if asked_for[1] else 0]


def fact(text: str) -> bool:
    numbers_in = numbers(text)
    if "+" in text:
        return sum(numbers_in[:2]) == numbers_in[2]
    first, second = numbers_in
    return first > second if "greater" in text else first in range(0, first + 1, second)


def compound(question: Question) -> str:
    values = {name: fact(text) for name, text in re.findall(r"([PQRS]): ([^.]+)\.", question.stem)}
    wanted = re.search(r"(?:these|following) is (true|false)", question.stem)
    assert wanted

    def true(text: str) -> bool:
        if inner := re.fullmatch(r"if (.+) then (.+)", text):
            for cut in [found.start() for found in re.finditer(" then ", text)]:
                left, right = text[3:cut], text[cut + 6 :]
                if left.count("(") == left.count(")"):
                    return not true(left) or true(right)
            raise AssertionError(inner)
        python = text.replace("exactly when", "==")
        python = re.sub(r"\((if [^()]*)\)", lambda found: str(true(found[1])), python)
        python = re.sub(r"not ([PQRS])", r"(not \1)", python)
        return bool(eval(python, {"__builtins__": {}}, values))

    fitting = [choice for choice in question.choices if true(choice.strip()) == (wanted[1] == "true")]
    assert len(fitting) == 1, question
    return fitting[0]


def lied(question: Question) -> str:
    claims = re.findall(r'(\w+) says: "(\w+) (is lying|tells the truth)\."', question.stem)
    able: list[str] = []
    for honest, _, _ in claims:
        true = {speaker: (about == honest) == (word == "tells the truth") for speaker, about, word in claims}
        if all(true[speaker] == (speaker == honest) for speaker in true):
            able.append(honest)
    assert len(able) == 1
    return able[0]


def weekday(question: Question) -> str:
    today = next(day for day in DAYS if day in question.stem)
    (days,) = numbers(question.stem)
    backwards = "ago" in question.stem or "before today" in question.stem
    at = DAYS.index(today)
    for _ in range(days):
        at += -1 if backwards else 1
    return DAYS[at % 7]


def read(question: Question) -> str:
    """The sentence of the passage that the question is about holds the answer, and no other choice."""
    passage, _, ask = question.stem.rpartition("\n\n")
    if ask.startswith("How many things"):
        pair = re.findall(r"did (\w+) and (\w+) buy", ask)[0]
        return str(sum(numbers(next(each for each in passage.split(". ") if name in each))[0] for name in pair))
    if ask.startswith("How many"):
        at_first, sold, came, broken = numbers(passage)
        return str(at_first - sold if "evening" in ask else at_first - sold + came - broken)
    if ask.startswith("What reason"):
        event = ask.partition(": ")[2].rstrip("?")
        sentence = next(each for each in re.split(r"\. ?", passage) if event in each.lower())
        found = re.fullmatch(r"Because (.+), .+|.+ because (.+)", sentence)
        assert found
        reason = found[1] or found[2]
        return reason[:1].upper() + reason[1:] if question.choices else reason
    clues = [word for word in re.findall(r"\w+", ask) if re.search(rf"\b{word}\b", passage)]
    clues = [
        word
        for word in clues
        if word.lower() not in ("the", "was", "a", "on", "in", "of", "were", "bought", "to", "went", "home")
    ]
    sentences = [each for each in passage.split(". ") if all(re.search(rf"\b{word}\b", each) for word in clues)]
    assert clues and len(sentences) == 1, question
    if question.choices:
        fitting = [choice for choice in question.choices if re.search(rf"\b{choice}\b", sentences[0])]
        assert len(fitting) == 1, question
        return fitting[0]
    assert re.search(rf"\b{question.answer}\b", sentences[0])
    return question.answer


DERIVE: tuple[tuple[str, Callable[[Question], str]], ...] = (
    (
        r"euros each|euros apiece",
        lambda q: (changed if "back" in q.stem or "left" in q.stem else shopped)(q.stem),
    ),
    (r"Each costs", lambda q: changed(q.stem)),
    (r"divided by|left over", lambda q: remained(q.stem)),
    (r"%", lambda q: percent(q.stem)),
    (r"\d/\d", lambda q: part(q.stem)),
    (r"sequence|comes next", lambda q: continued(q.stem)),
    (r"How many (?:does it make|are finished)", lambda q: produced(q.stem)),
    (r"\d h \d+ min", lambda q: arrived(q.stem)),
)


def derived(question: Question) -> str:
    if question.subject == "reading":
        return read(question)
    if question.subject == "logic":
        if "one of each kind" in question.stem:
            return syllogism(question)
        if " says: " in question.stem:
            return lied(question)
        if "P: " in question.stem:
            return compound(question)
        return ordered(question) if " than " in question.stem else weekday(question)
    for pattern, derive in DERIVE:
        if re.search(pattern, question.stem):
            return derive(question)
    return evaluated(question.stem)


def test_every_answer_is_what_the_question_says() -> None:
    found = [(question, derived(question)) for question in QUESTIONS]
    wrong = [(question, answer) for question, answer in found if answer != answer_of(question)]
    assert not wrong, wrong[:3]


def test_no_question_is_asked_twice_and_no_choice_stands_twice() -> None:
    assert len({question.stem for question in QUESTIONS}) == COUNT
    assert len({question.id for question in QUESTIONS}) == COUNT
    for question in QUESTIONS:
        assert len(set(question.choices)) == len(question.choices), question
        assert "" not in question.choices


def test_letters_subjects_and_kinds_are_balanced() -> None:
    letters = Counter(question.answer for question in QUESTIONS if question.choices)
    assert set(letters) == set("ABCD")
    assert max(letters.values()) - min(letters.values()) <= 1
    assert Counter(question.subject for question in QUESTIONS) == dict.fromkeys(
        ("arithmetic", "logic", "reading"), COUNT // 3
    )
    kinds = Counter(question.kind for question in QUESTIONS)
    assert min(kinds.values()) > COUNT // 20, kinds


def test_a_smaller_set_is_the_beginning_of_a_larger_one_and_seeds_differ() -> None:
    assert own_questions(100, 11) == QUESTIONS[:100]
    other = {question.stem for question in own_questions(1000, 12)}
    assert len(other & {question.stem for question in QUESTIONS[:1000]}) < 20


def test_wrong_choices_are_plausible() -> None:
    """The right number stands out neither as the largest nor as the least."""
    ranks: Counter[int] = Counter()
    for question in QUESTIONS:
        if question.subject == "arithmetic" and question.choices and ":" not in question.choices[0]:
            values = [int(choice) for choice in question.choices]
            ranks[sorted(values).index(int(answer_of(question)))] += 1
    total = sum(ranks.values())
    assert all(ranks[rank] > total * 0.08 for rank in range(4)), ranks


def test_references_hold_the_answer() -> None:
    for question in QUESTIONS:
        if question.kind == "text":
            assert question.answer in (question.references or (question.answer,))
        else:
            assert not question.references


def test_the_right_reply_is_graded_right_and_a_wrong_one_wrong() -> None:
    for question in QUESTIONS[:900]:
        assert graded(f"Answer: {question.answer}", question).correct is True, question
        assert graded(answer_of(question), question).correct is True, question
        other = {
            "choice": "ABCD"[("ABCD".index(question.answer) + 1) % 4] if question.choices else "",
            "text": "nobody",
        }
        wrong = other.get(question.kind, "-12345")
        assert graded(f"Some thoughts first.\n\nAnswer: {wrong}", question).correct is False, question


def test_prompts_lead_back_to_their_questions() -> None:
    assert all(stem_of(asked(question)) == question.stem for question in QUESTIONS)


def test_a_set_is_the_same_in_every_process_and_every_python() -> None:
    """The digest was taken once, and must be that of every Python."""
    code = (
        "import hashlib; from harness.questions.own_questions import own_questions; "
        "from harness.records.question import encode_questions; "
        "print(hashlib.sha256(encode_questions(own_questions(300, 7))).hexdigest())"
    )
    for seed in ("0", "1"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == GOLDEN
    assert hashlib.sha256(encode_questions(own_questions(300, 7))).hexdigest() == GOLDEN


def test_more_questions_than_can_be_made_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.questions.own_questions._SUBJECTS", (lambda _rng: Draft("s", "number", "?", "1"),) * 3)
    with pytest.raises(ValueError, match="no new question after 1"):
        own_questions(2, 0)
