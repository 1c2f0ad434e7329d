"""Tests, intervals and change points that know nothing of providers. Pure."""
