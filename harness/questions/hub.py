"""Sets of questions from Hugging Face, by the library `datasets` in a process of its own.

That process can be ended when it takes too long, and nothing that the library starts or patches reaches this one. It is
`python -m harness.questions.hub REPO CONFIG SPLIT FILE`, which writes the rows as Parquet, or says on stderr what went
wrong.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from harness.errors import UsageFault
from harness.inputs.secrecy import hidden, secrets_of_environment

_SOURCE = re.compile(
    r"hf:(?P<repo>[\w.-]{1,96}(?:/[\w.-]{1,96})?)(?:/(?P<config>[\w.-]{1,96}))?(?:@(?P<split>[\w.-]{1,96}))?"
)
_FORM = "write hf:REPO, hf:REPO/CONFIG or hf:REPO/CONFIG@SPLIT, such as hf:cais/mmlu/anatomy@test"
_SPLITS = ("test", "validation", "train")  # the first of them that a set has, where none is named
_REACH_S = 5.0
_LONGEST_S = 300.0
_ENDPOINT = "https://huggingface.co"


def hub_rows(source: str, longest_s: float = _LONGEST_S) -> list[dict[str, Any]]:
    """The rows of `hf:REPO[/CONFIG][@SPLIT]`; of its part test, else validation, else train, where none is named.

    What was loaded before comes from the library's cache when the hub cannot be reached. Raises UsageFault where the
    library is not installed, the set cannot be had within `longest_s`, or there is none of that name.
    """
    found = _SOURCE.fullmatch(source)
    if found is None:
        raise UsageFault(f"{source}: no name of a set on Hugging Face", _FORM)
    if find_spec("datasets") is None:
        hint = "pip install 'tokenswarm[quality]', or download a file of the set and name its path"
        raise UsageFault(f"{source}: needs the library datasets, which is not installed", hint)
    with tempfile.TemporaryDirectory(prefix="tokenswarm-") as folder:
        file = Path(folder) / "rows.parquet"
        _load(source, found, file, longest_s)
        rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
        return rows


def _load(source: str, found: re.Match[str], file: Path, longest_s: float) -> None:
    names = [found["repo"], found["config"] or "", found["split"] or ""]
    command = [
        sys.executable,
        "-P",
        "-m",
        "harness.questions.hub",
        *names,
        str(file),
    ]  # -P: no module of the folder we are in
    hint = f"download a file of the set and name its path, or {_FORM}"
    try:
        done = subprocess.run(  # noqa: S603  (this very program)
            command, capture_output=True, text=True, timeout=longest_s, env=_environment(), check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UsageFault(f"{source}: not loaded within {longest_s:g} s", hint) from error
    if done.returncode or not file.exists():
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        said = hidden((lines or ["no reason given"])[-1], secrets_of_environment())  # the library repeats URLs
        raise UsageFault(f"{source}: cannot be loaded: {said[:300]}", hint)


def _environment() -> dict[str, str]:
    """Short waits for each request; none at all where the hub does not answer, so that only the cache is looked at."""
    settings = {
        "HF_HUB_ETAG_TIMEOUT": "10",
        "HF_HUB_DOWNLOAD_TIMEOUT": "30",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    offline = (
        {}
        if _answers(os.environ.get("HF_ENDPOINT", _ENDPOINT))
        else {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    )
    return settings | dict(os.environ) | offline


def _answers(endpoint: str) -> bool:
    """Whether anything at all comes back from there, also through a proxy."""
    try:
        httpx.head(endpoint, timeout=_REACH_S)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return False
    return True


def _write(repo: str, config: str, split: str, file: str) -> None:
    from datasets import get_dataset_split_names, load_dataset  # noqa: PLC0415  (an extra)

    if split or os.environ.get("HF_HUB_OFFLINE") != "1":
        split = split or _first_of(get_dataset_split_names(repo, config or None))
        part = load_dataset(repo, config or None, split=split)
    else:  # which parts there are, the cache tells only with all of them
        parts = load_dataset(repo, config or None)
        part = parts[_first_of([str(name) for name in parts])]
    part.to_parquet(file)


def _first_of(names: list[str]) -> str:
    return next((name for name in _SPLITS if name in names), names[0])


def _main() -> int:
    repo, config, split, file = sys.argv[1:]
    try:
        _write(repo, config, split, file)
    except Exception as error:  # noqa: BLE001  (whatever the library raises is a reason to tell)
        offline = "not reachable, and not in the cache: " if os.environ.get("HF_HUB_OFFLINE") == "1" else ""
        print(f"{offline}{' '.join(str(error).split())[:250] or type(error).__name__}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
