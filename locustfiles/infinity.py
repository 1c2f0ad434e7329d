"""Infinity: `locust -f locustfiles/infinity.py -H http://127.0.0.1:7997 --model BAAI/bge-small-en-v1.5 --batch 10`."""

from harness.user import ProviderUser


class InfinityUser(ProviderUser):
    """Embeddings on Infinity."""

    dialect = "infinity-embeddings"
    model = "BAAI/bge-small-en-v1.5"
    base_url = "http://127.0.0.1:7997"
