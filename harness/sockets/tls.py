"""TLS over a socket that is read by somebody else: `ssl` in memory, so that the kernel's stamps stay reachable."""

from __future__ import annotations

import ssl
from functools import lru_cache
from typing import Any

import gevent.socket
import gevent.ssl

_READ_BYTES = 65536


class TlsChannel:
    """One TLS connection on a non-blocking socket. Ciphertext goes in and out as bytes; the socket is used only for the
    handshake, and to answer what the protocol itself asks."""

    def __init__(self, connection: Any, context: ssl.SSLContext, host: str) -> None:
        self._socket = connection
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._closed = False  # by the other side, in order
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def shake_hands(self) -> None:
        """Raises ssl.SSLError where the certificate or the protocol is not accepted, OSError where the socket fails."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
            except ssl.SSLError:
                self._flush()  # tell the other side why
                raise
            else:
                self._flush()
                return

    def seal(self, data: bytes) -> bytes:
        """The ciphertext of `data`."""
        self._tls.write(data)
        return self._outgoing.read()

    def open(self, data: bytes) -> bytes:
        """The plaintext that `data` completes; none where a record is still in part. Raises ssl.SSLError.

        An orderly end of the channel is told by the socket's own end, which follows it.
        """
        self._incoming.write(data)
        parts: list[bytes] = []
        try:
            while part := self._tls.read(_READ_BYTES):
                parts.append(part)
            self._closed = True
        except ssl.SSLWantReadError:
            pass  # what the protocol itself wants to answer goes out with the next request
        return b"".join(parts)

    def over(self) -> bool:
        """Whether, between two requests, the channel was closed or something came that nobody asked for. What the
        protocol itself says then, such as TLS 1.3's tickets after the handshake, is neither. Raises OSError."""
        while not self._closed:
            try:
                data = self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                return False
            if not data or self.open(data):
                return True
        return True

    def _flush(self) -> None:
        view = memoryview(self._outgoing.read())
        while view:
            try:
                view = view[self._socket.send(view) :]
            except BlockingIOError:
                gevent.socket.wait_write(self._socket.fileno())

    def _feed(self) -> None:
        while True:
            try:
                data = self._socket.recv(_READ_BYTES)
                break
            except BlockingIOError:
                gevent.socket.wait_read(self._socket.fileno())
        if not data:
            raise ConnectionResetError(104, "closed during the handshake")
        self._incoming.write(data)


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """One context a process, made at the first use: after any fork. Certificates are verified."""
    context: ssl.SSLContext = gevent.ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def tls_reason(error: ssl.SSLError) -> str:
    """Why TLS was refused, in OpenSSL's words."""
    verify = getattr(error, "verify_message", "")
    return f"certificate not accepted: {verify}" if verify else str(error.reason or error)
