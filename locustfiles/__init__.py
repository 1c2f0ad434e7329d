"""One short file per provider, each a Locust User class; `planned` runs a plan."""
