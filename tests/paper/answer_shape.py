"""The shape of an answer as it is: names in order, nesting, types, decimals of a number in a string."""

from __future__ import annotations

import re
from typing import Any

_NUMBER = re.compile(r"-?\d+(?:\.(\d+))?")

Shape = Any
"""`int`, `float`, `bool`, `null`, `text`, `d8` (a number in a string, with 8 decimals), a list of shapes of
elements, or a dict of the members' shapes in their order."""


def shape_of(value: Any) -> Shape:
    """The shape of decoded JSON."""
    if isinstance(value, dict):
        return {name: shape_of(member) for name, member in value.items()}
    if isinstance(value, list):
        found: list[Shape] = []
        for element in value:
            shape = shape_of(element)
            if all(notation(shape) != notation(other) for other in found):
                found.append(shape)
        return found
    if isinstance(value, bool):
        return "bool"
    if value is None:
        return "null"
    if isinstance(value, str):
        number = _NUMBER.fullmatch(value)
        return "text" if number is None else f"d{len(number[1] or '')}"
    return type(value).__name__


def notation(shape: Shape) -> str:
    """A shape on one line: `{symbol text, orderId int, fills [{price d8}]}`; `|` parts shapes."""
    if isinstance(shape, dict):
        return "{" + ", ".join(f"{name} {notation(member)}" for name, member in shape.items()) + "}"
    if isinstance(shape, list):
        return "[" + " | ".join(map(notation, shape)) + "]"
    return str(shape)


def differences(ours: Shape, theirs: Shape, *, ordered: bool = True, where: str = "") -> list[str]:
    """What is different in `ours`, each with its place.

    Every element of their lists is compared with the one of ours that is nearest to it; an empty list says
    nothing about its elements.
    """
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = [f"{where}.{name} is missing" for name in theirs if name not in ours]
        found += [f"{where}.{name} is not theirs" for name in ours if name not in theirs]
        common = [name for name in ours if name in theirs]
        if ordered and common != [name for name in theirs if name in ours]:
            found.append(f"{where} orders its members {common}")
        for name in common:
            found += differences(ours[name], theirs[name], ordered=ordered, where=f"{where}.{name}")
        return found
    if isinstance(ours, list) and isinstance(theirs, list):
        if not ours or not theirs:
            return []
        nearest = [
            min((differences(mine, each, ordered=ordered, where=f"{where}[]") for mine in ours), key=len)
            for each in theirs
        ]
        return [line for lines in nearest for line in lines]
    return [] if ours == theirs else [f"{where} is {ours}, theirs {theirs}"]
