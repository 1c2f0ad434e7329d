"""Below the one connection of `harness/transport.py`: addresses, TLS, kernel stamps, bounds, where a response ends."""
