"""Tokens counted in several ways, side by side: by the provider, by the wire, by characters, and by a tokenizer here.

They need not agree, and where they do not, TPOT, tokens/s and cost stand on the provider's word alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np

from analysis.metrics import Window, booked_inside, sent_tokens, tpot_ns
from analysis.quantiles import Floats
from analysis.reading.gaps import Whole
from analysis.samples import Samples
from analysis.summary import Finding, Result, Tokens
from harness.plan import Target

LOCAL_REPLIES = 500  # texts of a cell that are counted here: enough for a mean
LOCAL_APART = 0.15
PLAUSIBLE_CHARS = (0.7, 8.0)  # characters per token: from Chinese in an old tokenizer to long English words
_ONE_EACH = 0.05  # a reply has one token an event when its counts are no further apart than this, or by one
_ODD = 0.2

Encode = Callable[[str], int]


def tokens_of(windows: Sequence[Window], target: Target) -> Tokens | None:
    """The counts of a cell's good replies; None where there are none, or they have no output by nature."""
    samples = windows[0].samples
    good = np.concatenate([window.good for window in windows])
    if len(good) == 0 or target.kind != "chat":
        return None
    source = samples.table["usage_source"].iloc[good]
    billed, reasoning = samples.column("output_tokens", good), samples.column("reasoning_tokens", good)
    visible = billed - np.nan_to_num(reasoning)
    events, sent = samples.column("events", good), sent_tokens(samples, good)
    chars = samples.column("text_chars", good)
    told = ~np.isnan(sent)
    speeds = [booked_inside(window, "text_chars") for window in windows]
    counts = Tokens(
        replies=len(good),
        provider=int((source == "provider").sum()),
        estimated=int((source == "estimated").sum()),
        missing=int(np.isnan(billed).sum()),
        billed=_sum(billed),
        reasoning=_sum(reasoning),
        visible=_sum(visible),
        events=int(events.sum()),
        tokens_per_event=_ratio(sent[told], events[told]),
        odd_replies=_odd(sent, events),
        chars=_sum(chars),
        chars_per_token=_ratio(chars, visible),
        chars_per_s=_rate(speeds, [window.length_s for window in windows]),
        chars_per_s_user=_median(chars / _positive(visible) / _positive(tpot_ns(samples, good) / 1e9)),
    )
    return _with_local(counts, samples, good, visible, target)


def _positive(values: Floats) -> Floats:
    """What may be divided by: events that came in one read are no time apart."""
    return np.where(values > 0, values, np.nan)


def _sum(values: Floats) -> int | None:
    """Of what is known; None where nothing is."""
    return None if np.isnan(values).all() else int(np.nansum(values))


def _ratio(above: Floats, below: Floats) -> float | None:
    """Of the sums over the rows where both are known."""
    both = ~np.isnan(above) & ~np.isnan(below)
    total = float(below[both].sum())
    return float(above[both].sum()) / total if total > 0 and above[both].any() else None


def _rate(amounts: Sequence[float | None], lengths_s: Sequence[float]) -> float | None:
    pairs = zip(amounts, lengths_s, strict=True)
    known = [amount / length_s for amount, length_s in pairs if amount is not None and length_s]
    return sum(known) / len(known) if known else None


def _median(values: Floats) -> float | None:
    known = values[np.isfinite(values) & (values > 0)]
    return float(np.median(known)) if len(known) else None


def _odd(sent: Floats, events: Floats) -> int | None:
    """Where most streams have a token an event: how many are far from it. None: they are packed, or not told."""
    streams = (events > 1) & ~np.isnan(sent)
    apart = np.abs(sent - events)[streams]
    if len(apart) == 0 or np.mean(apart <= np.maximum(1, _ONE_EACH * events[streams])) < 0.5:
        return None
    return int((apart > np.maximum(2, _ODD * events[streams])).sum())


def _with_local(counts: Tokens, samples: Samples, good: Whole, visible: Floats, target: Target) -> Tokens:
    """The counts with our own of the replies whose text was kept (`text` in the samples)."""
    tokenizer = target.tokenizer or (target.model if target.dialect.startswith("openai-") else None)
    if tokenizer is None or "text" not in samples.table:
        return counts
    texts = samples.table["text"].iloc[good]
    kept = np.flatnonzero(texts.notna().to_numpy() & ~np.isnan(visible))[:LOCAL_REPLIES]
    found = local_count([str(texts.iloc[place]) for place in kept], tokenizer) if len(kept) else None
    if found is None:
        asked_for = Path(tokenizer).name if target.tokenizer and len(kept) else None
        return msgspec.structs.replace(counts, tokenizer=asked_for)
    total, told = sum(found), float(visible[kept].sum())
    return msgspec.structs.replace(
        counts,
        tokenizer=Path(tokenizer).name,
        local=total,
        local_replies=len(found),
        local_ratio=total / told if told > 0 else None,
    )


