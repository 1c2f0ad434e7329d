"""A journal on a disk that takes only a part of a line: what is recorded later is not spoilt by it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harness.sample import Footer, Header, Sample, decode

SCRIPT = """
import resource, sys
from pathlib import Path

sys.path.insert(0, sys.argv[2])
from made_samples import made_sample
from harness.journal import Journal

journal = Journal(Path(sys.argv[1]), "r", "w0", 1, (0, 1))
journal.append(made_sample(seq=0))
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (journal.path.stat().st_size + 50, most))  # as if 50 bytes were left
try:
    journal.append(made_sample(seq=1))
except OSError as error:
    print(error.strerror)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
journal.append(made_sample(seq=2))
journal.close()
"""


def test_a_line_that_was_written_in_part_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    words = [sys.executable, "-c", SCRIPT, str(path), str(Path(__file__).parents[1])]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout, "a line that could not be written is told"
    header, first, third, footer = map(decode, path.read_bytes().splitlines())
    assert isinstance(header, Header)
    assert [each.seq for each in (first, third) if isinstance(each, Sample)] == [0, 2]
    assert isinstance(footer, Footer)
