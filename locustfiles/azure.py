"""Azure OpenAI: `locust -f locustfiles/azure.py -H https://RESOURCE.openai.azure.com --model DEPLOYMENT`."""

from harness.user import ProviderUser


class AzureUser(ProviderUser):
    """Chat on a deployment of Azure OpenAI; `--model` is its name."""

    dialect = "azure-openai"
    model = "gpt-4.1-mini"
