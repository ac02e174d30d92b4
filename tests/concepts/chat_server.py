"""An OpenAI-compatible endpoint on the loopback address: scripted answers and faults, and what was asked of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.loopback import serving

KEY = "sk-sentinelSENTINELsentinel0123456789"

CATEGORIES = {
    "categories": [
        {"name": "crest", "kind": "object", "concepts": ["a crest", "a red  crest.", "a crown of feathers"]},
        {"name": "plumage", "kind": "attribute", "concepts": ["striped", "Striped", "grey", "gray"]},
        {"name": "place", "kind": "setting", "concepts": ["in the snow", "at night"]},
    ]
}
SUBTYPES = {
    "expansions": [
        {"concept": "a crest", "subtypes": ["a pointed crest", "a red crest", "a crest"]},
        {"concept": "at night", "subtypes": ["under the moon"]},
        {"concept": "a beak", "subtypes": ["a hooked beak"]},
    ]
}


@dataclass
class Reply:
    """One answer; ``pause`` seconds late, in place of a completion if it has a ``body`` of its own."""

    text: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    pause: float = 0.0


@dataclass
class Chat:
    """The server's script and its record.

    Attributes:
        script: replies in order; after them it answers well.
        requests: the bodies of all requests.
        keys: their authorisation.
    """

    script: list[Reply] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    port: int = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def next_reply(self, body: dict[str, Any]) -> Reply:
        return self.script.pop(0) if self.script else Reply(good(body))


def good(body: dict[str, Any]) -> str:
    """A well-formed answer of the schema that was asked for."""
    schema = body["response_format"]["json_schema"]["schema"]
    return json.dumps(CATEGORIES if "categories" in schema["properties"] else SUBTYPES)


@contextmanager
def running(chat: Chat) -> Iterator[Chat]:
    """Serve ``chat`` until the block ends."""

    class Handler(_Handler):
        content = chat

    with serving(Handler) as port:
        chat.port = port
        yield chat


class _Handler(BaseHTTPRequestHandler):
    content: Chat

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.content.requests.append(body)
        self.content.keys.append(self.headers["Authorization"])
        reply = self.content.next_reply(body) if self.path == "/v1/chat/completions" else Reply(status=404)
        time.sleep(reply.pause)
        message = {"role": "assistant", "content": reply.text, "refusal": None}
        usage = {"prompt_tokens": 1000, "completion_tokens": 50}
        answer = reply.body if reply.body is not None else {"choices": [{"message": message}], "usage": usage}
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        try:
            self.send_response(reply.status)
            for key, value in reply.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the other side had no patience

    def log_message(self, *_arguments: Any) -> None:
        """Be quiet."""
