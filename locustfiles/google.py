"""Gemini: `locust -f locustfiles/google.py -H https://generativelanguage.googleapis.com --model gemini-2.5-flash`."""

from harness.user import ProviderUser


class GoogleUser(ProviderUser):
    """Chat on Gemini."""

    dialect = "google-generate"
    model = "gemini-2.5-flash"
    base_url = "https://generativelanguage.googleapis.com"
