"""The master's side of a planned run: who has which share, whose clock says what, and who was lost."""

from __future__ import annotations

import time
from typing import Any

from locust.runners import STATE_MISSING, MasterRunner

from harness.planned import Assignment, write_lost
from harness.worker_side import PING, SHARE


class MasterSide:
    """Gives every worker its share when load begins, and one that comes late the next number; notes who was lost."""

    def __init__(self, runner: MasterRunner, assignment: Assignment) -> None:
        self._runner = runner
        self._assignment = assignment
        self._numbers: dict[str, int] = {}
        self._lost: dict[str, str] = {}
        self._began_s = time.monotonic()
        runner.register_message(PING, self._answer)
        runner.environment.events.worker_connect.add_listener(self._on_connect)  # type: ignore[no-untyped-call]

    def share_out(self) -> int:
        """Number the workers that are there, once. Returns how many share the load."""
        if not self._numbers:
            there = sorted(client.id for client in self._runner.clients.all if client.state != STATE_MISSING)
            self._numbers = {client: number for number, client in enumerate(there)}
            self._began_s = time.monotonic()
            self._count = len(there)
            for client in there:
                self._tell(client)
        return self._count

    def look(self) -> None:
        """Note which workers are gone. Locust moves the users of closed cells to the others; a part of an open schedule
        stays unsent."""
        there = {client.id for client in self._runner.clients.all if client.state != STATE_MISSING}
        for client, number in self._numbers.items():
            if client not in there and client not in self._lost:
                after_s = time.monotonic() - self._began_s
                worker = f"r{self._assignment.repeat}-w{number}"
                what = "its users were moved to the other workers, its part of open schedules was not sent from then on"
                self._lost[client] = f"{worker} ({client}) was lost after {after_s:.0f} s: {what}"
                write_lost(self._assignment.run_dir, self._assignment.repeat, list(self._lost.values()))

    def _on_connect(self, client_id: str, **_: Any) -> None:
        if self._numbers:
            self._numbers.setdefault(client_id, max(self._numbers.values()) + 1)
            self._tell(client_id)

    def _tell(self, client: str) -> None:
        self._runner.send_message(SHARE, {"k": self._numbers[client], "n": self._count}, client)

    def _answer(self, environment: Any, msg: Any, **_: Any) -> None:
        del environment
        answer = {"mono_ns": msg.data["mono_ns"], "master_ns": time.time_ns()}
        self._runner.send_message(PING, answer, msg.node_id)
