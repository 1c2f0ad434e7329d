"""Sessions, wrong tokens and names of this machine."""

from __future__ import annotations

import secrets

from hypothesis import given
from hypothesis import strategies as st

from dashboard.login import TRIES, TRIES_OF_ALL, WINDOW_S, Throttle, login_page
from dashboard.security import _names_this_machine, new_session, read_session, same_token
from harness.inputs.loopback import is_loopback_host

SECRET = secrets.token_bytes(32)


def test_a_session_is_what_its_cookie_says() -> None:
    for known in (True, False):
        session = new_session(known=known)
        assert read_session(session.text(SECRET), SECRET) == session
        assert read_session(session.text(SECRET), secrets.token_bytes(32)) is None
    assert read_session(None, SECRET) is None


@given(st.integers(0, 120), st.characters(codec="ascii"))
def test_a_changed_cookie_is_no_session(place: int, character: str) -> None:
    text = new_session(known=False).text(SECRET)
    changed = text[:place] + character + text[place + 1 :]
    found = read_session(changed, SECRET)
    assert found is None or changed == text


@given(st.text())
def test_whatever_stands_in_a_cookie_is_read(text: str) -> None:
    assert read_session(text, SECRET) is None


def test_a_session_ends() -> None:
    session = new_session(known=True)
    old = type(session)(session.began_s - 8 * 86_400, session.nonce, known=True)
    assert read_session(old.text(SECRET), SECRET) is None


def test_csrf_tokens_are_of_one_session() -> None:
    a, b = new_session(known=True), new_session(known=True)
    assert a.csrf(SECRET) != b.csrf(SECRET) and a.csrf(SECRET) == a.csrf(SECRET)
    assert a.csrf(SECRET) not in a.text(SECRET)


@given(st.text(), st.text())
def test_only_the_token_is_the_token(a: str, b: str) -> None:
    assert same_token(a, a)
    assert same_token(a, b) == (a == b)


def test_names_of_this_machine_are_known_from_others() -> None:
    ours = ("localhost", "127.0.0.1:80", "127.9.9.9", "[::1]:8050", "LOCALHOST:1", "a.localhost")
    others = (
        "",
        "127.0.0.1.example",
        "127.example",
        "localhost.example",
        "10.0.0.1",
        "0.0.0.0",
        "[::]",
        "user@evil",
        "[",
    )
    assert all(map(_names_this_machine, ours))
    assert not any(map(_names_this_machine, others))
    assert all(map(is_loopback_host, ("::1", "[::1]", "localhost", "127.9.9.9")))
    assert not any(map(is_loopback_host, ("0.0.0.0", "", "::", "127.0.0.1.example", "localhost.example")))


def test_after_five_wrong_tokens_an_address_waits_and_others_do_not() -> None:
    throttle = Throttle()
    for second in range(TRIES):
        assert throttle.wait_s("a", float(second)) == 0
        throttle.failed("a", float(second))
    assert throttle.wait_s("a", 10.0) == WINDOW_S - 10
    assert throttle.wait_s("b", 10.0) == 0
    assert throttle.wait_s("a", WINDOW_S + 0.5) == 0
    for number in range(TRIES_OF_ALL):
        throttle.failed(f"c{number}", 100.0)
    assert throttle.wait_s("d", 101.0) == WINDOW_S - 1


def test_what_the_login_page_says_is_text() -> None:
    page = login_page("/login", "n", "<script>alert(1)</script>")
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page
