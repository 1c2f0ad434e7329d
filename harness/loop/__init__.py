"""The event loop: who is woken when, in which order, and what must not hold it up."""