def local_count(texts: Sequence[str], tokenizer: str) -> list[int] | None:
    """Tokens of each text. `tokenizer`: an encoding of tiktoken or a model that it knows, or the path of a
    `tokenizer.json`. None where it, or the package it needs (`pip install tokenswarm[tokens]`), is not on this machine:
    nothing is downloaded."""
    encode = _of_file(tokenizer) if tokenizer.endswith(".json") else _of_tiktoken(tokenizer)
    return None if encode is None else [encode(text) for text in texts]


def _of_file(path: str) -> Encode | None:
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415
    except ImportError:
        return None
    try:
        tokenizer = Tokenizer.from_file(path)
    except Exception:  # noqa: BLE001  (the package raises nothing more special)
        return None
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _of_tiktoken(name: str) -> Encode | None:
    try:
        import tiktoken  # noqa: PLC0415
    except ImportError:
        return None
    try:
        with _offline():
            known = name in tiktoken.list_encoding_names()
            encoding = tiktoken.get_encoding(name) if known else tiktoken.encoding_for_model(name)
    except (KeyError, ValueError, OSError):
        return None
    return lambda text: len(encoding.encode_ordinary(text))


@contextmanager
def _offline() -> Iterator[None]:
    """What tiktoken's cache does not have it fetches, and knows no way to forbid it but this."""
    from tiktoken import load  # noqa: PLC0415

    def refuse(blobpath: str) -> bytes:
        raise FileNotFoundError(blobpath)

    fetch, load.read_file = load.read_file, refuse
    try:
        yield
    finally:
        load.read_file = fetch


def token_findings(results: Sequence[Result]) -> list[Finding]:
    """Where the counts of a result contradict one another."""
    found = []
    for result in results:
        if result.tokens is not None:
            place = f"{result.target} {result.workload}, {result.stage_label}"
            found += [_finding(f"{place}: {saw}", why, hint) for saw, why, hint in _doubts(result.tokens)]
    return list({finding.saw: finding for finding in found}.values())


def _doubts(counts: Tokens) -> Iterator[tuple[str, str, str]]:
    """What is seen, why it matters, what to do."""
    if 0 < counts.missing < counts.replies or counts.estimated:
        saw = f"of {counts.replies} good replies {counts.missing} have no usage, {counts.estimated} an estimated one"
        yield saw, "tokens/s, TPOT and cost leave them out", "does the server report usage in every reply?"
    per_event = counts.tokens_per_event
    if per_event is not None and per_event < 1 - _ONE_EACH:
        saw = f"{per_event:.2f} tokens per content event: more events than tokens"
        why = "an event with content has a token at least: the usage is too low, or events are not what they seem"
        yield saw, why, "compare with a reply that is not streamed; TPOT and cost stand on the usage"
    elif counts.odd_replies:
        saw = f"{counts.odd_replies} replies have far more or fewer tokens than events, the others one token an event"
        why = "the usage, or the stream, of these is not what it says"
        yield saw, why, "look at output_tokens and event_ns in samples.parquet"
    least, most = PLAUSIBLE_CHARS
    if counts.chars_per_token is not None and not least <= counts.chars_per_token <= most:
        saw = f"{counts.chars_per_token:.2f} characters per visible token (plausible: {least:g} to {most:g})"
        why = "no tokenizer makes such tokens of ordinary text; tool calls or untold reasoning would explain it"
        yield saw, why, "is reasoning told apart in the usage? compare targets by characters/s"
    if counts.local_ratio is not None and abs(counts.local_ratio - 1) > LOCAL_APART:
        saw = f"{counts.tokenizer} counts {counts.local_ratio:.2f} times the tokens of the usage"
        why = "the provider uses another tokenizer, or its usage is not that of the text"
        yield saw, why, "name the model's own tokenizer (`tokenizer` of the target)"
    if counts.tokenizer is not None and counts.local is None:
        saw = f"tokenizer {counts.tokenizer}: it cannot be read on this machine"
        yield saw, "the text was kept, but not counted here", "pip install tokenswarm[tokens]; see docs/cost.md"


def _finding(saw: str, why: str, hint: str) -> Finding:
    return Finding(code="token-counts", severity="note", saw=saw, why=why, hint=hint)
