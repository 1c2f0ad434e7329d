"""OpenAI chat completions: `locust -f locustfiles/openai.py -H https://api.openai.com/v1 --model gpt-4.1-mini`."""

from harness.user import ProviderUser


class OpenAIUser(ProviderUser):
    """Chat on OpenAI."""

    dialect = "openai-chat"
    model = "gpt-4.1-mini"
    base_url = "https://api.openai.com/v1"
