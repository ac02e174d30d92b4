"""The soft prompt: trainable token embeddings, what words they are near, how they are saved."""

from diffexplain.prompts.constrained import ConstrainedPrompt
from diffexplain.prompts.free import FreePrompt
from diffexplain.prompts.hard_words import HardWordsPrompt
from diffexplain.prompts.soft_prompt import SoftPrompt, Word
from diffexplain.prompts.textual_inversion import textual_inversion
from diffexplain.prompts.word_proposer import PriorProposer, WordProposer

__all__ = [
    "ConstrainedPrompt",
    "FreePrompt",
    "HardWordsPrompt",
    "PriorProposer",
    "SoftPrompt",
    "Word",
    "WordProposer",
    "textual_inversion",
]
