"""Sets of questions by name: this project's own, those of Hugging Face, and files in the published layouts.

own, own:200, own:200:7       made by `own_questions`: so many, from that seed (200 and 0 where not said)
hf:REPO[/CONFIG][@SPLIT]      such as hf:cais/mmlu/anatomy@test
a path                        .jsonl, .json, .parquet or .csv
"""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import token
import tokenize
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from harness.errors import UsageFault
from harness.questions.hub import hub_rows
from harness.questions.own_questions import own_questions
from harness.questions.question_rows import LAYOUTS, Place, questions_of
from harness.records.question import Question

_OWN = re.compile(r"own(?::(?P<count>\d{1,9})(?::(?P<seed>\d{1,18}))?)?")
_OWN_COUNT = 200
_MOST_OWN = 20_000
_SPLIT_ENDS = re.compile(r"[_-](?:test|val|validation|dev|train)$")
_LIST_COLUMNS = ("choices", "options", "endings", "answers", "references")
_OBJECT_COLUMNS = ("question", "answer")
_MOST_CELL = 1 << 24  # characters of a CSV cell
_MOST_PARTS = 100_000  # of the description of a Parquet file
_ROWS_AT_ONCE = 1000  # a whole table is read ahead, by what a damaged file says of its size

_Rows = list[tuple[Place, dict[str, Any]]]


def load_questions(source: str) -> tuple[Question, ...]:
    """The questions of a set. Raises UsageFault where there is no such set, or a row of it is wrong."""
    if source == "own" or source.startswith("own:"):
        return _own(source)
    if source.startswith("hf:"):
        rows = hub_rows(source)
        return _checked(source, [(Place(f"{source}: row {number}"), row) for number, row in enumerate(rows, 1)], "")
    path = Path(source)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise UsageFault(
            f"{source}: no set of questions: own, hf:REPO, or a file .jsonl, .json, .parquet, .csv", LAYOUTS
        )
    _check_readable(path)
    try:
        rows_read = read(path)
    except UnicodeDecodeError as error:
        raise UsageFault(f"{path}: cannot be read: not UTF-8 text", "save it as UTF-8") from error
    except OSError as error:
        raise UsageFault(f"{path}: cannot be read: {error.strerror or error}", "name a file that exists") from error
    return _checked(source, rows_read, _SPLIT_ENDS.sub("", path.stem))


def _own(source: str) -> tuple[Question, ...]:
    found = _OWN.fullmatch(source)
    hint = "write own, own:200 or own:200:7 (how many, and from which seed)"
    if found is None:
        raise UsageFault(f"{source}: not own, own:COUNT or own:COUNT:SEED, with whole numbers", hint)
    count = int(found["count"] or _OWN_COUNT)
    if not 1 <= count <= _MOST_OWN:
        raise UsageFault(f"{source}: {count} questions: from 1 to {_MOST_OWN}", hint)
    return own_questions(count, int(found["seed"] or 0))


def _checked(source: str, rows: _Rows, subject: str) -> tuple[Question, ...]:
    if not rows:
        raise UsageFault(f"{source}: no question in it: a set has at least one", LAYOUTS)
    return questions_of(rows, subject or source)


def _check_readable(path: Path) -> None:
    try:
        there = path.is_file()
    except ValueError:  # a NUL in the path
        there = False
    if not there:
        raise UsageFault(f"{str(path)!r}: cannot be read: no such file", "name a file that exists, or own, or hf:REPO")


def _jsonl(path: Path) -> _Rows:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if line.strip():
            place = Place(f"{path}:{number}")
            rows.append((place, _object(place, _json(place, line))))
    return rows


def _json_file(path: Path) -> _Rows:
    """A list of objects; or an object with such a list in `rows` (there each may stand in a field `row`) or `data`."""
    value = _json(Place(str(path)), path.read_text(encoding="utf-8-sig"))
    if isinstance(value, dict):
        value = next((value[name] for name in ("rows", "data") if isinstance(value.get(name), list)), value)
    if not isinstance(value, list):
        raise UsageFault(f"{path}: neither a list of questions, nor an object with one in rows or data", LAYOUTS)
    rows = []
    for number, each in enumerate(value, 1):
        place = Place(f"{path}: row {number}")
        row = _object(place, each)
        rows.append((place, _object(place, row["row"]) if isinstance(row.get("row"), dict) else row))
    return rows


