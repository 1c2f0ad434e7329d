"""The `tokenswarm` command. Results go to stdout; progress, logs and findings to stderr.

Exit codes: 0 done and valid; 1 failed; 2 bad usage, plan or input; 3 finished but invalid; 130 interrupted.
Only the verb that is asked for is imported: together they take seconds, which none must wait for.
"""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from typing import NoReturn

import click

from harness import __version__
from harness.commands.cli_shown import complain
from harness.errors import UsageFault
from harness.runs.interrupts import as_interrupts, held


def main() -> NoReturn:
    """Run the command; a fault of usage or input is two lines and exit code 2, never a traceback."""
    _hide_password()
    try:
        with as_interrupts():
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
        complain(f"{error.filename or 'a file'}: {error.strerror or error}", _REMEDY.get(error.errno, _CHECK))
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _hide_password() -> None:
    """Where the URL of Redis holds a password, begin anew with it in the environment: everybody may read the words of
    this process, and those of its children, which are the same until they have begun."""
    words = sys.argv[1:]
    if not any(word.partition("=")[0] == "--redis" for word in words) or sys.orig_argv[-len(words) :] != words:
        return
    from harness.journals.redis_client import REDIS_URL, in_words  # noqa: PLC0415

    url, rest = in_words(words)
    if url is not None:
        program = sys.orig_argv[1 : -len(words)]
        os.execve(sys.executable, [sys.executable, *program, *rest], os.environ | {REDIS_URL: url})  # noqa: S606


_CHECK = "check space and permissions"
_REMEDY: dict[int | None, str] = {
    errno.ENOENT: "is the folder there? make it first, or name another",
    errno.ENOTDIR: "a part of the path is a file: name another folder",
    errno.EISDIR: "that is a folder: name a file in it",
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space, or name another folder"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "check permissions, or name another folder"),
}  # errors of the system that reach the command, with what to do
_VERBS = {
    **dict.fromkeys(("init", "check", "run", "simulate", "calibrate", "collect"), "cli_load"),
    "limits": "cli_limits",
    "capacity": "cli_capacity",
    "grade": "cli_grade",
    **dict.fromkeys(("analyze", "report", "predict"), "cli_numbers"),
    "compare": "cli_compare",
    **dict.fromkeys(("rank", "recommend"), "cli_decide"),
    "trend": "cli_history",
    "dashboard": "cli_dashboard",
    "alerts": "cli_alerts",
    "digest": "cli_digest",
    "monitor": "cli_monitor",
    "completion": "cli_completion",
}  # each verb with the module that defines it


class _Verbs(click.Group):
    """The verbs, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _VERBS:
            return None
        with held():  # a module that is interrupted while it is loaded is there by half
            module = import_module(f"harness.commands.{_VERBS[cmd_name]}")
        found = getattr(module, cmd_name)
        assert isinstance(found, click.Command)
        return found


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tokenswarm")
def tokenswarm() -> None:
    """Load-test and compare LLM providers.

    Example: tokenswarm run suite:demo
    """
