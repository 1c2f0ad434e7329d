"""What the monitor shows on a terminal."""

from __future__ import annotations

import pytest

from harness.commands.cli_shown import console
from harness.monitoring.monitor_table import shown
from harness.records.monitor_record import LiveCell, Picture, SpendNow, Window


def test_names_in_journals_of_others_do_not_reach_the_terminal_as_commands(capsys: pytest.CaptureFixture[str]) -> None:
    window = Window(
        window_s=60, since_s=60, attempted=4, outcomes={"failed": 4}, errors={"server": 1, "client": 3},
        completed_rps=None, goodput_rps=None, output_tokens_per_s=None, error_ratio=None, throttled_ratio=None,
        ttft_s=None, itl_s=None, tpot_s=None, e2e_s=None,
    )  # fmt: skip
    cell = LiveCell(target="\x1b]0;owned\x07[red]a[/]", workload="w\x9b31m\r", windows={"1m": window})
    picture = Picture(
        run="p/\x1b[2Jr", at_utc="", at_wall_s=0.0, mode="run", state="running", plan="p", elapsed_s=None,
        planned_s=None, cells=[cell], findings=[], spend=SpendNow(usd=None, requests=0, tokens=None),
    )  # fmt: skip
    console(stderr=False).print(shown([picture]))
    said = capsys.readouterr().out
    assert said.startswith("p/?[2Jr: running")
    assert "?]0;owned[red]a[/] w?31m: errors of the last minute by class: 3 client, 1 server" in said
    assert all(char.isprintable() or char == "\n" for char in said)
