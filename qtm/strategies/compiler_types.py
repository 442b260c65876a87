"""The compiler's names of types in words of whoever wrote the strategy."""

from __future__ import annotations

import re

_WORDS: tuple[tuple[str, str], ...] = (
    (r"Literal\[str\]\((.*)\)", "text ({0!r})"),
    (r"unicode_type", "text"),
    (r"Literal\[bool\].*|bool(ean)?", "true or false"),
    (r"Literal\[int\].*|u?int\d+", "a whole number"),
    (r"float\d+", "a number"),
    (r"none", "None"),
    (r"(readonly |nested)?array\(.*", "an array"),
    (r"(reflected )?list\(.*|ListType.*", "a list"),
    (r"(Uni)?Tuple\(.*|UniTuple.*", "a tuple"),
    (r"DictType.*", "a dict"),
    (r"Plan\b.*", "a Plan"),
    (r"Record\(.*", "a memory or an order book"),
    (r"Bar\(.*", "the bar"),
    (r"Account\(.*", "the account"),
    (r"Params\(.*", "the parameters"),
)


def in_words(type_name: str) -> str:
    """`Literal[str](buy)` as `text ('buy')`; what has no words of ours stays as the compiler calls it."""
    for pattern, words in _WORDS:
        found = re.fullmatch(pattern, type_name.strip(), re.DOTALL)
        if found:
            return words.format(*found.groups())
    return type_name.strip()


def arguments_in_words(signature: str) -> str:
    """`float64, Literal[str](a)` as `a number and text ('a')`; keywords lose their names."""
    depth, parts = 0, [""]
    for letter in signature:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return " and ".join(in_words(re.sub(r"^\s*\w+=(?=\w)", "", part)) for part in parts if part.strip())


def own_name(variable: str) -> str:
    """`strategy_v33_x.2`, as the compiler renames the variable of an inlined function, as `x`."""
    return re.sub(r"\.\d+$", "", re.sub(r"^.*?_v\d+_+(?=[A-Za-z])", "", variable))
