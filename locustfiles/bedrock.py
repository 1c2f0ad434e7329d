"""Bedrock: `locust -f locustfiles/bedrock.py -H https://bedrock-runtime.us-east-1.amazonaws.com --model MODEL`.

Requests are signed with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, where it is set, AWS_SESSION_TOKEN.
"""

from harness.plan import Aws
from harness.user import ProviderUser


class BedrockUser(ProviderUser):
    """Chat on Amazon Bedrock, by its Converse interface."""

    dialect = "bedrock-converse"
    model = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
    base_url = "https://bedrock-runtime.us-east-1.amazonaws.com"
    aws = Aws()
