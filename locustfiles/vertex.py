"""Gemini on Vertex AI: `locust -f locustfiles/vertex.py -H https://HOST/v1/projects/PROJECT/locations/LOCATION`."""

from harness.user import ProviderUser


class VertexUser(ProviderUser):
    """Chat on Vertex AI; the key is an access token, as `gcloud auth print-access-token` prints it."""

    dialect = "vertex"
    model = "gemini-2.5-flash"
