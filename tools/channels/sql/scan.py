"""What can be said about a statement from its text alone, before any engine sees it.

The authorizer (`connection.py`) decides what a statement may touch. It cannot see everything: SQLite
expands common table expressions and flattens subqueries while it prepares, without a callback, so
that a few hundred characters can take gigabytes before the first authorizer call. It also lets
EXPLAIN and an empty REINDEX pass. The text shows both, and gives the clearer message.
"""

from __future__ import annotations

import re
from collections import Counter

from faultgym.core.text import has_surrogates

MAX_CHARACTERS = 4_096
"""Longer statements are refused. Bounds the work of one run without a loop, where no progress
callback comes: a few hundred calls of `instr` on the longest strings take 0.3 s."""

MAX_EXPANSION = 500_000
"""Upper bound of the syntax nodes that SQLite may expand a statement to; about 100 bytes each."""

_QUERIES = frozenset({"SELECT", "WITH", "VALUES"})
_REFUSED = frozenset(
    "ALTER ANALYZE ATTACH BEGIN COMMIT CREATE DETACH DROP END EXPLAIN PRAGMA REINDEX RELEASE ROLLBACK"
    " SAVEPOINT VACUUM".split()
)
"""SQLite's verbs other than SELECT, WITH, VALUES, INSERT, REPLACE, UPDATE and DELETE."""

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\n\f\r]+ | --[^\n]* | /\*.*?(?:\*/|\Z))
  | (?P<string>'[^']*(?:''[^']*)*')
  | (?P<quoted>"[^"]*(?:""[^"]*)*" | `[^`]*(?:``[^`]*)*` | \[[^\]]*\])
  | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
  | (?P<number>\.?[0-9][A-Za-z0-9_.]*)
  | (?P<parameter>[?:@\#$][A-Za-z0-9_$:]*)
  | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)

_KEYWORDS = frozenset(
    "SELECT FROM WHERE AND OR NOT AS ON IN IS NULL CASE WHEN THEN ELSE END BETWEEN JOIN GROUP ORDER BY"
    " LIMIT DISTINCT UNION ALL VALUES SET HAVING INTO EXISTS LIKE ASC DESC LEFT INNER COLLATE".split()
)
"""Never a name that SQLite would expand; left out of the count of repeated names."""

Tokens = list[tuple[str, str]]
"""(kind, text) without comments and white space; words in upper case, quotes stripped from names."""


def refusal(text: str) -> str:
    """Why a statement is not even shown to the engine; empty when it may be.

    Args:
        text: The statement as the model sent it.

    Example:
        >>> refusal("SELECT 1; SELECT 2")
        'one statement at a time: send each in a call of its own'
    """
    if len(text) > MAX_CHARACTERS:
        return f"statement too long: {len(text)} characters, at most {MAX_CHARACTERS} are allowed"
    if "\0" in text:
        return "the statement contains a null character"
    if has_surrogates(text):
        return "the statement contains an unpaired surrogate, which is not valid Unicode"
    tokens = _tokens(text)
    return _form(tokens) or _weight(tokens)


def _tokens(text: str) -> Tokens:
    tokens = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "mark"
        if kind != "space":
            token = match.group()
            tokens.append((kind, token[1:-1].upper() if kind in ("string", "quoted") else token.upper()))
    while tokens and tokens[-1] == ("mark", ";"):
        tokens.pop()
    return tokens


def _form(tokens: Tokens) -> str:
    if not tokens:
        return "empty statement: send one SELECT, such as SELECT * FROM schema"
    kind, verb = tokens[0]
    if kind == "word" and verb in _REFUSED:
        hint = " For the tables and their columns, use SELECT * FROM schema." if verb == "PRAGMA" else ""
        return f"not authorized: {verb}. Allowed are SELECT and, where the task says so, writes.{hint}"
    if ("mark", ";") in tokens:
        return "one statement at a time: send each in a call of its own"
    for index, (kind, token) in enumerate(tokens):
        if kind == "parameter":
            return "unbound parameter: write the value itself into the statement"
        if token == "FAIL" and kind == "word" and tokens[index - 1] == ("word", "OR"):
            return "not authorized: OR FAIL, which keeps half of a failed write. Use OR IGNORE or nothing."
    return ""


def _weight(tokens: Tokens) -> str:
    """Refuse a statement that may expand beyond measure while it is prepared.

    SQLite copies a common table expression wherever it is named, and an outer expression takes a
    copy of the inner one wherever it names that column. A query block that builds on others thus
    multiplies them by the number of times that it repeats a name, at most. A block over plain
    tables can only repeat its own aliases, which are never qualified.
    """
    blocks = sum(token in _QUERIES for _, token in tokens)
    if blocks <= 1 and len(tokens) ** 2 <= MAX_EXPANSION:  # no name repeats more often than there are tokens
        return ""
    expressions = _common_tables(tokens)
    factor = 1
    stack = [_Block()]
    for index, (kind, token) in enumerate(tokens):
        following = tokens[index + 1] if index + 1 < len(tokens) else ("", "")
        block = stack[-1]
        if kind == "mark":
            if token == "(":
                opens = following[1] in _QUERIES and following[0] == "word"
                block.derived |= opens
                stack.append(_Block() if opens else block)
            elif token == ")" and len(stack) > 1:
                closed = stack.pop()
                if closed is not stack[-1]:
                    factor *= closed.factor()
        elif kind == "number" or (token not in _KEYWORDS and following[1] not in ("(", ".")):
            qualified = index > 0 and tokens[index - 1] == ("mark", ".")
            block.count(token, qualified)
            block.derived |= token in expressions
    for block in {id(block): block for block in stack}.values():
        factor *= block.factor()
    if factor * len(tokens) > MAX_EXPANSION:
        return "statement too complex: its nested queries multiply one another. Split it into simpler ones."
    return ""


def _common_tables(tokens: Tokens) -> set[str]:
    """Names before `AS (SELECT`, `(a, b) AS (SELECT` and their MATERIALIZED forms."""
    found = set()
    for index, (_, token) in enumerate(tokens):
        if token != "AS":
            continue
        ahead = index + 1
        while ahead < len(tokens) and tokens[ahead][1] in ("NOT", "MATERIALIZED"):
            ahead += 1
        if ahead < len(tokens) and tokens[ahead] == ("mark", "("):
            behind = index - 1
            if behind >= 0 and tokens[behind] == ("mark", ")"):
                while behind >= 0 and tokens[behind] != ("mark", "("):
                    behind -= 1
                behind -= 1
            if behind >= 0:
                found.add(tokens[behind][1])
    return found


class _Block:
    """One SELECT of the text, with how often it repeats each name."""

    __slots__ = ("all", "derived", "plain")

    def __init__(self) -> None:
        self.derived = False
        self.all: Counter[str] = Counter()
        self.plain: Counter[str] = Counter()

    def count(self, name: str, qualified: bool) -> None:
        self.all[name] += 1
        if not qualified:
            self.plain[name] += 1

    def factor(self) -> int:
        return max((self.all if self.derived else self.plain).values(), default=1)
