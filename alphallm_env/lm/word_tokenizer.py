"""Builds the tokenizers of the tiny policies: whole words or numbers, decoding restores the text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

QUESTION, SOLUTION, STEP, OUTCOME, END = "<|question|>", "<|solution|>", "<|step|>", "<|outcome|>", "<|end|>"
PAD, UNKNOWN = "<|pad|>", "<|unknown|>"
SPECIAL_TOKENS = (PAD, UNKNOWN, QUESTION, SOLUTION, STEP, OUTCOME, END)

# An operator between numbers includes the spaces on both sides; a word or a mark includes the one before it;
# a digit is a token of its own, so that 7 is the same token in 7, 17 and £70.
WORDS_AND_DIGITS = r" [-+*/=x] (?=[\d£$])| ?\p{L}+|\d|\n| ?[^\s\p{L}\d]|\s"
# A number below 100 is one token, with the space before it; a longer one falls into its digits.
WORDS_AND_NUMBERS = r"(?: |(?<!\d))[1-9]?\d(?!\d)|\d|\n| ?\p{L}+|#+| ?[^\s\p{L}\d]|\s"
_LETTERS = [
    *"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    *" \n.,;:!?'\"()%$£€#/*+-=<>[]{}_&@|\\^~`",
]
_MARKS = [f" {operator} " for operator in "-+*/=x"] + [f" {mark}" for mark in "-+*/=x#$£("] + ["True", "False"]

# The tiny models read one format: a question, then its solution, closed by <|end|>.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}<|question|>{{ message['content'] }}<|solution|>"
    "{% else %}{{ message['content'] }}<|end|>{% endif %}"
    "{% endfor %}"
)


def build_tokenizer(
    texts: Iterable[str], min_count: int = 2, pieces: str = WORDS_AND_DIGITS
) -> PreTrainedTokenizerFast:
    """Returns a tokenizer whose words are those seen at least `min_count` times in `texts`.

    `pieces` is a pattern of Oniguruma's: each match of it is a word.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    splitter = pre_tokenizers.Split(Regex(pieces), behavior="isolated")
    counts = Counter(piece for text in texts for piece, _ in splitter.pre_tokenize_str(text))
    words = sorted(word for word, count in counts.items() if count >= min_count)
    vocabulary = dict.fromkeys([*SPECIAL_TOKENS, *_LETTERS, *_MARKS, *words])
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast
