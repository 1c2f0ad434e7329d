"""Question sets in the published layouts, in every kind of file, and what is said of files that hold none."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.errors import UsageFault
from harness.questions.own_questions import own_questions
from harness.questions.question_files import load_questions
from harness.records.question import Question, encode_questions

MMLU = [
    {
        "question": "Which gas do plants take in?",
        "subject": "high_school_biology",
        "choices": ["Oxygen", 'It\'s "carbon dioxide"', "Argon", "Helium"],
        "answer": 1,
    },
    {"question": "What is 2 + 2?", "subject": "elementary_mathematics", "choices": ["1", "2", "3", "4"], "answer": 3},
]
HELLASWAG = [
    {
        "ind": 24,
        "activity_label": "Roof shingle removal",
        "ctx_a": "A man is sitting on a roof.",
        "ctx_b": "he",
        "ctx": "A man is sitting on a roof. he",
        "endings": [
            "is using wrap.",
            "is ripping level tiles off.",
            "is holding a cube.",
            "starts pulling up shingles.",
        ],
        "split": "val",
        "label": "3",
    },
    {
        "ind": 24,
        "activity_label": "Baking bread",
        "ctx_a": "[header] How to bake [title] Mix. [step] Take flour.",
        "ctx_b": "",
        "ctx": "[header] How to bake [title] Mix. [step] Take flour.",
        "endings": ["[substeps] Add water.", "Add sand.", "Go home.", "Sell it."],
        "split": "val",
        "label": "0",
    },
]
ARC = [
    {
        "id": "Mercury_SC_1",
        "question": "Which is a liquid at room temperature?",
        "choices": {"text": ["iron", "water", "salt"], "label": ["A", "B", "C"]},
        "answerKey": "B",
    },
    {
        "id": "MCAS_2",
        "question": "Which of these is a star?",
        "choices": {"text": ["the Moon", "Mars", "Venus", "the Sun"], "label": ["1", "2", "3", "4"]},
        "answerKey": "4",
    },
]


def _objects(columns: Any) -> list[dict[str, str]]:
    return [{"text": text, "label": label} for text, label in zip(columns["text"], columns["label"], strict=True)]


ARC_LISTS = [row | {"choices": _objects(row["choices"])} for row in ARC]
ARC_ORIGINAL = [
    {"id": row["id"], "question": {"stem": row["question"], "choices": row["choices"]}, "answerKey": row["answerKey"]}
    for row in ARC_LISTS
]
OWN = [
    {"question": "Sky?", "choices": ["red", "blue"], "answer": "B"},
    {"question": "Grass?", "choices": ["green", "blue"], "answer": "A"},
]
FREE: list[dict[str, Any]] = [
    {"question": "Who wrote Hamlet?", "answer": "Shakespeare"},
    {"question": "How many legs has a spider?", "answer": "8"},
    {"question": "Capital of Peru?", "answers": ["Lima", "Ciudad de Lima"], "context": "Peru is in America."},
    {"question": "And of Chile?", "answers": {"text": ["Santiago", "Santiago"], "answer_start": [3, 9]}},
    {"question": "Half of one?", "answer": 0.5},
    {"question": "5 + 5?", "answer": "5 and 5 make 10.\n#### 10"},
]
Rows = list[dict[str, Any]]


def jsonl(rows: Rows) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def parquet(rows: Rows) -> bytes:
    written = io.BytesIO()
    pd.DataFrame(rows).to_parquet(written)
    return written.getvalue()


def as_csv(rows: Rows) -> bytes:
    """As pandas writes it, which prints lists as Python does."""
    return pd.DataFrame(rows).to_csv(index=False).encode()


def as_csv_with_arrays(rows: Rows) -> bytes:
    """As pandas writes what it has read from Parquet: numpy prints lists without commas."""
    return pd.read_parquet(io.BytesIO(parquet(rows))).to_csv(index=False).encode()


def as_csv_with_json(rows: Rows) -> bytes:
    listed = [{key: json.dumps(v) if isinstance(v, (list, dict)) else v for key, v in row.items()} for row in rows]
    return pd.DataFrame(listed).to_csv(index=False).encode()


WRITERS: dict[str, Callable[[Rows], bytes]] = {
    "rows.jsonl": jsonl,
    "rows.json": lambda rows: json.dumps(rows, indent=1).encode(),
    "viewer.json": lambda rows: json.dumps(
        {"features": [], "rows": [{"row_idx": 0, "row": row} for row in rows]}
    ).encode(),
    "data.json": lambda rows: json.dumps({"data": rows}).encode(),
    "rows.parquet": parquet,
    "rows.csv": as_csv,
    "arrays.csv": as_csv_with_arrays,
    "json.csv": as_csv_with_json,
    "marked.csv": lambda rows: b"\xef\xbb\xbf" + as_csv(rows),
}


def loaded(folder: Path, name: str, content: bytes) -> tuple[Question, ...]:
    path = folder / name
    path.write_bytes(content)
    return load_questions(str(path))


def refused(folder: Path, name: str, content: bytes) -> str:
    with pytest.raises(UsageFault) as fault:
        loaded(folder, name, content)
    assert str(folder / name) in fault.value.message
    assert "\n" not in fault.value.message
    assert fault.value.hint
    return fault.value.message


@pytest.mark.parametrize("name", WRITERS)
def test_mmlu_in_every_kind_of_file(tmp_path: Path, name: str) -> None:
    first, second = loaded(tmp_path, name, WRITERS[name](MMLU))
    assert first == Question(
        id="1",
        subject="high_school_biology",
        kind="choice",
        stem="Which gas do plants take in?",
        choices=("Oxygen", 'It\'s "carbon dioxide"', "Argon", "Helium"),
        answer="B",
    )
    assert (second.subject, second.answer, second.choices) == ("elementary_mathematics", "D", ("1", "2", "3", "4"))


@pytest.mark.parametrize("name", WRITERS)
def test_hellaswag_in_every_kind_of_file(tmp_path: Path, name: str) -> None:
    first, second = loaded(tmp_path, name, WRITERS[name](HELLASWAG))
    assert first.stem == (
        "Which ending continues the text best?\n\nRoof shingle removal: A man is sitting on a roof. he"
    )
    assert (first.answer, first.choices[3]) == ("D", "starts pulling up shingles.")
    assert second.stem.endswith("Baking bread: How to bake. Mix. Take flour.")
    assert (second.answer, second.choices[0]) == ("A", "Add water.")
    assert {first.id, second.id} == {"1", "2"}  # `ind` is not unique there


def test_hellaswag_without_ctx_is_joined_from_its_halves(tmp_path: Path) -> None:
    rows = [{key: value for key, value in row.items() if key != "ctx"} for row in HELLASWAG]
    first, _ = loaded(tmp_path, "rows.jsonl", jsonl(rows))
    assert first.stem.endswith("A man is sitting on a roof. He")


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("rows", [ARC, ARC_LISTS, ARC_ORIGINAL], ids=["columns", "objects", "original"])
def test_arc_in_every_kind_of_file(tmp_path: Path, name: str, rows: Rows) -> None:
    first, second = loaded(tmp_path, name, WRITERS[name](rows))
    assert first == Question(
        id="Mercury_SC_1",
        subject="arc",
        kind="choice",
        stem="Which is a liquid at room temperature?",
        choices=("iron", "water", "salt"),
        answer="B",
    )
    assert (second.answer, second.choices[3]) == ("D", "the Sun")  # the label 4 is the letter D


def test_mmlu_as_it_was_first_published_has_no_names_of_columns(tmp_path: Path) -> None:
    text = 'What is 1 + 1?,1,2,3,4,B\n"Which, of these?","a ""b""",c,d,"e\nf",D\n'
    first, second = loaded(tmp_path, "abstract_algebra_test.csv", text.encode())
    assert (first.subject, first.choices, first.answer) == ("abstract_algebra", ("1", "2", "3", "4"), "B")
    assert second == Question(
        id="2",
        subject="abstract_algebra",
        kind="choice",
        stem="Which, of these?",
        choices=('a "b"', "c", "d", "e\nf"),
        answer="D",
    )


def test_letters_may_be_columns_and_a_row_may_have_fewer_of_them(tmp_path: Path) -> None:
    text = "Question,A,B,C,D,Answer,Subject\nSky?,red,blue,,,B,nature\nSea?,a,b,c,d,D,nature\n"
    first, second = loaded(tmp_path, "set.csv", text.encode())
    assert (first.choices, first.answer, first.subject) == (("red", "blue"), "B", "nature")
    assert second.choices == ("a", "b", "c", "d")


def test_mmlu_pro_and_the_auxiliary_set_of_mmlu_are_read(tmp_path: Path) -> None:
    pro = {
        "question_id": 70,
        "question": "?",
        "options": list("vwxyz"),
        "answer": "C",
        "answer_index": 2,
        "category": "law",
    }
    (first,) = loaded(tmp_path, "pro.jsonl", jsonl([pro]))
    assert (first.id, first.subject, first.answer, len(first.choices)) == ("70", "law", "C", 5)
    (inner,) = loaded(tmp_path, "train.jsonl", jsonl([{"train": {**MMLU[0], "subject": ""}}]))
    assert (inner.answer, inner.subject) == ("B", "train")


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_free_text_and_numbers(tmp_path: Path, name: str) -> None:
    found = loaded(tmp_path, name, WRITERS[name](FREE))
    assert [(q.kind, q.answer, q.references) for q in found] == [
        ("text", "Shakespeare", ()),
        ("number", "8", ()),
        ("text", "Lima", ("Lima", "Ciudad de Lima")),
        ("text", "Santiago", ()),
        ("number", "0.5", ()),
        ("number", "10", ()),
    ]
    assert found[2].stem == "Peru is in America.\n\nCapital of Peru?"


