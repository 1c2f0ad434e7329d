"""Gemini on Vertex AI: `POST {base}/publishers/google/models/{model}:streamGenerateContent?alt=sse`.

Project and location are a part of the base URL, as in
`https://europe-west1-aiplatform.googleapis.com/v1/projects/MY-PROJECT/locations/europe-west1`. The key is an access
token, which lives for an hour (`gcloud auth print-access-token`), or an API key of the express mode, whose base URL is
`https://aiplatform.googleapis.com/v1`. Replies are Gemini's.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from harness.dialects import google_generate
from harness.dialects.json_fields import bearer
from harness.dialects.wire import Ask, Dialect, HttpRequest

_API_KEYS = ("AIza", "AQ.")  # how they begin


def build(ask: Ask) -> HttpRequest:
    """Gemini's request, at the publisher's path; a token goes as a bearer, an API key as it does to Gemini."""
    plain = google_generate.build(replace(ask, key=None))
    method = plain.path.rpartition(":")[2]
    model = ask.model.removeprefix("publishers/google/").removeprefix("models/")
    path = f"/publishers/google/models/{quote(model, safe='')}:{method}"
    key = (ask.key or "").strip()
    header = {"x-goog-api-key": key} if key.startswith(_API_KEYS) else bearer(ask.key)
    return HttpRequest(path, plain.headers | header, plain.body)


DIALECT = Dialect(
    name="vertex",
    kind="chat",
    build=build,
    read=google_generate.read,
    read_whole=google_generate.read_whole,
    read_error=google_generate.read_error,
    key_env="GOOGLE_OAUTH_ACCESS_TOKEN",
)
