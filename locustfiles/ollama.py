"""Ollama: `locust -f locustfiles/ollama.py -H http://127.0.0.1:11434 --model llama3.2`."""

from harness.user import ProviderUser


class OllamaUser(ProviderUser):
    """Chat on Ollama, by its own interface."""

    dialect = "ollama"
    model = "llama3.2"
    base_url = "http://127.0.0.1:11434"
