"""URLs without their secrets for storing and showing, and an in-memory store of the secrets for requests.

Three parts of a URL may be secret:

* user and password (RFC 3986, 3.2.1);
* the token of an Anaconda-style channel: `/t/TOKEN/` in the path (conda, `split_anaconda_token`);
* query parameters that sign or authorise a request, by their name or by the look of their value.

`public` removes them. A URL enters bridge through `Secrets.learn`, which keeps them in memory; it is passed on, stored
and shown in its public form. `bridge.fetch.http` gets the secrets of a request from `Secrets`. Other secrets in a path
cannot be distinguished from names, and stay.
"""

from __future__ import annotations

import posixpath
import re
import threading
from contextlib import suppress
from dataclasses import field
from functools import lru_cache, partial
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from converters.deferred import dataclass, regex

__all__ = ["SECRETS", "Address", "Secrets", "has_secret", "hidden", "masked", "public"]

# The user name of ssh, mostly `git`, is a part of the address: without it nothing answers.
_USER_INFORMATION = regex(r"(?<=://)(?!(?<=ssh://)[\w.-]+@)[^/?#\s]*@")
# `https://user:pa/ss@host`: no port follows the colon, so the `/` belongs to the password. A number could be a port:
# then it is user information only if no dot precedes the colon and one follows the `@`.
_BROKEN_USER_INFORMATION = regex(
    r"(?<=://)(?:[^/?#\s@:\[\]]*:(?![0-9]*(?:[/?#\s'\"]|\Z))[^\s'\"<>]*@"
    r"|(?<!git\+http://)(?<!git\+https://)[^/?#\s@:.\[\]]+:[0-9]+[/?#][^\s'\"<>]*@(?=[^/?#\s'\"<>]+\.[^/?#\s'\"<>]*)"
    # In the URL of a git repository a reference may follow the `@`: a host is followed by a path.
    r"|(?:(?<=git\+http://)|(?<=git\+https://))[^/?#\s@:.\[\]]+:[0-9]+[/?#][^\s'\"<>]*@(?=[^/?#\s'\"<>]+\.[^/?#\s'\"<>]*/))"
)
_URL = regex(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>`]+")
_TOKEN = regex(r"/t/([^/?#]+)(?=[/?#]|\Z)")
_PARAMETER = regex(r"(?<=[?&;])([^=&#;]+)=([^&#]*)")
_ANY_PARAMETER = regex(r"[?&;]([\w.%-]+)=([^&\s\"'<>]+)")
_ANY_TOKEN = regex(r"[^\s\"'<>]*/t/[^\s\"'<>]+")
_SECRET_NAME = regex(
    r"token|secret|signature|passw|credential|api.?key|access.?key|authori[sz]ation|session|bearer|jwt"
    r"|x-(?:amz|goog|ms|oss|cos)-|(?:\A|[-_.])(?:sig|sign|key|auth|pwd|pass|sas|hmac|policy|code|user|username|login)\Z",
    re.IGNORECASE,
)
_DIGEST_NAME = regex(r"(?:sha\d+|md5|hash|digest|checksum|blake2b)\Z", re.IGNORECASE)
_RANDOM = regex(r"(?=[^.]*[0-9])(?=[^.]*[A-Za-z])[A-Za-z0-9_+/=%~-]{20,}\Z|eyJ", re.ASCII)
_SHORTEST = 4  # characters of a secret to hide in foreign texts; shorter ones occur by chance
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A URL in two forms: `public` may be stored and shown, `full` is requested from the server; neither has a
    fragment.

    `user` is the percent-decoded (name, password), which neither form contains; `bearer` is a token for the header of
    the request (RFC 6750).
    """

    public: str
    full: str = field(repr=False)
    user: tuple[str, str] | None = field(default=None, repr=False)
    bearer: str | None = field(default=None, repr=False)

    @classmethod
    @lru_cache(maxsize=1024)  # each page's is asked for several times
    def of(cls, url: str) -> Address:
        """Split a URL.

        :raises ValueError: the text is no URL (`urllib.parse.urlsplit`), or its user information is not
            percent-encoded.
        """
        if "@" in url and _BROKEN_USER_INFORMATION.search(_USER_INFORMATION.sub("", url, count=1)):
            raise ValueError("its user or password contains `/`, `?` or `#`: percent-encode them (%2F, %3F, %23)")
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises ValueError for an invalid port
        information, at, host = parts.netloc.rpartition("@")
        name, _, password = information.partition(":")
        if parts.scheme in {"ssh", "git+ssh"} and not password:
            information, host = "", parts.netloc
        # Without a host the slashes of `git+file:///` would be lost.
        full = urlunsplit(parts._replace(netloc=host, fragment="")) if parts.netloc else without_fragment(url)
        return cls(
            public=_public_place(full),
            full=full,
            user=(unquote(name), unquote(password)) if at and information else None,
        )

    def __str__(self) -> str:
        return self.public


def origin(url: str) -> tuple[str, str, int]:
    """Return (scheme, host, port).

    :raises ValueError: the URL has no host or an invalid port.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError(f"a URL without a host: {masked(url)}")
    return parts.scheme, parts.hostname, _PORTS.get(parts.scheme, 0) if parts.port is None else parts.port


def _is_below(url: str, place: str) -> bool:
    return url == place or url.startswith(place if place.endswith("/") else f"{place}/")


def without_fragment(url: str) -> str:
    """Return the URL up to its `#`."""
    return url.partition("#")[0]


def public(url: str) -> str:
    """Return a URL without its secrets, with its fragment; a text that is no URL is returned masked."""
    if "://" not in url or not _may_be_secret(url):
        return url
    try:
        place = Address.of(url).public
    except ValueError:
        return masked(url)
    fragment = url.partition("#")[2]
    return f"{place}#{fragment}" if fragment else place


def masked(text: str) -> str:
    """Replace the secrets of every URL in `text` by `***`."""
    if "://" not in text or not _may_be_secret(text):
        return text
    if "@" in text:
        text = _USER_INFORMATION.sub("***@", text)
        text = _BROKEN_USER_INFORMATION.sub("***@", text)
    return _URL.sub(lambda match: _masked_url(match[0]), text)


def hidden(text: str) -> str:
    """Mask a foreign text (a library's message, a traceback, build output), and replace every known secret."""
    return SECRETS.hide(masked(text))


def _may_be_secret(url: str) -> bool:
    """Most URLs have none of these, and need none of the expressions above."""
    return "@" in url or "?" in url or "/t/" in url


def has_secret(text: str) -> bool:
    """Whether a page contains a URL with a secret, absolute or relative."""
    text = text.replace("&amp;", "&").replace("\\/", "/")
    if masked(text) != text:
        return True
    if "?" in text and any(_is_secret(*match) for match in _ANY_PARAMETER.findall(text)):
        return True
    return "/t/" in text and any(_token(f"http://any/{match}") for match in _ANY_TOKEN.findall(text))


def _masked_url(url: str) -> str:
    if not _may_be_secret(url):
        return url
    place, hash_, fragment = url.partition("#")
    path, question, query = place.partition("?")
    match = _token(path)
    if match is not None:
        path = f"{path[: match.start(1)]}***{path[match.end(1) :]}"
    if question:
        query = _PARAMETER.sub(
            lambda parameter: f"{parameter[1]}=***" if _is_secret(*parameter.groups()) else parameter[0], "?" + query
        )
        query = query[1:]
    return f"{path}{question}{query}{hash_}{fragment}"


def _public_place(url: str) -> str:
    """Remove token and secret parameters from a URL without user information and fragment."""
    path, question, query = url.partition("?")
    match = _token(path)
    if match is not None:
        path = path[: match.start()] + path[match.end() :]
    if question:
        kept = [part for part in query.split("&") if not _is_secret(*part.partition("=")[::2])]
        query = "&".join(kept)
    return f"{path}?{query}" if query else path


def _token(path: str) -> re.Match[str] | None:
    """Match `/t/TOKEN` in a URL; directories by first letter (`…/t/tomli/tomli-1.0.tar.gz`) are no tokens."""
    if "/t/" not in path or not path.startswith(("http://", "https://")):
        return None
    start = path.find("/", path.index("://") + 3)
    match = _TOKEN.search(path, start) if start >= 0 else None
    if match is None:
        return None
    directory, last = match[1].lower(), path.rpartition("/")[2].lower()
    is_letter = directory.startswith("t") and re.sub(r"[-_.]+", "-", last).startswith(
        re.sub(r"[-_.]+", "-", directory) + "-"
    )
    return None if is_letter else match


def _is_secret(name: str, value: str) -> bool:
    """Whether a query parameter signs or authorises, by its name or because its value looks random."""
    if _DIGEST_NAME.search(name) or not value or value == "***":
        return False
    return bool(_SECRET_NAME.search(unquote(name)) or _RANDOM.match(value))


class Secrets:
    """The secrets of URLs seen in this process, with their scope. Thread-safe.

    User and password apply to the URL that they were typed in and everything below it (see `user`); a token to
    everything below its URL; a query to its exact URL. Secrets from a page or a redirect apply to their exact URL.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: dict[tuple[str, str, int], dict[str, tuple[str, str] | None]] = {}
        self._own: dict[str, Address] = {}
        self._tokens: dict[str, tuple[str, str]] = {}  # public URL -> (what precedes the token, `/t/TOKEN`)
        self._bearers: dict[str, str] = {}  # public URL -> the token for it and everything below it
        self._words: set[str] = set()

    def add_stored(
        self, url: str, *, user: tuple[str, str] | None = None, bearer: str | None = None, token: str | None = None
    ) -> None:
        """Remember what a store of credentials has for everything below a URL, unless the user typed other secrets."""
        with self._lock:
            is_known = url in self._tokens or url in self._bearers
        if is_known or self.user(url) is not None:
            return
        secret = token or bearer or (user[1] if user else "")
        if len(secret) >= _SHORTEST:
            with self._lock:
                self._words.update({secret, unquote(secret), quote(secret, safe="")})
        scheme, _, place = url.partition("://")
        host = place.partition("/")[0]
        with self._lock:
            if token is not None:
                self._tokens[url] = (f"{scheme}://{host}", f"/t/{token}")
            elif bearer is not None:
                self._bearers[url] = bearer
            elif user is not None:
                self._users.setdefault(origin(url), {})[url] = user

    def learn(self, url: str, *, is_typed: bool = True) -> str:
        """Remember the secrets of `url`, and return it without them and without its fragment.

        :param is_typed: the user gave the URL (command line, configuration, requirement), not a server.
        :raises ValueError: as `Address.of`.
        """
        if not _may_be_secret(url):
            return without_fragment(url)
        address = Address.of(url)
        if address.user is None and address.public == address.full:
            return address.public
        known = origin(address.full) if address.user else None
        with self._lock:
            self._remember_words(address)
            if address.user is not None and is_typed and known is not None:
                self._users.setdefault(known, {})[address.public] = address.user
            if address.public != address.full or not is_typed:
                self._own[address.public] = address
            token = _token(address.full.partition("?")[0])
            if is_typed and token is not None:
                self._tokens[address.public.partition("?")[0].rstrip("/")] = (address.full[: token.start()], token[0])
        return address.public

    def kept_public(self, url: str) -> str:
        """Like `learn`, but keep the fragment; a text that is no URL is returned masked."""
        if "://" not in url or not _may_be_secret(url):
            return url
        try:
            self.learn(url)
        except ValueError:
            return masked(url)
        return public(url)

    def learn_all(self, text: str) -> str:
        """Learn every URL in a text from the user, and return it with their public forms. Raises as `learn`."""
        if "://" not in text or not _may_be_secret(text):
            return text

        def learned(match: re.Match[str]) -> str:
            url, colons, rest = match[0].partition("::")  # CHANNEL::NAME
            place, hash_, fragment = url.partition("#")
            known = self.learn(place)
            if place.startswith(("http://", "https://")):
                self.add_place(known)
            return f"{known}{hash_}{fragment}{colons}{rest}"

        return _URL.sub(learned, text)

    def address(self, url: str) -> Address:
        """Return what to request from a server for a URL, in its public form or with secrets of its own."""
        own = Address.of(url)
        if own.full != own.public:
            return own if own.user else Address(public=own.public, full=own.full, user=self.user(own.public))
        with self._lock:
            exact = self._own.get(own.public)
            scopes = [scope for scope in self._tokens if own.public == scope or own.public.startswith(f"{scope}/")]
            start, token = self._tokens[max(scopes, key=len)] if scopes else ("", "")
        full = own.full if exact is None else exact.full
        if exact is None and token:
            full = f"{start}{token}{own.public[len(start) :]}"
        user = own.user or (exact.user if exact else None) or self.user(own.public)
        return Address(public=own.public, full=full, user=user, bearer=None if user else self._bearer(own.public))

    def _bearer(self, url: str) -> str | None:
        with self._lock:
            scopes = [scope for scope in self._bearers if url == scope or url.startswith(f"{scope}/")]
            return self._bearers[max(scopes, key=len)] if scopes else None

    def add_place(self, url: str) -> None:
        """Remember a URL that the user typed without a user: what is below it gets no user of another URL."""
        with suppress(ValueError):
            address = Address.of(url)
            if address.user is None:
                with self._lock:
                    self._users.setdefault(origin(address.full), {}).setdefault(address.public, None)

    def add_user(self, url: str, user: tuple[str, str]) -> None:
        """Remember a user and a password, found elsewhere, for everything below a URL."""
        self.add_word(user[1])
        with self._lock:
            self._users.setdefault(origin(url), {})[url] = user

    def inherit(self, url: str, source: str) -> None:
        """Give a link of a page the user that was typed for the page's index, if both have the same origin."""
        with suppress(ValueError):
            place = public(url.partition("#")[0])
            if "://" in source and origin(place) == origin(source):
                with self._lock:
                    if not self._users.get(origin(place)):
                        return
                user = self.user(source)
                with self._lock:
                    known = self._users[origin(place)]
                    known[place] = known.get(place) or user

    def place(self, url: str) -> str | None:
        """Return the URL that the user typed for a place and what is below it; of several, the longest."""
        with self._lock:
            known = [typed for typed in self._users.get(origin(url), {}) if _is_below(url, typed)]
        return max(known, key=len, default=None)

    def user(self, url: str) -> tuple[str, str] | None:
        """Return the user and password of the URL that was typed for this place.

        For a place below no typed URL, those of the URL with the longest common path, unless another one without a
        user is as near: a repository may serve its files beside its index.
        """
        with self._lock:
            known = dict(self._users.get(origin(url), {}))
        below = [typed for typed in known if _is_below(url, typed)]
        if below:
            return known[max(below, key=len)]
        depths = {typed: len(posixpath.commonpath([typed, url])) for typed in known}
        nearest = [known[typed] for typed, depth in depths.items() if depth == max(depths.values())]
        return nearest[0] if nearest and None not in nearest else None

    def hide(self, text: str) -> str:
        """Replace every known secret in `text` by `***`."""
        with self._lock:
            words = sorted(self._words, key=len, reverse=True)
        for word in words:
            text = text.replace(word, "***")
        return text

    def add_word(self, word: str) -> None:
        """Remember a secret that is part of no URL."""
        if len(word) >= _SHORTEST:
            with self._lock:
                self._words.add(word)

    def forget(self) -> None:
        """Forget everything; for tests, whose servers reuse ports."""
        with self._lock:
            for known in (self._users, self._own, self._tokens, self._bearers, self._words):
                known.clear()

    def _remember_words(self, address: Address) -> None:
        words = [address.user[1]] if address.user and address.user[1] else list(address.user or ())
        path, _, query = address.full.partition("?")
        if (match := _token(path)) is not None:
            words.append(match[1])
        words += [value for name, value in _PARAMETER.findall(f"?{query}") if _is_secret(name, value)]
        words += [form(word) for word in tuple(words) for form in (unquote, partial(quote, safe=""))]
        self._words.update(word for word in words if len(word) >= _SHORTEST)


SECRETS = Secrets()
"""The secrets of this process."""
