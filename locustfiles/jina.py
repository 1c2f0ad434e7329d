"""Jina embeddings: `locust -f locustfiles/jina.py -H https://api.jina.ai/v1 --model jina-embeddings-v3 --batch 10`."""

from harness.user import ProviderUser


class JinaUser(ProviderUser):
    """Embeddings on Jina."""

    dialect = "jina-embeddings"
    model = "jina-embeddings-v3"
    base_url = "https://api.jina.ai/v1"
