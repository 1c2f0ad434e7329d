"""Who may ask the dashboard for what: a token, sessions, the names it answers to, other sites, and a strict CSP.

Everything below the dashboard's prefix goes through here: pages, Dash's JSON, assets and downloads. A session is what
its cookie says, which is signed with a secret that lives as long as this process; remembered are only those that
somebody left, whose cookies may have been kept.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, g, request

from dashboard.login import Throttle, login_page
from harness.inputs.loopback import is_loopback_host

SESSION_S = 7 * 86_400
LEAST_TOKEN = 16  # characters
CSRF_HEADER = "X-CSRFToken"
_SAFE = ("GET", "HEAD")
_LIBRARIES = "_dash-component-suites/"  # code of packages, by version: the only thing that may be cached
_LONGEST_FORM = 4096
_MOST_LEFT = 10_000


@dataclass(frozen=True)
class Policy:
    """Who may use a dashboard.

    `token`: what has to be known (None: nobody is asked). `loopback`: whether it listens to this machine alone, without
    a login; then it answers only to names of this machine, which keeps off pages whose own name was made to
    point here (DNS rebinding; cookies are of one name, so a login keeps them off too). `allowed`: whether a request
    comes by way of the server that the dashboard is mounted in (None: it is mounted in none).
    """

    token: str | None = None
    loopback: bool = True
    allowed: Callable[[], bool] | None = None
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @property
    def asks(self) -> bool:
        """Whether somebody has to log in. Only then may load be started from the page."""
        return self.token is not None or self.allowed is not None


@dataclass(frozen=True)
class Session:
    """What a cookie says: since when (s since 1970), for whom, and whether the token was known."""

    began_s: int
    nonce: str
    known: bool

    def text(self, secret: bytes) -> str:
        """The cookie's value."""
        payload = f"{int(self.known)}.{self.began_s}.{self.nonce}"
        return f"{payload}.{_signed(secret, payload)}"

    def csrf(self, secret: bytes) -> str:
        """The token that every request which changes something must repeat in a header."""
        return _signed(secret, f"csrf.{self.nonce}")


def new_session(*, known: bool) -> Session:
    """A session that begins now."""
    return Session(int(time.time()), secrets.token_urlsafe(18), known)


def read_session(text: str | None, secret: bytes) -> Session | None:
    """The session of a cookie; None: there is none, it is not ours, or it is too old."""
    payload, _, signature = (text or "").rpartition(".")
    if not hmac.compare_digest(_signed(secret, payload).encode(), signature.encode()):
        return None
    known, began_s, nonce = payload.split(".")
    session = Session(int(began_s), nonce, known == "1")
    return session if 0 <= time.time() - session.began_s + 60 < SESSION_S else None


def _signed(secret: bytes, payload: str) -> str:
    return hmac.new(secret, payload.encode(), hashlib.sha256).hexdigest()


def same_token(given: str, token: str) -> bool:
    """Whether it is the token, in a time that tells nothing of how much of it was right."""
    ours, theirs = (hashlib.sha256(each.encode("utf-8", "surrogatepass")).digest() for each in (token, given))
    return hmac.compare_digest(ours, theirs)


