"""A CLIP tokenizer of the world's own small vocabulary, in the library's class and file format.

Byte-pair merges are learned from the caption words until each word is one token. All 256 byte symbols, with
and without the end-of-word mark, stay in the vocabulary, so that any text tokenises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from transformers import CLIPTokenizer

END = "</w>"
MAXIMUM_TOKENS = 32


def byte_symbols() -> list[str]:
    """The printable stand-ins of the 256 bytes that byte-level byte-pair encoding uses, in byte order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    spare = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


def learn_merges(words: Sequence[str]) -> list[tuple[str, str]]:
    """Merges, most frequent pair first (ties by spelling), until every word is a single symbol."""
    spellings = [[*word[:-1], word[-1] + END] for word in words]
    merges: list[tuple[str, str]] = []
    while pairs := Counter(pair for s in spellings for pair in pairwise(s)):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        spellings = [_merged(spelling, best) for spelling in spellings]
    return merges


def _merged(spelling: list[str], pair: tuple[str, str]) -> list[str]:
    result: list[str] = []
    index = 0
    while index < len(spelling):
        if tuple(spelling[index : index + 2]) == pair:
            result.append("".join(pair))
            index += 2
        else:
            result.append(spelling[index])
            index += 1
    return result


def build_tokenizer(words: Sequence[str]) -> CLIPTokenizer:
    """The tokenizer in which each of `words` is one token."""
    symbols = byte_symbols()
    merges = learn_merges(words)
    tokens = [*symbols, *(symbol + END for symbol in symbols)]
    tokens += list(dict.fromkeys("".join(pair) for pair in merges))
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAXIMUM_TOKENS)
    for word in words:
        if len(tokenizer(word).input_ids) != 3:
            raise AssertionError(f"{word!r} is {tokenizer.tokenize(word)}, not one token")
    return tokenizer
