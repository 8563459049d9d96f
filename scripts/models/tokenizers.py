"""Text to the numbers of a model's tokens, and back."""

import struct
from collections.abc import Sequence, Set
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from scripts.ground.errors import InputError

__all__ = ["HubTokenizer", "ScoredTokenizer", "Tokenizer"]


class Tokenizer(Protocol):
    """What a model's tokenizer does.

    count : tokens that it knows
    end : the numbers of those that end a text
    """

    count: int
    end: frozenset[int]

    def encode(self, text: str) -> list[int]:
        """With what the model wants to see before and after a text."""

    def decode(self, tokens: Sequence[int]) -> str: ...


class ScoredTokenizer:
    """SentencePiece's byte-pair encoding, as llama2.c and GGUF files of llama have it.

    A text begins with a space. Of the pairs of tokens that are one token together, that of the best score comes first.

    Parameters
    ----------
    pieces : sequence of bytes
    scores : sequence of float
    begin : int or None
        The token before a text.
    end : set of int
        Those that end one.
    """

    def __init__(
        self, pieces: Sequence[bytes], scores: Sequence[float], begin: int | None = 1, end: Set[int] = frozenset((1, 2))
    ) -> None:
        self._pieces, self._scores, self._begin = list(pieces), list(scores), begin
        self._numbers = {piece: number for number, piece in reversed(list(enumerate(pieces)))}
        self._bytes = {
            number: byte for byte in range(256) if (number := self._numbers.get(b"<0x%02X>" % byte)) is not None
        }
        self.count, self.end = len(pieces), frozenset(end)

    @classmethod
    def read(cls, path: Path, count: int) -> "ScoredTokenizer":
        """Of llama2.c's file: uint32, then float32 score, int32 length and bytes of each token."""
        data, at, pieces, scores = path.read_bytes(), 4, [], []
        try:
            while at < len(data):
                score, length = struct.unpack_from("<fi", data, at)
                piece = data[at + 8 : at + 8 + length]
                if length < 0 or len(piece) != length:
                    raise struct.error
                pieces.append(piece)
                scores.append(score)
                at += 8 + length
        except struct.error:
            raise InputError(f"{path} must be a tokenizer of llama2.c, and is cut short or none") from None
        if len(pieces) != count:
            raise InputError(f"{path} must have the model's {count} tokens, not {len(pieces)}")
        return cls(pieces, scores)

    def encode(self, text: str) -> list[int]:
        found = [] if self._begin is None else [self._begin]
        return found + (self._merged(" " + text) if text else [])

    def _merged(self, text: str) -> list[int]:
        tokens = []
        for character in text:
            data = character.encode()
            whole = self._numbers.get(data)
            tokens += [whole] if whole is not None else [self._byte(byte) for byte in data]
        while True:
            pairs = [
                (self._scores[merged], -at, merged)
                for at, (a, b) in enumerate(pairwise(tokens))
                if (merged := self._numbers.get(self._pieces[a] + self._pieces[b])) is not None
            ]
            if not pairs:
                return tokens
            _, at, merged = max(pairs)
            tokens[-at : 2 - at] = [merged]

    def _byte(self, byte: int) -> int:
        number = self._numbers.get(b"<0x%02X>" % byte)
        if number is None:
            raise InputError(f"the text must be of characters that the tokenizer knows, which has no byte {byte:#04x}")
        return number

    def decode(self, tokens: Sequence[int]) -> str:
        parts = []
        for token in tokens:
            byte = self._bytes.get(token)
            parts.append(self._pieces[token] if byte is None else bytes([byte]))
        return b"".join(parts).decode(errors="replace")


class HubTokenizer:
    """A tokenizer of the ``tokenizers`` package.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
    end : numbers of tokens
    before : numbers of tokens that come before each text, beside those that it puts there itself
    """

    def __init__(self, tokenizer, end: frozenset[int] = frozenset(), before: Sequence[int] = ()) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer, self._before = tokenizer, list(before)
        self.count, self.end = tokenizer.get_vocab_size(), end

    @classmethod
    def read(cls, path: Path, ends: Sequence[str] = ()) -> "HubTokenizer":
        """Of a file tokenizer.json; ``ends``: tokens that end a text, if it has them."""
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:
            # The package raises plain Exception.
            raise InputError(f"{path} must be a tokenizer.json: {error}") from None
        numbers = (tokenizer.token_to_id(end) for end in ends)
        return cls(tokenizer, frozenset(number for number in numbers if number is not None))

    def encode(self, text: str) -> list[int]:
        return self._before + self._tokenizer.encode(text).ids

    def decode(self, tokens: Sequence[int]) -> str:
        return self._tokenizer.decode(list(tokens), skip_special_tokens=False)
