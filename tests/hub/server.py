"""A hub on the loopback address: as much of Hugging Face's protocol as fetching needs, and faults on request.

Repositories are kept in memory. Large files are handed out as the real hub does: the hub answers with a redirect
to another host (here ``localhost`` instead of ``127.0.0.1``), which must not be shown the token.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote, urlsplit

from tests.loopback import serving

TOKEN = "hf_sentinelSENTINELsentinel"
LARGE = (".safetensors", ".bin", ".onnx")


@dataclass
class Repo:
    """One commit of a repository; ``gated`` ones ask for ``TOKEN``."""

    revision: str
    files: dict[str, bytes]
    gated: bool = False


@dataclass
class Answer:
    """What a server says in place of the truth: the blocks of ``body`` are sent until whoever asked has enough."""

    body: Iterable[bytes] = ()
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass
class Hub:
    """The server's content, its faults, and what was asked of it.

    Attributes:
        repos: by ``owner/name``.
        plain: files at ``/plain/<name>``.
        break_after: for a file's name, bytes after which the connection breaks; each break happens once.
        corrupt: names of files of which one byte is sent wrongly.
        described: for a file's path, what is said of it in place of the truth.
        answers: for the end of a path, what is said in place of the truth.
        requests: (path, range, authorisation) of every request.
        given: bytes of bodies in ``answers`` that were sent.
    """

    repos: dict[str, Repo] = field(default_factory=dict)
    plain: dict[str, bytes] = field(default_factory=dict)
    break_after: dict[str, list[int]] = field(default_factory=dict)
    corrupt: set[str] = field(default_factory=set)
    described: dict[str, dict[str, object]] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    given: int = 0
    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def sent(self, name: str) -> list[str | None]:
        """The ranges asked for of a file, in order."""
        return [asked for path, asked, _ in self.requests if path.endswith(name) and not path.startswith("/api")]


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """Serve ``hub`` until the block ends."""

    class Handler(_Handler):
        content = hub

    with serving(Handler) as port:
        hub.port = port
        yield hub


class _Handler(BaseHTTPRequestHandler):
    content: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        authorisation = self.headers.get("Authorization")
        self.content.requests.append((path, self.headers.get("Range"), authorisation))
        answer = next((answer for end, answer in self.content.answers.items() if path.endswith(end)), None)
        if answer is not None:
            return self._say(answer)
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._describe(*found.groups())
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(*found.groups())
        elif found := re.fullmatch(r"/blobs/([0-9a-f]{64})/(.+)", path):
            self._send(found[2], self._blob(found[1]))
        elif (name := path.removeprefix("/plain/")) in self.content.plain:
            self._send(name, self.content.plain[name])
        else:
            self._refuse(404, "EntryNotFound")
        return None

    def _say(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for key, value in answer.headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.close_connection = True
        with suppress(ConnectionError):
            for block in answer.body:
                self.wfile.write(block)
                self.content.given += len(block)

    def _describe(self, name: str, revision: str | None) -> None:
        repo = self.content.repos.get(name)
        if repo is None:
            return self._refuse(401, "RepoNotFound")
        if revision not in (None, "main", repo.revision):
            return self._refuse(404, "RevisionNotFound")
        siblings = []
        for path, data in repo.files.items():
            git = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
            sibling = {"rfilename": path, "size": len(data), "blobId": git}
            if path.endswith(LARGE):
                sibling["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 135}
            siblings.append(sibling | self.content.described.get(path, {}))
        answer = {"id": name, "modelId": name, "sha": repo.revision, "private": False, "tags": [], "downloads": 0}
        return self._answer(200, json.dumps(answer | {"siblings": siblings}).encode(), {})

    def _resolve(self, name: str, revision: str, path: str) -> None:
        repo = self.content.repos.get(name)
        if repo is None:
            return self._refuse(401, "RepoNotFound")
        if repo.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._refuse(403 if self.headers.get("Authorization") else 401, "GatedRepo")
        if revision not in ("main", repo.revision):
            return self._refuse(404, "RevisionNotFound")
        if path not in repo.files:
            return self._refuse(404, "EntryNotFound")
        if not path.endswith(LARGE):
            return self._send(path, repo.files[path])
        digest = hashlib.sha256(repo.files[path]).hexdigest()
        place = f"http://localhost:{self.content.port}/blobs/{digest}/{path}"
        return self._answer(302, b"", {"Location": place, "X-Repo-Commit": repo.revision})

    def _blob(self, digest: str) -> bytes:
        files = [data for repo in self.content.repos.values() for data in repo.files.values()]
        return next(data for data in files if hashlib.sha256(data).hexdigest() == digest)

    def _send(self, name: str, data: bytes) -> None:
        tag = f'"{hashlib.sha256(data).hexdigest()}"'
        if name in self.content.corrupt:
            data = data[:-1] + bytes([data[-1] ^ 1])
        headers, start = {"ETag": tag, "Accept-Ranges": "bytes"}, 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and self.headers.get("If-Range") in (None, tag):
            start = int(asked[1])
            if start >= len(data):
                return self._answer(416, b"", headers | {"Content-Range": f"bytes */{len(data)}"})
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        breaks = self.content.break_after.get(name)
        part = data[start : start + breaks.pop(0)] if breaks else data[start:]
        return self._answer(206 if start else 200, part, headers, promised=len(data) - start)

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, b"{}", {"X-Error-Code": code, "X-Error-Message": f"{code} it is"})

    def _answer(self, status: int, data: bytes, headers: dict[str, str], promised: int | None = None) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data) if promised is None else promised))
        self.end_headers()
        self.wfile.write(data)
        if promised not in (None, len(data)):
            self.close_connection = True
