"""An OpenAI-compatible chat-completions endpoint: retried, remembered on the disk, its key never written anywhere."""

from __future__ import annotations

import json
import os
import ssl
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from time import sleep
from typing import Any
from urllib.parse import urlsplit

import httpx2
from pydantic import BaseModel

from diffexplain.concepts.asking import Turn
from diffexplain.concepts.pictures import data_url
from diffexplain.errors import RetryableError, UserError, printable
from diffexplain.weights import atomic
from diffexplain.weights.documents import from_json, read_json
from diffexplain.weights.paths import resolve_path
from diffexplain.weights.store import store_folder

_OVERLOADED = (408, 409, 425, 429, 500, 502, 503, 504)
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
"""Seconds; a pause is twice the one before, or what the server asks for."""

_SHOWN = 300
_LONGEST = 1 << 24
"""Bytes of an answer, at most."""
_PRICES = ("input", "output")


@dataclass
class Usage:
    """What one endpoint was asked and sent; what is read from the disk costs nothing and is counted apart."""

    requests: int = 0
    remembered: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    def line(self, price_in: float | None, price_out: float | None) -> str:
        """One line for the user; prices are for a million tokens, None: no cost is shown."""
        text = (
            f"{self.requests} requests and {self.remembered} replies from the disk; "
            f"{self.tokens_in} tokens in, {self.tokens_out} out"
        )
        if price_in is not None and price_out is not None:
            cost = (self.tokens_in * price_in + self.tokens_out * price_out) / 1e6
            text += f"; cost {cost:.4f}"
        return text


