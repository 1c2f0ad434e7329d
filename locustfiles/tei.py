"""Text Embeddings Inference: `locust -f locustfiles/tei.py -H http://127.0.0.1:8080 --batch 10`."""

from harness.user import ProviderUser


class TeiUser(ProviderUser):
    """Embeddings on Text Embeddings Inference, which serves one model."""

    dialect = "tei-embeddings"
    model = "served"
    base_url = "http://127.0.0.1:8080"
