"""Any server that speaks OpenAI's chat protocol, such as vLLM, SGLang, llama.cpp or Ollama.

`locust -f locustfiles/openai_compatible.py -H http://127.0.0.1:8000/v1 --model my-model --key-env MY_KEY`
"""

from harness.user import ProviderUser


class OpenAICompatibleUser(ProviderUser):
    """Chat on an OpenAI-compatible server."""

    dialect = "openai-chat"
    model = "default"
