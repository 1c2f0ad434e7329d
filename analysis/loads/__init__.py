"""The stages of a target taken together: how it behaves as load grows, what holds it up, and what changes."""
