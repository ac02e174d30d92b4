"""Every caption word is one token, and any other text tokenises too."""

import pytest

from diffexplain.world.sampler import World
from experiments.world.captions import caption, vocabulary
from experiments.world.tokenizer import MAXIMUM_TOKENS, build_tokenizer, byte_symbols

TOKENIZER = build_tokenizer(vocabulary())


def test_each_word_of_the_captions_is_one_token() -> None:
    for word in vocabulary():
        assert TOKENIZER.tokenize(word) == [word + "</w>"]


def test_there_is_a_symbol_for_each_byte_alone_and_at_the_end_of_a_word() -> None:
    symbols = byte_symbols()
    assert len(set(symbols)) == 256
    known = TOKENIZER.get_vocab()
    assert all(symbol in known and symbol + "</w>" in known for symbol in symbols)


@pytest.mark.parametrize("text", ["zebra", "Ünïcödé", "漢字 🐝", "x_1/2 (3)", ""])
def test_any_text_tokenises_without_an_unknown_token(text: str) -> None:
    ids = TOKENIZER(text).input_ids
    assert ids[0] == TOKENIZER.bos_token_id and ids[-1] == TOKENIZER.eos_token_id
    assert TOKENIZER.unk_token_id not in ids[1:-1]
    assert bool(ids[1:-1]) == bool(text)


def test_no_caption_is_too_long() -> None:
    scenes = World().sample(3000, 5)
    assert max(len(TOKENIZER(caption(s, i).text).input_ids) for i, s in enumerate(scenes)) <= MAXIMUM_TOKENS
