"""The master's side of a planned run: who has which share, whose clock says what, and who was lost."""

from __future__ import annotations

import time
from typing import Any

from locust.rpc.protocol import Message
from locust.runners import STATE_MISSING, MasterRunner

from harness.handover.planned import Assignment, write_late, write_lost
from harness.planned_run.worker_side import PING, SHARE


class MasterSide:
    """Gives every worker its share when load begins, and one that comes late the next number; notes who was lost.

    Only those are heard that have come to this master: the workers of one that died before it at this address go on
    reporting to whoever listens there.
    """

    def __init__(self, runner: MasterRunner, assignment: Assignment) -> None:
        self._runner = runner
        self._assignment = assignment
        self._numbers: dict[str, int] = {}
        self._count = 0
        self._came: set[str] = set()
        self._late: list[str] = []
        self._lost: dict[str, str] = {}
        self._began_s = time.monotonic()
        runner.register_message(PING, self._answer)
        runner.register_message(SHARE, self._on_ask)
        events = runner.environment.events
        events.worker_connect.add_listener(lambda client_id, **_: self._came.add(client_id))  # type: ignore[no-untyped-call]
        events.worker_report.add_listener(self._on_report)  # type: ignore[no-untyped-call]
        self._heed = runner.handle_message
        runner.handle_message = self._heed_known  # type: ignore[method-assign]

    def share_out(self) -> None:
        """Number the workers that are there, once."""
        if not self._numbers:
            there = sorted(self._there())
            self._numbers = {client: number for number, client in enumerate(there)}
            self._began_s = time.monotonic()
            self._count = len(there)
            for client in there:
                self._tell(client)

    @property
    def present(self) -> int:
        """How many workers there are now."""
        return len(self._there())

    def _there(self) -> set[str]:
        return {client.id for client in self._runner.clients.all if client.state != STATE_MISSING}

    def look(self) -> None:
        """Note which workers are gone. Locust moves the users of closed cells to the others; a part of an open schedule
        stays unsent."""
        there = self._there()
        for client, number in self._numbers.items():
            if client not in there and client not in self._lost:
                after_s = time.monotonic() - self._began_s
                worker = f"r{self._assignment.repeat}-w{number}"
                what = "its users were moved to the other workers, its part of open schedules was not sent from then on"
                self._lost[client] = f"{worker} ({client}) was lost after {after_s:.0f} s: {what}"
                write_lost(self._assignment.run_dir, self._assignment.repeat, list(self._lost.values()))

    def _heed_known(self, client_id: str, msg: Message) -> None:
        known = client_id in self._came or client_id in self._runner.clients
        if known or msg.type in ("client_ready", "locustfile"):
            self._heed(client_id, msg)

    def _on_ask(self, environment: Any, msg: Any, **_: Any) -> None:
        """A worker asks once it can hear the answer. Before load begins there is none yet."""
        del environment
        if self._numbers:
            self._numbers.setdefault(msg.node_id, max(self._numbers.values()) + 1)
            self._tell(msg.node_id)

    def _on_report(self, client_id: str, data: dict[str, Any]) -> None:
        number = self._numbers.get(client_id, 0)
        worker = f"r{self._assignment.repeat}-w{number}"
        if number >= self._count and data.get("user_count") and worker not in self._late:
            self._late.append(worker)
            write_late(self._assignment.run_dir, self._assignment.repeat, self._late)

    def _tell(self, client: str) -> None:
        self._runner.send_message(SHARE, {"k": self._numbers[client], "n": self._count}, client)

    def _answer(self, environment: Any, msg: Any, **_: Any) -> None:
        del environment
        answer = {"mono_ns": msg.data["mono_ns"], "master_ns": time.time_ns()}
        self._runner.send_message(PING, answer, msg.node_id)
