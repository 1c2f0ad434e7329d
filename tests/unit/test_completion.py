"""Shells complete the words of the command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.commands.cli_completion import completion

COMMAND = Path(sys.executable).parent / "tokenswarm"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_printed_for_each_shell(shell: str) -> None:
    done = CliRunner().invoke(completion, [shell])
    assert done.exit_code == 0 and f"_TOKENSWARM_COMPLETE={shell}_complete" in done.stdout


def test_bash_is_offered_verbs_and_options(tmp_path: Path) -> None:
    script = tmp_path / "completion"
    script.write_text(CliRunner().invoke(completion, ["bash"]).stdout)
    bash = shutil.which("bash")
    assert bash is not None
    for words, wanted in ((("tokenswarm", "comp"), "compare"), (("tokenswarm", "trend", "--js"), "--json")):
        listed = " ".join(words)
        asked = f"source {script}; COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}; "
        asked += '_tokenswarm_completion tokenswarm; printf "%s\\n" "${COMPREPLY[@]}"'
        path = {**os.environ, "PATH": f"{COMMAND.parent}:{os.environ['PATH']}"}
        done = subprocess.run([bash, "-c", asked], env=path, capture_output=True, text=True, check=True)
        assert wanted in done.stdout.split(), done
