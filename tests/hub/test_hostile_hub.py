"""What servers may answer that is no hub's answer: each ends in a few words, and nothing is kept."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tests.hub.place import BIG, PRIOR, Place
from tests.hub.server import Answer

LISTING, FILE, PLAIN = "/api/models/owner/prior", "unet/big.safetensors", "/plain/net.caffemodel"
BLOB = hashlib.sha256(BIG).hexdigest() + "/" + FILE
PORTAL = b"<!DOCTYPE html><html><form>Sign in to the network</form></html>"
MEBIBYTE = bytes(1 << 20)
ENDLESS = 3 << 10
"""Mebibytes; more than any of these tests may ask for."""
MOST = 100 << 20
"""Bytes that are read of what is not believed, with what is on its way."""


def endless(first: bytes = b"") -> Iterable[bytes]:
    return itertools.chain([first], itertools.repeat(MEBIBYTE, ENDLESS))


def listing(**said: object) -> Answer:
    return Answer([json.dumps({"id": "owner/prior", "sha": PRIOR, "siblings": [], **said}).encode()])


def sibling(**said: object) -> dict[str, object]:
    return {"rfilename": "config.json", "size": 2, "blobId": "0" * 40, **said}


HOSTILE: dict[str, tuple[str, Callable[[], Answer], int, str]] = {
    # What is answered, to which path; exit status, and part of the message.
    "a captive portal": (LISTING, lambda: Answer([PORTAL]), 75, "a web page or XML: does this network ask to sign in"),
    "a list": (LISTING, lambda: Answer([b"[]"]), 75, "does not answer as a hub does"),
    "nothing": (LISTING, lambda: Answer(), 75, "an empty file"),
    "no object's end": (LISTING, lambda: Answer([b'{"sha": ']), 75, "does not answer as a hub does"),
    "an empty object": (LISTING, lambda: Answer([b"{}"]), 2, "40 hexadecimal digits"),
    "no files": (LISTING, lambda: listing(siblings=None), 2, "a list of files"),
    "files that are none": (LISTING, lambda: listing(siblings=[[]]), 2, "a list of files"),
    "a file without a name": (LISTING, lambda: listing(siblings=[sibling(rfilename=None)]), 2, "a list of files"),
    "no such file, and names that rewrite the terminal": (
        *(LISTING, lambda: listing(siblings=[sibling(rfilename="\x1b[2J")])),
        *(2, "no such file"),
    ),
    "a size beyond all bounds": (
        *(LISTING, lambda: Answer([b'{"sha": "' + PRIOR.encode() + b'", "siblings": [{"size": 1e999}]}'])),
        *(75, "does not answer as a hub does"),
    ),
    "a listing a thousand levels deep": (LISTING, lambda: Answer([b"[" * 100_000]), 75, "does not answer as a hub"),
    "a listing without end": (LISTING, lambda: Answer(endless(b'{"a": "')), 2, "at most 64 MiB"),
    "a listing in gzip": (
        *(LISTING, lambda: Answer([gzip.compress(bytes(1 << 28))], {"Content-Encoding": "gzip"})),
        *(2, "sends 'gzip' where the plain file was asked for"),
    ),
    "a refusal that is a list": (LISTING, lambda: Answer([b"[]"], status=500), 75, "status 500"),
    "a refusal without end": (LISTING, lambda: Answer(endless(), status=404), 2, "status 404"),
    "a redirect to itself": (LISTING, lambda: Answer(headers={"Location": LISTING}, status=302), 75, "No connection"),
    "a redirect to nowhere": (
        LISTING,
        lambda: Answer(headers={"Location": "ftp://x"}, status=302),
        75,
        "No connection",
    ),
    "more of a file than announced": (BLOB, lambda: Answer(endless()), 2, f"{len(BIG)} bytes\n  found:    more"),
    "a file of another length": (
        *(BLOB, lambda: Answer(endless(), {"Content-Length": str(ENDLESS << 20)})),
        *(2, f"{ENDLESS << 20} bytes on the server"),
    ),
    "a file in gzip": (
        *(BLOB, lambda: Answer([gzip.compress(bytes(1 << 28))], {"Content-Encoding": "gzip"})),
        *(2, "sends 'gzip'"),
    ),
    "a portal in place of a file": (BLOB, lambda: Answer([PORTAL]), 75, "big.safetensors came and are kept"),
    "less of a file, for ever": (BLOB, lambda: Answer([b"x"]), 75, "shorter than announced"),
    "no file, for ever": (BLOB, lambda: Answer(), 75, "shorter than announced"),
    "a length that is none": (BLOB, lambda: Answer([BIG], {"Content-Length": "-5"}), 75, "No connection"),
    "an identifier that is no text": (
        *(PLAIN, lambda: Answer([BIG], {"ETag": '"\xff"', "Content-Length": str(len(BIG) + 5)})),
        *(75, "came and are kept"),
    ),
    "more of a plain file than announced": (PLAIN, lambda: Answer(endless()), 2, "at most 2000000 bytes"),
    "a portal in place of a plain file": (PLAIN, lambda: Answer([PORTAL]), 2, "found:    a web page or XML"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_hubs_answer_ends_in_a_few_words(place: Place, what: str) -> None:
    path, answer, status, said = HOSTILE[what]
    if path == PLAIN:
        place.plain()
    place.hub.answers[path], place.hub.given = answer(), 0
    printed = place.fetch(status)
    assert said in printed
    assert "Traceback" not in printed and "\x1b" not in printed
    assert len(printed.splitlines()) <= 6
    assert place.hub.given < MOST
    written = [file for file in place.store.rglob("*") if file.is_file()]
    assert not [file for file in written if file.suffix in (".safetensors", ".caffemodel")]
    assert sum(file.stat().st_size for file in written) <= len(BIG) + 1000
    # What was kept of a broken connection does not stand in the way of the truth.
    place.hub.answers.clear()
    place.fetch()


def test_a_file_is_brought_from_the_first_address_that_has_it(place: Place) -> None:
    data, store = place.hub.plain["net.caffemodel"], place.store / "files" / "net.caffemodel"
    place.hub.plain |= {"other/net.caffemodel": data, "third/net.caffemodel": data}
    further = [f"{place.hub.endpoint}/plain/{name}/net.caffemodel" for name in ("other", "third")]
    asked = {"sha1": hashlib.sha1(data).hexdigest(), "urls": further, "instead": "classifier=another"}
    place.plain(**asked)
    place.fetch()
    assert place.hub.sent("net.caffemodel") == [None]
    for wrong in (Answer(status=404), Answer([PORTAL]), Answer(endless()), Answer([b"x"], {"Content-Length": "9"})):
        store.unlink()
        place.hub.answers["/plain/net.caffemodel"] = wrong
        assert "the next address is tried" in place.fetch()
        assert store.read_bytes() == data
    first = f"{place.hub.endpoint}/plain/net.caffemodel"
    assert list(place.lock()["files"]) == [first], "the file is known by its first address"


def test_where_no_address_has_it_the_message_says_what_can_be_done_by_hand(place: Place) -> None:
    data = place.hub.plain.pop("net.caffemodel")
    further = [f"{place.hub.endpoint}/plain/other/net.caffemodel", "http://127.0.0.1:9/net.caffemodel"]
    checksum = hashlib.sha1(data).hexdigest()
    place.plain(sha1=checksum, urls=further, instead="classifier=another")
    said = place.fetch(75)
    store = place.store / "files" / "net.caffemodel"
    assert "/plain/net.caffemodel (status 404)" in said
    assert f"No connection for {further[1]}" in said
    assert f"Or put the file, with sha1 {checksum}, at {store} by hand, and give the same command again" in said
    assert said.rstrip().endswith("The same weights from elsewhere: diffexplain fetch classifier=another")
    store.write_bytes(data[:-1])
    place.fetch(75)
    store.write_bytes(data)
    place.fetch()
    assert local_file(place) == store


def local_file(place: Place) -> Path:
    from diffexplain.config import configuration
    from diffexplain.weights.store import local

    return local(configuration.compose(place.overrides)["diffusion"]["weights"][0])
