"""Cohere: `locust -f locustfiles/cohere.py -H https://api.cohere.com --model command-a-03-2025`."""

from harness.user import ProviderUser


class CohereUser(ProviderUser):
    """Chat on Cohere."""

    dialect = "cohere-chat"
    model = "command-a-03-2025"
    base_url = "https://api.cohere.com"