def _json(place: Place, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        shown = text.strip()[:60]
        raise UsageFault(f"{place.name}: {shown!r}: not JSON: {error}", LAYOUTS) from error


def _object(place: Place, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        place.refuse("row", value, "not an object with columns")
    return value


def _parquet(path: Path) -> _Rows:
    try:
        file = pq.ParquetFile(path, thrift_string_size_limit=_MOST_CELL, thrift_container_size_limit=_MOST_PARTS)
        found = [row for batch in file.iter_batches(_ROWS_AT_ONCE) for row in batch.to_pylist()]
    except (
        pa.ArrowException,
        ValueError,
        OverflowError,
        LookupError,
    ) as error:  # the last two: times that Python has not
        reason = " ".join(str(error).split())[:200]
        raise UsageFault(f"{path}: not Parquet: {reason}", LAYOUTS) from error
    return [(Place(f"{path}: row {number}"), row) for number, row in enumerate(found, 1)]


def _csv(path: Path) -> _Rows:
    """Rows by the names of the first line; a first line that is itself a question, with its answer's letter at the end,
    means MMLU's original files, which name no columns."""
    csv.field_size_limit(_MOST_CELL)
    rows: _Rows = []
    names: list[str] | None = None
    reader = csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            place, line = Place(f"{path}:{line}"), reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if names is None:
                names = _names(cells)
                if not _is_headerless(cells):
                    continue
            rows.append((place, _row(place, names, cells)))
    except csv.Error as error:
        raise UsageFault(f"{path}:{reader.line_num}: not CSV: {error}", LAYOUTS) from error
    return rows


def _is_headerless(cells: list[str]) -> bool:
    """Whether a line is a question of MMLU's original files: question, four choices, a letter."""
    return len(cells) == 6 and cells[-1].strip() in tuple("ABCD") and cells[0].strip().lower() != "question"


def _names(cells: list[str]) -> list[str]:
    if _is_headerless(cells):
        return ["question", "A", "B", "C", "D", "answer"]
    return [cell.strip() for cell in cells]


def _row(place: Place, names: list[str], cells: list[str]) -> dict[str, Any]:
    if len(cells) != len(names):
        rule = f"{len(cells)} cells, where the first line has {len(names)}"
        raise UsageFault(f"{place.name}: {rule}", "quote cells that hold commas or line breaks")
    row: dict[str, Any] = {}
    for name, cell in zip(names, cells, strict=True):
        if name in row:
            place.refuse(name, cell, "a column of this name stands twice")
        row[name] = _cell(place, name, cell)
    return row


def _cell(place: Place, name: str, cell: str) -> Any:
    """What a cell holds: in the columns that may hold lists or objects, these."""
    column, text = name.lower(), cell.strip()
    is_list = column in _LIST_COLUMNS and text[:1] in ("[", "{")
    is_object = column in _OBJECT_COLUMNS and text[:2] in ("{'", '{"')
    return _literal(place, name, text) if is_list or is_object else cell


def _literal(place: Place, name: str, text: str) -> Any:
    """A list or object in a cell, as JSON, or as Python or numpy print it: these put no commas between texts."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(_with_commas(text))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, tokenize.TokenError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return place.refuse(name, text, f"neither JSON nor a list as Python or numpy print it ({reason})")


def _with_commas(text: str) -> str:
    """Python's spelling of what numpy prints: `['a' 'b']`, `array(['a', 'b'], dtype=object)`."""
    found = [
        each
        for each in tokenize.generate_tokens(io.StringIO(text).readline)
        if each.type not in (token.NEWLINE, token.ENDMARKER, tokenize.NL, token.INDENT, token.DEDENT)
    ]
    pieces: list[str] = []
    at = 0
    while at < len(found):
        words = [each.string for each in found[at : at + 4]]
        if words[:2] == ["array", "("]:
            at += 2
        elif words[:3] == [",", "dtype", "="]:
            at += 5  # the type, and the bracket that ends the array
        elif words[:1] == [")"]:
            at += 1
        else:
            ends_one = bool(pieces) and (pieces[-1][-1] in "'\"]}" or pieces[-1][-1].isalnum())
            begins_one = found[at].type in (token.STRING, token.NUMBER) or words[0] in ("[", "{")
            pieces.append(f", {words[0]}" if ends_one and begins_one else words[0])
            at += 1
    return " ".join(pieces)


_READERS: dict[str, Callable[[Path], _Rows]] = {
    ".jsonl": _jsonl,
    ".json": _json_file,
    ".parquet": _parquet,
    ".csv": _csv,
}
