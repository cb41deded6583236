"""Recognise secrets by the name of a variable, and by the formats that some services give their tokens.

Results name the kind of a secret and never contain its value.
Sources: the services' documentation of their token formats.
"""

import itertools
import re
from typing import NamedTuple

_WORDS = frozenset(
    {
        "token", "password", "passwd", "pwd", "passphrase", "secret", "secrets", "apikey",
        "credential", "credentials",
    }
)  # fmt: skip
_PAIRS = frozenset({("api", "key"), ("access", "key"), ("private", "key"), ("auth", "key")})


class _Pattern(NamedTuple):
    kind: str
    sign: bytes
    """Bytes that every match contains. Searching for them first costs a hundredth of the pattern."""
    pattern: "re.Pattern[bytes]"


def _pattern(kind: str, sign: bytes, pattern: bytes) -> _Pattern:
    return _Pattern(kind, sign, re.compile(pattern))


_PATTERNS = (
    _pattern("an AWS access key", b"AKIA", rb"(?<![A-Z0-9])AKIA[A-Z0-9]{16}(?![A-Z0-9])"),
    _pattern("an AWS access key", b"ASIA", rb"(?<![A-Z0-9])ASIA[A-Z0-9]{16}(?![A-Z0-9])"),
    _pattern("a private key", b"PRIVATE KEY-----", rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s"),
    _pattern("a GitHub token", b"gh", rb"(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{36}"),
    _pattern("a GitHub token", b"github_pat_", rb"github_pat_[A-Za-z0-9_]{22,}"),
    _pattern("a GitLab token", b"glpat-", rb"glpat-[A-Za-z0-9_-]{20}"),
    _pattern("a Slack token", b"xox", rb"(?<![A-Za-z0-9])xox[abprs]-[A-Za-z0-9-]{10,}"),
    _pattern("a Google API key", b"AIza", rb"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{35}"),
    _pattern("an API key", b"sk-", rb"(?<![A-Za-z0-9-])sk-(?:[a-z]+-)*[A-Za-z0-9_]{20,}"),
    _pattern("a Stripe key", b"k_live_", rb"(?<![A-Za-z0-9])[rs]k_live_[A-Za-z0-9]{16,}"),
    _pattern("a Hugging Face token", b"hf_", rb"(?<![A-Za-z0-9_])hf_[A-Za-z]{30,}"),
    _pattern("a signed token (JWT)", b".eyJ", rb"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"),
    _pattern(
        "a password in a URL", b"://", rb"[a-z][a-z0-9+.-]*://[^\s/:@'\"{}<]+:[^\s/@'\"{}<]+@"
    ),
)


def secrets_in(data: bytes) -> "tuple[str, ...]":
    """Return the kinds of secrets that the bytes seem to contain, e.g. `an AWS access key`, each once."""
    # A search for fixed bytes is a hundred times faster than a pattern, and nearly always ends the matter.
    found = {each.kind for each in _PATTERNS if each.sign in data and each.pattern.search(data)}
    return tuple(sorted(found))


def named_like_a_secret(name: str) -> bool:
    """Return whether a variable of that name is likely to hold a secret: `openaiApiKey`, `DB_PASSWORD`."""
    # Whole words only: `tokenizer` and `secretary` are no secrets.
    words = _words(name)
    pairs = set(itertools.pairwise(words))
    return not _WORDS.isdisjoint(words) or not _PAIRS.isdisjoint(pairs)


def _words(name: str) -> "list[str]":
    """Return the words of a name: openai, api and key for both `openaiApiKey` and `OPENAI_API_KEY`."""
    spaced = []
    for before, letter in zip(" " + name, name, strict=False):
        spaced.append(f"_{letter}" if before.islower() and letter.isupper() else letter)
    return [word for word in "".join(spaced).lower().split("_") if word]
