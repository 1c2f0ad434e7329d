"""Anthropic messages: `locust -f locustfiles/anthropic.py -H https://api.anthropic.com --model claude-haiku-4-5`."""

from harness.user import ProviderUser


class AnthropicUser(ProviderUser):
    """Chat on Anthropic."""

    dialect = "anthropic-messages"
    model = "claude-haiku-4-5"
    base_url = "https://api.anthropic.com"