@dataclass(frozen=True)
class Guard:
    """The policy of one dashboard at work: `prefix` is where it is mounted; `hashes` of the scripts that Dash puts into
    its page."""

    policy: Policy
    prefix: str
    hashes: Sequence[str] = ()
    throttle: Throttle = field(default_factory=Throttle)
    left: dict[str, None] = field(default_factory=dict)  # nonces of sessions that somebody logged out of, oldest first

    @property
    def name(self) -> str:
        """Of its cookies. Cookies do not know ports: dashboards on one machine must not take each other's."""
        return f"tokenswarm_{hashlib.sha256(self.policy.secret).hexdigest()[:8]}"

    def install(self, server: Flask) -> None:
        """Guard a server. Call it before anything is asked."""
        server.before_request(self._before)
        server.after_request(self._after)
        server.add_url_rule(f"{self.prefix}login", "tokenswarm_login", self._login, methods=["GET", "POST"])
        server.add_url_rule(f"{self.prefix}logout", "tokenswarm_logout", self._logout, methods=["POST"])

    def _ours(self) -> bool:
        return request.path.startswith(self.prefix) or f"{request.path}/" == self.prefix

    def _before(self) -> Response | None:
        """The refusal of a request; None: it may go on."""
        if not self._ours():
            return None
        g.nonce = secrets.token_urlsafe(16)
        g.session = self._session()
        if self.policy.loopback and self.policy.token is None and not _names_this_machine(request.host):
            return _refused(421, "this dashboard answers to names of this machine alone, such as 127.0.0.1")
        if not _from_here():
            return _refused(403, "a request from another site is refused")
        if request.path == f"{self.prefix}login":
            return None
        if not self._known():
            return self._ask()
        if request.method not in _SAFE and not self._repeats_csrf():
            return _refused(403, "the token of the page is missing: load the page again")
        return None

    def _session(self) -> Session | None:
        found = read_session(request.cookies.get(self.name), self.policy.secret)
        return None if found is None or found.nonce in self.left else found

    def _known(self) -> bool:
        if self.policy.allowed is not None and not self.policy.allowed():
            return False
        return self.policy.token is None or (g.session is not None and g.session.known)

    def _ask(self) -> Response:
        """To the login, where a person looks at a page; else a plain refusal."""
        page = request.method == "GET" and "text/html" in request.headers.get("Accept", "")
        if page and self.policy.token is not None:
            return _to(f"{self.prefix}login")
        return _refused(401, "log in first")

    def _repeats_csrf(self) -> bool:
        given = request.headers.get(CSRF_HEADER) or request.form.get("csrf", "")
        expected = "" if g.session is None else g.session.csrf(self.policy.secret)
        return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())

    def _login(self) -> Response:
        if self.policy.token is None:
            return _to(self.prefix)
        if request.method != "POST":
            return Response(login_page(f"{self.prefix}login", g.nonce))
        address = request.remote_addr or ""
        wait_s = self.throttle.wait_s(address, time.monotonic())
        if wait_s > 0:
            refused = Response(login_page(f"{self.prefix}login", g.nonce, f"Too many tries. Wait {wait_s:.0f} s."), 429)
            refused.headers["Retry-After"] = f"{wait_s:.0f}"
            return refused
        short = (request.content_length or 0) <= _LONGEST_FORM
        if not (short and same_token(request.form.get("token", ""), self.policy.token)):
            self.throttle.failed(address, time.monotonic())
            return Response(login_page(f"{self.prefix}login", g.nonce, "This is not the token."), 401)
        g.session = new_session(known=True)
        g.renew = True
        return _to(self.prefix)

    def _logout(self) -> Response:
        if g.session is not None and g.session.known:
            self.left[g.session.nonce] = None
            while len(self.left) > _MOST_LEFT:
                self.left.pop(next(iter(self.left)), None)
        g.session = new_session(known=False)
        g.renew = True
        return _to(self.prefix)

    def _after(self, response: Response) -> Response:
        if not self._ours() or "nonce" not in g:
            return response
        self._keep_session(response)
        nonce = f"'nonce-{g.nonce}'"
        response.headers["Content-Security-Policy"] = "; ".join(
            (
                "default-src 'none'",
                f"script-src 'self' {nonce} {' '.join(self.hashes)}".strip(),
                f"style-src 'self' {nonce}",
                "img-src 'self' data:",
                "font-src 'self'",
                "connect-src 'self'",
                "form-action 'self'",
                "base-uri 'none'",
                "frame-ancestors 'none'",
            )
        )
        response.headers.update(_HEADERS)
        library = request.path.startswith(f"{self.prefix}{_LIBRARIES}") and response.status_code == 200
        response.headers["Cache-Control"] = "private, max-age=86400" if library else "no-store"
        return response

    def _keep_session(self, response: Response) -> None:
        """Everybody has a session, also where nobody is asked for a token: what a page may send depends on it."""
        if not g.get("renew") and (g.session is not None or response.mimetype != "text/html"):
            return
        session = g.session or new_session(known=False)
        fixed: dict[str, Any] = {"path": self.prefix, "samesite": "Strict", "max_age": SESSION_S}
        fixed["secure"] = request.is_secure or request.headers.get("Origin", "").startswith("https:")  # by a proxy
        response.set_cookie(self.name, session.text(self.policy.secret), httponly=True, **fixed)
        response.set_cookie(f"{self.name}_csrf", session.csrf(self.policy.secret), **fixed)


_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def _names_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback_host(name) or name.endswith(".localhost")


def _from_here() -> bool:
    """Whether a request comes from this site's pages, or from no page at all. A link from elsewhere may open a page;
    what is sent, and what a page elsewhere embeds, may not come from there."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    navigates = request.method in _SAFE and request.headers.get("Sec-Fetch-Mode") == "navigate"
    if site not in (None, "same-origin", "none") and not navigates:
        return False
    return origin is None or origin in (f"http://{request.host}", f"https://{request.host}")


def _to(path: str) -> Response:
    return Response(status=303, headers={"Location": path})


def _refused(status: int, reason: str) -> Response:
    return Response(f"{reason}\n", status, mimetype="text/plain")