class Endpoint:
    """A respondent (`asking.Respondent`) behind HTTP.

    Args:
        base_url: up to and without ``/chat/completions``.
        model: as the endpoint names it.
        key_variable: environment variable that holds the key; None: no key is sent.
        options: more keys of the request's body, such as ``temperature``.
        timeout: seconds without a sign of life after which a request is given up.
        attempts: requests for one reply at most.
        price_per_million: of tokens, ``input`` and ``output``, in any currency; None: no cost is shown.
        memory: folder of the replies, each under the hash of its request, in which the key has no part; None: beside
            the fetched weights.

    Raises:
        UserError: one of them cannot be used; or there is neither a key nor a reply on the disk.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        key_variable: str | None = "OPENAI_API_KEY",
        options: Mapping[str, Any] | None = None,
        timeout: float = 60.0,
        attempts: int = 5,
        price_per_million: Mapping[str, float | None] | None = None,
        memory: str | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.name = model
        self.key_variable = key_variable
        self.options = dict(options or {})
        self.timeout = timeout
        self.attempts = attempts
        self.prices = dict(price_per_million or {})
        self.memory = store_folder() / "replies" if memory is None else resolve_path(memory)
        self.usage = Usage()
        self._check()

    def _check(self) -> None:
        place = urlsplit(self.base_url)
        if place.scheme not in ("http", "https") or not place.hostname or place.username or place.query:
            raise UserError("base_url is an address such as https://host/v1.", given=place.hostname or self.base_url)
        for key in self.options:
            if key in ("model", "messages", "response_format", "stream"):
                raise UserError("This key of the request is not among the options.", given=key)
        if self.timeout <= 0 or self.attempts < 1:
            message = "timeout is above 0 seconds, and there is at least one attempt."
            raise UserError(message, given=f"timeout {self.timeout}, attempts {self.attempts}")
        for key, price in self.prices.items():
            if key not in _PRICES or not isinstance(price, int | float | None):
                raise UserError("A price is a number for input or output.", given=f"{key}: {price}", accepted=_PRICES)
        if self.key_variable is not None and not self._key() and not any(self.memory.glob("*.json")):
            raise missing_key(self.key_variable)

    def reply(self, turns: Sequence[Turn], answer: type[BaseModel]) -> str:
        """As `asking.Respondent`; a reply that was given before is read from the disk.

        Raises:
            UserError: no key, refused, or not an answer of this protocol.
            RetryableError: overloaded or out of reach, also after waiting.
        """
        body = self._body(turns, answer)
        file = self._file(body)
        try:
            known = read_json(file)
            text = str(known["reply"])
            if known.get("sha256", _digest(text)) != _digest(text):  # Earlier versions kept none.
                raise ValueError("another reply than was given")
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            warnings.warn(f"The reply kept in {file} is damaged ({error}), and asked for again.", stacklevel=2)
        else:
            self.usage.remembered += 1
            return text
        text, usage = _content(self._completion(body))
        text = self._without_key(text)  # again: in JSON it may have been escaped
        self.usage.tokens_in += usage[0]
        self.usage.tokens_out += usage[1]
        tokens = {"tokens_in": usage[0], "tokens_out": usage[1]}
        atomic.write_json(file, {"model": self.name, "reply": text, "sha256": _digest(text), **tokens})
        return text

    def forget(self, turns: Sequence[Turn], answer: type[BaseModel]) -> None:
        """As `asking.Respondent`."""
        self._file(self._body(turns, answer)).unlink(missing_ok=True)

    def close(self) -> str:
        """As `asking.Respondent`: requests, tokens and cost."""
        line = self.usage.line(self.prices.get("input"), self.prices.get("output"))
        self.usage = Usage()
        return line

    def _body(self, turns: Sequence[Turn], answer: type[BaseModel]) -> dict[str, Any]:
        schema = {"name": "answer", "strict": True, "schema": answer.model_json_schema()}
        return {
            **self.options,
            "model": self.name,
            "messages": [_message(turn) for turn in turns],
            "response_format": {"type": "json_schema", "json_schema": schema},
        }

    def _file(self, body: Mapping[str, Any]) -> Path:
        request = json.dumps({"base_url": self.base_url, "body": body}, sort_keys=True)
        return self.memory / f"{sha256(request.encode()).hexdigest()}.json"

    def _completion(self, body: Mapping[str, Any]) -> Any:
        """The server's answer as JSON, asked for until it comes or patience ends."""
        headers = self._headers()
        pause, reason, url = _FIRST_PAUSE, "", f"{self.base_url}/chat/completions"
        connection: dict[str, Any] = {"timeout": self.timeout, "verify": _certificates()}
        for attempt in range(self.attempts):
            asked_for = None
            self.usage.requests += 1
            try:
                with httpx2.stream("POST", url, json=dict(body), headers=headers, **connection) as response:
                    answered = self._read(response)
            except httpx2.TimeoutException:
                reason = f"no answer within {self.timeout:g} s"
            except httpx2.RequestError as error:
                reason = self._without_key(str(error)) or type(error).__name__
            except (httpx2.InvalidURL, UnicodeError) as error:
                raise UserError(f"base_url is no address: {error}", given=self.base_url) from None
            else:
                if response.status_code not in _OVERLOADED:
                    return self._accepted(response, answered)
                reason, asked_for = self._said(response, answered), _retry_after(response)
            if attempt + 1 < self.attempts:
                wait = pause if asked_for is None else asked_for
                if wait > _LONGEST_PAUSE:
                    message = f"{self.base_url} asks to wait {wait:.0f} s; the same command continues then."
                    raise RetryableError(f"{message} It says: {reason}")
                print(f"concepts: {printable(reason)}; asking again in {wait:g} s", file=sys.stderr, flush=True)
                sleep(wait)
                pause = min(2 * pause, _LONGEST_PAUSE)
        message = f"{self.base_url} did not answer in {self.attempts} attempts; give the same command again later."
        raise RetryableError(f"{message} The last time: {reason}")

    def _read(self, response: httpx2.Response) -> str:
        """The text of an answer."""
        data = bytearray()
        for chunk in response.iter_bytes():
            data += chunk
            if len(data) > _LONGEST:
                raise UserError(f"{self.base_url} answers with more than {_LONGEST >> 20} MiB.")
        return self._without_key(data.decode(errors="replace"))

    def _accepted(self, response: httpx2.Response, text: str) -> Any:
        if response.status_code in (401, 403):
            variable = f"the key in {self.key_variable}" if self.key_variable else "a request without a key"
            raise UserError(f"{self.base_url} refuses {variable}: {self._said(response, text)}")
        if not response.is_success:
            raise UserError(f"{self.base_url} refuses the request: {self._said(response, text)}", given=self.name)
        try:
            return from_json(text)
        except ValueError:
            raise UserError(f"{self.base_url} does not answer in JSON: {self._said(response, text)}") from None

    def _headers(self) -> dict[str, str]:
        if self.key_variable is None:
            return {}
        key = self._key()
        if not key:
            raise missing_key(self.key_variable)
        if not key.isascii() or not key.isprintable():
            raise UserError(f"{self.key_variable} holds signs that no key has.")
        return {"Authorization": f"Bearer {key}"}

    def _said(self, response: httpx2.Response, text: str) -> str:
        """What a server says in a refusal, with its status; in one short line."""
        try:
            content = from_json(text)
            text = str(content["error"]["message"] if "error" in content else content)
        except (ValueError, KeyError, TypeError):
            pass  # It is said as it is.
        return f"{response.status_code} {self._without_key(' '.join(text.split()))[:_SHOWN]}".strip()

    def _without_key(self, text: str) -> str:
        """Servers quote what they were sent."""
        key = self._key()
        return text.replace(key, "***") if key else text

    def _key(self) -> str:
        """Read when it is needed and kept nowhere, so that nothing that shows this object shows it."""
        return os.environ.get(self.key_variable, "").strip() if self.key_variable else ""


@lru_cache(maxsize=1)
def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _certificates() -> ssl.SSLContext:
    return httpx2.create_ssl_context()  # takes a moment


def missing_key(variable: str) -> UserError:
    """The error of a key that is not in the environment."""
    return UserError(
        f"The endpoint's key is read from the environment variable {variable}, which is not set. For a server without "
        "keys: key_variable=null"
    )


def _message(turn: Turn) -> dict[str, Any]:
    if not turn.images:
        return {"role": turn.role, "content": turn.text}
    shown = [{"type": "image_url", "image_url": {"url": data_url(image)}} for image in turn.images]
    return {"role": turn.role, "content": [{"type": "text", "text": turn.text}, *shown]}


def _content(completion: Any) -> tuple[str, tuple[int, int]]:
    """The text of a completion, and its tokens in and out."""
    try:
        message = completion["choices"][0]["message"]
        text, refusal = message.get("content"), message.get("refusal")
        usage = completion.get("usage") or {}
        tokens = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise UserError(
            "The endpoint's answer is none of the chat-completions protocol.", given=str(completion)[:_SHOWN]
        ) from None
    if refusal:
        raise UserError(f"The model refuses to answer: {refusal}")
    return text if isinstance(text, str) else "", tokens


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds that the server asks to wait, given as a number or as a date; None if it does not say."""
    value = response.headers.get("Retry-After", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