def test_free_text_in_csv(tmp_path: Path) -> None:
    text = "question,answers\nA?,\"['x', 'y']\"\nB?,\"['z' 'w']\"\nC?,\"{'text': array(['v'], dtype=object)}\"\n"
    assert [q.references or (q.answer,) for q in loaded(tmp_path, "set.csv", text.encode())] == [
        ("x", "y"),
        ("z", "w"),
        ("v",),
    ]


@pytest.mark.parametrize(
    ("answers", "letters"),
    [
        (["B", "a"], "BA"),
        ([1, 0], "BA"),
        (["1", "0"], "BA"),
        (["blue", "green"], "BA"),
        (["B", "green"], "BA"),  # each row for itself
        ([1.0, 0.0], "BA"),
    ],
)
def test_the_right_choice_is_named_by_letter_index_or_text(tmp_path: Path, answers: list[Any], letters: str) -> None:
    rows = [row | {"answer": answer} for row, answer in zip(OWN, answers, strict=True)]
    assert "".join(question.answer for question in loaded(tmp_path, "set.jsonl", jsonl(rows))) == letters


def test_what_an_answer_means_is_told_by_the_other_rows(tmp_path: Path) -> None:
    digits = {"question": "2 + 0?", "choices": ["1", "2", "3", "4"], "answer": "2"}
    by_index = [digits, {"question": "Sky?", "choices": ["red", "blue"], "answer": "1"}]
    by_text = [digits, {"question": "Sky?", "choices": ["red", "blue"], "answer": "blue"}]
    assert loaded(tmp_path, "set.jsonl", jsonl(by_index))[0].answer == "C"
    assert "can be the index of C or the text of B" in refused(tmp_path, "set.jsonl", jsonl([digits]))
    assert loaded(tmp_path, "set.jsonl", jsonl(by_text))[0].answer == "B"


