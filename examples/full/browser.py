"""The client of one person: a browser with cookies and forms, or a program with a token. One connection, kept open."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Callable
from urllib.parse import urlencode, urljoin, urlsplit


@dataclass(frozen=True)
class Answer:
    what: str  # in the words of whoever asked
    method: str
    path: str
    status: int  # 0: no response came
    headers: list[tuple[str, str]]
    body: bytes
    ended: float  # time.monotonic(), seconds
    waited: float  # seconds since it was asked for, redirects before it included

    @property
    def is_redirect(self) -> bool:
        return self.status in (301, 302, 303)

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> dict:
        return json.loads(self.body)


Watch = Callable[[Answer], None]


@dataclass
class Form:
    action: str
    fields: dict[str, list[str]] = field(default_factory=dict)  # what is filled in
    choices: dict[str, dict[str, str]] = field(default_factory=dict)  # of each list: text -> value


class Browser:
    """Sends to 127.0.0.1:`port` and shows each answer to `watch`. With a `token`, a program that uses the API."""

    def __init__(self, port: int, watch: Watch, token: str | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.port = port
        self.watch = watch
        self._token = token
        self._cookies: dict[str, str] = {}

    @property
    def cookies(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self._cookies.items())

    def get(self, path: str, what: str) -> Answer:
        return self._follow(self._send("GET", path, what))

    def post(self, path: str, what: str, body: dict | None = None) -> Answer:
        """`body` as JSON, for the API."""
        return self._send("POST", path, what, json.dumps(body or {}).encode(), "application/json")

    def submit(self, page: Answer, what: str, action: str | None = None, **changes: str | None) -> Answer:
        """Fill in and send the page's form for `action` (None: the last one). None for a field leaves it out."""
        form = form_of(page, action)
        if form is None:
            return page  # it shows no such button now
        fields = {name: values for name, values in form.fields.items() if name not in changes}
        fields.update({name: [value] for name, value in changes.items() if value is not None})
        body = urlencode(fields, doseq=True).encode()
        return self._follow(self._send("POST", form.action, what, body, "application/x-www-form-urlencoded"))

    def close(self) -> None:
        self._connection.close()

    def _follow(self, answer: Answer) -> Answer:
        while answer.is_redirect:
            location = next(value for name, value in answer.headers if name.lower() == "location")
            answer = self._send("GET", urljoin(answer.path, location), answer.what, waited=answer.waited)
        return answer

    def _send(
        self, method: str, path: str, what: str, body: bytes | None = None, kind: str | None = None, waited: float = 0.0
    ) -> Answer:
        headers = {}
        if self._cookies:
            headers["Cookie"] = self.cookies
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if kind:
            headers["Content-Type"] = kind
        began = time.monotonic()
        response, data = self._exchange(method, path, body, headers)
        ended = time.monotonic()
        answer = Answer(what, method, path, response.status, response.getheaders(), data, ended, waited + ended - began)
        for name, value in answer.headers:
            if name.lower() == "set-cookie":
                for cookie in SimpleCookie(value).values():
                    self._cookies[cookie.key] = cookie.value
        self.watch(answer)
        return answer

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        try:
            return self._attempt(method, path, body, headers)
        except http.client.RemoteDisconnected:
            # The server closed a connection that was idle, in all likelihood before it read this: ask again.
            return self._attempt(method, path, body, headers)

    def _attempt(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        began = time.monotonic()
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            return response, response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            if not isinstance(error, ConnectionRefusedError):
                ended = time.monotonic()
                self.watch(Answer("", method, path, 0, [], b"", ended, ended - began))
            raise


def form_of(page: Answer, action: str | None = None) -> Form | None:
    """The page's form for `action` (None: its last one), of those that are sent by POST."""
    reader = _Forms(urlsplit(page.path).path)
    reader.feed(page.text)
    forms = [form for form in reader.forms if action is None or form.action == action]
    return forms[-1] if forms else None


class _Forms(HTMLParser):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._path = path
        self._open: Form | None = None
        self._select: str | None = None
        self._option: str | None = None
        self._textarea: str | None = None

    def handle_starttag(self, tag: str, attributes: list) -> None:
        given = dict(attributes)
        if tag == "form":
            posts = (given.get("method") or "get").lower() == "post"
            self._open = Form(urljoin(self._path, given.get("action") or self._path)) if posts else None
        if self._open is None:
            return
        if tag == "input":
            self._input(given)
        elif tag == "select":
            self._select = given.get("name")
        elif tag == "option" and self._select:
            self._option = given.get("value") or ""
            if "selected" in given:
                self._fill(self._select, self._option)
        elif tag == "textarea":
            self._textarea = given.get("name")

    def _input(self, given: dict) -> None:
        kind = (given.get("type") or "text").lower()
        if kind in ("submit", "button", "image", "reset", "file") or not given.get("name"):
            return
        if kind in ("checkbox", "radio") and "checked" not in given:
            return
        self._fill(given["name"], given.get("value") or ("on" if kind == "checkbox" else ""))

    def handle_data(self, data: str) -> None:
        if self._option is not None and self._select and self._open is not None:
            self._open.choices.setdefault(self._select, {})[data.strip()] = self._option
            self._option = None
        if self._textarea and self._open is not None:
            self._fill(self._textarea, data.lstrip("\n"))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self._open is not None:
            self.forms.append(self._open)
            self._open = None
        elif tag == "select":
            self._select = None
        elif tag == "textarea":
            self._textarea = None

    def _fill(self, name: str, value: str) -> None:
        if self._open is not None:
            self._open.fields.setdefault(name, []).append(value)
