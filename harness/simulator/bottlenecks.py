"""What can hold a simulated provider up, as configuration: load, a line, replicas, a cold start, its network.

Each has a truth that follows from these numbers alone; what a measurement should find is in docs/capacity.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from harness.plan import Count, NotNegative, Positive, Record, Share


class Usl(Record, frozen=True, kw_only=True):
    """Gunther's Universal Scalability Law: with N requests under way all waits are 1 + `sigma` (N - 1) + `kappa` N
    (N - 1) times as long. N users who never pause then get N / (that x the time of a request alone) requests a second:
    the most of it at N = sqrt((1 - sigma) / kappa)."""

    sigma: Share
    kappa: NotNegative


class Replica(Record, frozen=True, kw_only=True):
    """A part of the machines behind a provider, which gets `share` of its requests, drawn one by one, and takes
    `factor` times as long for every wait. What is left goes to machines of the usual speed."""

    share: Share
    factor: Positive


class ColdStart(Record, frozen=True, kw_only=True):
    """A provider that sleeps until it is asked, and again after `idle_s` without any request. It then takes `wake_s` to
    wake; whatever is asked meanwhile waits until it has."""

    wake_s: Positive
    idle_s: NotNegative = 60.0


class Bottlenecks(Record, frozen=True, kw_only=True):
    """The part of a provider that says what holds it up.

    `capacity`: beyond so many requests in flight all waits grow by (in flight / capacity) ** `overload_exponent`; more
    than `queue_limit` requests over capacity are turned away (503, Anthropic 529). `usl` is another law of growth, in
    its place. `slows` says which waits grow: `all`, those for the `first` content, or the `gaps` after it.
    With `slots` only so many requests are served at a time; the others wait in line, first come first served, before
    anything of their own begins.
    A connection takes `requests_per_connection`, then the server closes it; the first of them waits `new_connection_s`
    longer. `network_s` comes on top of every reply, and is not in what the server says of its own time.
    `cache_hits` is the share of requests that find `cached_share` of their prompt in the cache.
    """

    capacity: Count | None = None
    overload_exponent: NotNegative = 1.0
    queue_limit: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None
    usl: Usl | None = None
    slows: Literal["all", "first", "gaps"] = "all"
    slots: Count | None = None
    requests_per_connection: Count | None = None
    new_connection_s: NotNegative = 0.0
    network_s: NotNegative = 0.0
    cache_hits: Share = 1.0
    replicas: tuple[Replica, ...] = ()
    cold_start: ColdStart | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for what contradicts itself."""
        if self.usl is not None and self.capacity is not None:
            raise ValueError("`usl` and `capacity` are two laws of load: set one of them to null")
        if sum(replica.share for replica in self.replicas) > 1:
            raise ValueError("the shares of `replicas` are more than 1 together")
