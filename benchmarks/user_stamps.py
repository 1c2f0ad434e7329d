"""tokenswarm's own client with the program's stamps in place of the kernel's: what those are worth.

Options and output are those of `locustfiles/openai_compatible.py`.
"""

from harness.sockets.endpoint import endpoint_of
from harness.transport import Connection
from harness.user import ProviderUser


class UserStampsUser(ProviderUser):
    """Chat on an OpenAI-compatible server, stamped as the program reads."""

    dialect = "openai-chat"
    model = "default"

    def on_start(self) -> None:
        """Connect again, without asking the kernel for stamps."""
        super().on_start()
        self.connection.close()
        self.connection = Connection(endpoint_of(self.cell.target.base_url), self.timeouts(), kernel_stamps=False)
        self.connection.connect()
