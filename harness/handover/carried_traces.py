"""Files of arrivals and conversations that a plan names, as they travel from a master to workers of other hosts."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.cells import stages_of
from harness.errors import UsageFault
from harness.plan import Plan

_MOST_BYTES = 32 << 20  # of all together, compressed: Locust sends them in one message


def packed(plan: Plan) -> dict[str, bytes]:
    """Those of a plan, compressed, by their path. Raises UsageFault where they are too large to send."""
    paths = {stage.trace for each in plan.workloads for stage in stages_of(plan, each) if stage.trace}
    paths |= {each.conversations for each in plan.workloads if each.conversations}
    found = {path: zlib.compress(Path(path).read_bytes()) for path in sorted(paths)}
    size = sum(map(len, found.values()))
    if size > _MOST_BYTES:
        message = f"{', '.join(found)}: {size >> 20} MiB compressed: at most {_MOST_BYTES >> 20} MiB go to other hosts"
        raise UsageFault(message, "cut a trace to the hours that its stage replays, conversations to some thousand")
    return found


def unpacked(traces: Mapping[str, bytes], folder: Path) -> Callable[[str], str]:
    """Write them into a folder; the result tells where a path of the master now stands."""
    here: dict[str, str] = {}
    for number, (path, data) in enumerate(traces.items()):
        file = folder / f"trace-{number}{Path(path).suffix}"
        file.write_bytes(zlib.decompress(data))
        here[path] = str(file)
    return here.__getitem__