def test_own_questions_that_were_written_are_loaded_as_they_were(tmp_path: Path) -> None:
    questions = own_questions(60, 5)
    assert loaded(tmp_path, "questions.jsonl", encode_questions(questions)) == questions


def test_own_sets_by_name() -> None:
    assert load_questions("own") == own_questions(200, 0)
    assert load_questions("own:3") == own_questions(3, 0)
    assert load_questions("own:3:9") == own_questions(3, 9)
    for source in ("own:", "own:x", "own:3:", "own:-1", "own:0", "own:20001", "own:3:9:1"):
        with pytest.raises(UsageFault, match=source):
            load_questions(source)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"answer": "A"}, "question: missing: there are only answer"),
        ({"question": ""}, "question: '': empty"),
        ({"question": 5, "answer": "x"}, "question: 5: not text"),
        ({"question": "?"}, "answer: missing: a question without choices has"),
        ({"question": "?", "choices": ["a", "b"]}, "answer: missing: it says which"),
        ({"question": "?", "choices": "a, b", "answer": "A"}, "choices: 'a, b': not a list"),
        ({"question": "?", "choices": ["a"], "answer": "A"}, "choices: ['a']: 1 of them"),
        ({"question": "?", "choices": ["a"] * 27, "answer": "A"}, "27 of them"),
        ({"question": "?", "choices": ["a", None], "answer": "A"}, "choices: None: not text, in a list of texts"),
        ({"question": "?", "choices": ["a", ["b"]], "answer": "A"}, "choices: ['b']: not text, in a list of texts"),
        ({"question": "?", "choices": ["a", "b"], "answer": "C"}, "answer: 'C': not a letter from A to B"),
        (
            {"question": "?", "choices": ["a", "b"], "answer": 2},
            "answer: 2: not a letter from A to B, an index from 0 to 1",
        ),
        ({"question": "?", "choices": ["a", "b"], "answer": 0.5}, "answer: 0.5: not a letter"),
        ({"question": "?", "choices": ["a", "b"], "answer": True}, "answer: True: neither a letter"),
        ({"question": "?", "choices": ["a", "b"], "answer": ["a"]}, "answer: ['a']: neither a letter"),
        ({"question": "?", "choices": ["a", "b"], "answer": ""}, "answer: '': no label"),
        ({"question": "?", "choices": ["a", "b"], "answer": -1}, "answer: -1: no label"),
        ({"question": "?", "choices": ["same", "same"], "answer": "same"}, "answer: 'same': the text of A and B"),
        (
            {"question": "?", "choices": ["B", "x"], "answer": "B"},
            "answer: 'B': can be the letter of B or the text of A",
        ),
        ({"question": "?", "choices": [2, 1, 0], "answer": 1}, None),
        ({"question": "?", "choices": [1, 2, 3], "answer": 1}, "answer: 1: can be the index of B or the text of A"),
        ({"question": "?", "choices": ["a", "b"], "options": ["a", "b"], "answer": "A"}, "stand in other columns too"),
        ({"question": "?", "A": "x", "C": "y", "answer": "A"}, "B: missing: there is a column C"),
        ({"question": "?", "A": "x", "answer": "A"}, "A: 'x': the only choice"),
        ({"question": "?", "Question": "!", "answer": "A"}, "Question: '!': stands twice"),
        ({"question": "?", "options": ["a", "b"], "answer": "A", "answer_index": 1}, "answer_index: 1: contradicts"),
        ({"question": "?", "answer": {"start": 3}}, "answer: {'start': 3}: an object without text"),
        ({"question": "?", "answers": []}, "answer: missing"),
        ({"question": "?", "answers": {"text": [], "answer_start": []}}, "answers: []: no answer in it"),
        ({"question": "?", "answers": ["x", None]}, "answers: None: neither text nor a number"),
        ({"question": "?", "answer": "  "}, "answer: '  ': empty"),
        ({"question": "?", "answer": "x", "kind": "essay"}, "kind: 'essay': not one of choice, number, text"),
        ({"question": "?", "answer": "x", "kind": "number"}, "answer: 'x': not a number, though the kind is"),
        ({"question": "?", "answer": "x", "kind": "choice"}, "kind: 'choice': but the row has no choices"),
        ({"question": "?", "answer": "x", "id": []}, "id: []: neither text nor a whole number"),
        ({"endings": ["a", "b"], "label": "0"}, "ctx: missing"),
        ({"ctx": "x", "endings": ["a", "b"]}, "label: missing"),
        ({"ctx": "x", "endings": ["a", "b"], "label": ""}, "label: '': no label: what has no right answer"),
        ({"ctx": "x", "endings": ["a", "b"], "label": "2"}, "label: '2': not a letter"),
        ({"ctx": "x", "endings": "ab", "label": "0"}, "endings: 'ab': not a list"),
        ({"ctx": 7, "endings": ["a", "b"], "label": "0"}, "ctx: 7: not text"),
        ({"question": "?", "answerKey": "A"}, "choices: missing"),
        ({"question": "?", "choices": ["a", "b"], "answerKey": "A"}, "choices: ['a', 'b']: neither lists"),
        ({"question": "?", "choices": {"text": ["a", "b"]}, "answerKey": "A"}, "label: missing"),
        (
            {"question": "?", "choices": {"text": ["a", "b"], "label": ["A", "B", "C"]}, "answerKey": "A"},
            "2 texts and 3 labels",
        ),
        (
            {"question": "?", "choices": {"text": ["a", "b"], "label": ["A", "A"]}, "answerKey": "A"},
            "a label stands twice",
        ),
        (
            {"question": "?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "E"},
            "not one of the labels A, B",
        ),
        (
            {"question": "?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": ""},
            "answerKey: '': no label",
        ),
        (
            {"question": "?", "choices": [{"text": "a", "label": "A"}, {"text": "b"}], "answerKey": "A"},
            "not text, in a list",
        ),
        ({"question": {"choices": []}, "answerKey": "A"}, "stem: missing"),
    ],
)
def test_a_wrong_row_is_named_with_its_column_and_the_rule(
    tmp_path: Path, row: dict[str, Any], said: str | None
) -> None:
    good = (
        {"question": "Fine?", "choices": ["red", "blue"], "answer": "A"}
        if "choices" in row
        else {"question": "Fine?", "answer": "x"}
    )
    if said is None:
        assert loaded(tmp_path, "set.jsonl", jsonl([row]))
        return
    message = refused(tmp_path, "set.jsonl", jsonl([good, row]) if "can be" not in said else jsonl([row]))
    assert said in message
    assert f"set.jsonl:{1 if 'can be' in said else 2}: " in message


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("set.jsonl", b"", "no question in it"),
        ("set.jsonl", b"\n\n", "no question in it"),
        ("set.jsonl", b'{"question": "?", "answer": "x"}\n{"question', "set.jsonl:2: '{\"question': not JSON"),
        ("set.jsonl", b"[1]\n", "set.jsonl:1: row: [1]: not an object"),
        ("set.jsonl", b"[" * 100_000, "not JSON"),
        ("set.jsonl", b"\xff\xfe", "cannot be read: not UTF-8 text"),
        ("set.json", b"", "not JSON"),
        ("set.json", b"[]", "no question in it"),
        ("set.json", b"3", "neither a list of questions"),
        ("set.json", b'{"question": "?"}', "neither a list of questions"),
        ("set.json", b'[{"question": "?", "answer": "x"}, 4]', "set.json: row 2: row: 4: not an object"),
        ("set.parquet", b"", "not Parquet"),
        ("set.parquet", b"PAR1 but not really PAR1", "not Parquet"),
        ("set.csv", b"", "no question in it"),
        ("set.csv", b"question,answer\n", "no question in it"),
        ("set.csv", b"a,b\n1,2\n", "set.csv:2: question: missing: there are only a, b"),
        ("set.csv", b"question,answer\nA?,x,y\n", "set.csv:2: 3 cells, where the first line has 2"),
        ("set.csv", b'question,answer\n"A?\nB?",x\nC?\n', "set.csv:4: 1 cells"),
        ("set.csv", b"question,question,answer\nA?,B?,x\n", "question: 'B?': a column of this name stands twice"),
        ("set.csv", b'question,answer\n"A?"b,x\n', "set.csv:2: not CSV"),
        ("set.csv", b'question,answer\n"A?,x\n', "not CSV"),
        (
            "set.csv",
            b"question,choices,answer\nA?,\"['a', 'b'\",A\n",
            "set.csv:2: choices: \"['a', 'b'\": neither JSON nor",
        ),
        ("set.csv", b"question,choices,answer\nA?,\"[__import__('os'), 'b']\",A\n", "neither JSON nor a list"),
        ("set.csv", b"question,choices,answer\nA?,a|b,A\n", "choices: 'a|b': not a list"),
        ("set.csv", b"What?,a,b,c,d,A\nWhat now?,a,b,c,d,E\n", "set.csv:2: answer: 'E': not a letter from A to D"),
        ("set.csv", b"What?,a,b,c,d,A\nWhat now?,a,b,c,A\n", "set.csv:2: 5 cells"),
    ],
)
def test_a_file_that_is_no_set_is_refused(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    assert said in refused(tmp_path, name, content)


def test_rows_of_parquet_are_counted_and_the_wrong_one_named(tmp_path: Path) -> None:
    rows = [*MMLU, MMLU[0] | {"answer": 4}]
    assert "set.parquet: row 3: answer: 4: not a letter" in refused(tmp_path, "set.parquet", parquet(rows))
    flat = pd.DataFrame({"question": ["?"], "choices": [5.5], "answer": [0]})
    flat.to_parquet(tmp_path / "flat.parquet")
    with pytest.raises(UsageFault, match=r"row 1: choices: 5\.5: not a list"):
        load_questions(str(tmp_path / "flat.parquet"))


def test_an_id_that_stands_twice_is_refused(tmp_path: Path) -> None:
    rows = [row | {"id": "x"} for row in OWN]
    assert "set.jsonl:2: id: 'x': an earlier row has it" in refused(tmp_path, "set.jsonl", jsonl(rows))


@pytest.mark.parametrize(
    "source", ["", "mmlu", "set.txt", "set", "hf", "none.jsonl", "no/folder/none.csv", "a\x00b.csv", "."]
)
def test_what_names_no_set_is_refused(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageFault) as fault:
        load_questions(source)
    assert fault.value.hint


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").mkdir()
    with pytest.raises(UsageFault, match="no such file"):
        load_questions(str(tmp_path / "set.jsonl"))


@pytest.mark.parametrize("source", ["hf:", "hf:a/b/c/d", "hf:a b", "hf:a@", "hf:/a", "hf:a/b@t@u"])
def test_a_wrong_name_on_the_hub_is_refused_at_once(source: str) -> None:
    with pytest.raises(UsageFault, match="no name of a set"):
        load_questions(source)


def test_a_large_file_is_read_soon(tmp_path: Path) -> None:
    rows = [{"question": f"What is {n}?", "choices": ["a", "b", "c", "d"], "answer": n % 4} for n in range(20_000)]
    assert len(loaded(tmp_path, "set.jsonl", jsonl(rows))) == 20_000


def test_cells_of_csv_are_never_run_as_code(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    cell = f"[open({str(trap)!r}, 'w'), 'b']"
    written = io.StringIO()
    csv.writer(written).writerows([["question", "choices", "answer"], ["?", cell, "A"]])
    refused(tmp_path, "set.csv", written.getvalue().encode())
    assert not trap.exists()
