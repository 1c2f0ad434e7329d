"""The `tokenswarm` command. Results go to stdout; progress, logs and findings to stderr.

Exit codes: 0 done and valid; 1 failed; 2 bad usage, plan or input; 3 finished but invalid; 130 interrupted.
The analysis packages are imported by the verbs that use them: they take a second that `simulate` must not wait for.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from harness import __version__
from harness.cli_capacity import capacity
from harness.cli_decide import rank, recommend
from harness.cli_grade import grade
from harness.cli_limits import limits
from harness.cli_load import calibrate, check, collect, init, run, simulate
from harness.cli_numbers import analyze, compare, predict, report
from harness.cli_shown import complain
from harness.errors import UsageFault


def main() -> NoReturn:
    """Run the command; a fault of usage or input is two lines and exit code 2, never a traceback."""
    try:
        code = tokenswarm.main(standalone_mode=False)
    except UsageFault as fault:
        complain(fault.message, fault.hint)
        sys.exit(2)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "tokenswarm"
        complain(error.format_message(), f"`{command} --help` shows usage and an example")
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except OSError as error:
        complain(f"{error.filename or 'a file'}: {error.strerror or error}", "check space and permissions")
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tokenswarm")
def tokenswarm() -> None:
    """Load-test and compare LLM providers.

    Example: tokenswarm run suite:demo
    """


_LOAD = (init, check, run, simulate, calibrate, limits, capacity, collect, grade)
for command in (*_LOAD, analyze, report, compare, predict, rank, recommend):
    tokenswarm.add_command(command)
