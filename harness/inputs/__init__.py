"""What people write, as text: YAML, addresses, secrets, numbers and lengths. Nothing here knows of plans."""
