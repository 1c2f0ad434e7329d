"""How busy a provider is, and what that does to its replies. Pure: time comes as an argument, in s of any clock."""

from __future__ import annotations

from collections.abc import Callable

from harness.simulator.bottlenecks import Bottlenecks


class Load:
    """The requests that a provider has under way, each known by its id.

    A request enters when it has been read, begins when it gets a slot (at once where there is no line), and leaves when
    it is over, whether or not it had begun.
    """

    def __init__(self, provider: Bottlenecks) -> None:
        self._provider = provider
        self._served: set[str] = set()
        self._waiting: dict[str, Callable[[], object]] = {}  # in the order in which they came
        self._idle_since_s: float | None = None
        self._awake_s: float | None = None  # None: it sleeps
        self.in_flight = 0
        self.factor = 1.0

    @property
    def first_factor(self) -> float:
        """By how much the wait for the first content is longer."""
        return 1.0 if self._provider.slows == "gaps" else self.factor

    @property
    def gap_factor(self) -> float:
        """By how much the gaps after it are longer."""
        return 1.0 if self._provider.slows == "first" else self.factor

    def enter(self, now_s: float) -> None:
        """One request more."""
        cold = self._provider.cold_start
        if cold is not None and self.in_flight == 0:
            slept = self._idle_since_s is None or now_s - self._idle_since_s >= cold.idle_s
            self._awake_s = now_s + cold.wake_s if slept else self._awake_s
        self._change(1)

    def asleep_s(self, now_s: float) -> float:
        """How long it is still waking."""
        return 0.0 if self._awake_s is None else max(0.0, self._awake_s - now_s)

    def begin(self, ticket: str, later: Callable[[], object]) -> bool:
        """Whether this request has a slot. If not, it waits in line, and `later` is called when it gets one."""
        slots = self._provider.slots
        if slots is None or len(self._served) < slots:
            self._served.add(ticket)
            return True
        self._waiting[ticket] = later
        return False

    def leave(self, ticket: str, now_s: float) -> None:
        """One request less; the first of those in line gets its slot."""
        self._change(-1)
        if self.in_flight == 0:
            self._idle_since_s = now_s
        if self._waiting.pop(ticket, None) is None:
            self._served.discard(ticket)
        slots = self._provider.slots
        if slots is not None and self._waiting and len(self._served) < slots:
            first = next(iter(self._waiting))
            start = self._waiting.pop(first)
            self._served.add(first)
            start()

    def _change(self, by: int) -> None:
        self.in_flight += by
        self.factor = factor_at(self._provider, self.in_flight)


def factor_at(provider: Bottlenecks, in_flight: int) -> float:
    """By how much waits are longer with so many requests under way; those in line slow nobody."""
    n = in_flight if provider.slots is None else min(in_flight, provider.slots)
    if provider.usl is not None and n > 1:
        return 1 + provider.usl.sigma * (n - 1) + provider.usl.kappa * n * (n - 1)
    if provider.capacity is not None:
        return max(1.0, float((n / provider.capacity) ** provider.overload_exponent))
    return 1.0
