"""Mistral: `locust -f locustfiles/mistral.py -H https://api.mistral.ai/v1 --model mistral-small-latest`."""

from harness.user import ProviderUser


class MistralUser(ProviderUser):
    """Chat on Mistral."""

    dialect = "mistral"
    model = "mistral-small-latest"
    base_url = "https://api.mistral.ai/v1"
