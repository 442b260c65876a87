"""What the compiler says of a step it cannot compile: phrases to look for, and what they mean."""

from __future__ import annotations

import re

_LIBRARY = "use numpy and the functions of qtm.features"
_BAR = "a bar has open_time_ms, open, high, low, close, volume and close_ticks"
_ACCOUNT = "an account has qty, entry_price and equity"
DESK = "bid_ticks, ask_ticks, last_ticks, tick_size, step_size, now_ns and count"

EXPLANATIONS: tuple[tuple[str, str, str], ...] = (
    (r"Unknown attribute '(\w+)' of type Bar", "a bar has no field {0!r}", _BAR),
    (r"Unknown attribute '(\w+)' of type Account", "the account has no field {0!r}", _ACCOUNT),
    (
        r"module '([\w.]+)' has no attribute '(\w+)'",
        "{0} has no {1!r}",
        "look up how it is spelt, or whether this version has it",
    ),
    (
        r"Unknown attribute '(\w+)' of type Module\(<module '([\w.]+)'",
        "{1}.{0} cannot be used inside a step: the compiler does not know it",
        _LIBRARY,
    ),
    (
        r"Use of unsupported NumPy function '([\w.]+)'",
        "{0} cannot be used inside a step: the compiler does not know it",
        "write it as a loop over the values, or with numpy's simpler functions",
    ),
    (
        r"Function\(<function (\w+) at(?s:.)*got an unexpected keyword argument '(\w+)'",
        "{0}(...) takes no {1!r} inside a step: the compiler knows fewer arguments than numpy has",
        "leave it out, or write it as a loop over the values",
    ),
    (
        r"Cannot unify (?:float64 and Plan|Plan.*? and float64)",
        "the step sometimes answers a number and sometimes a Plan",
        "answer Plan(target) where no exit is meant",
    ),
    (
        r"Variable '?(\w+)'? referenced before assignment",
        "{0!r} may be used before it has a value",
        "give it a value on every path",
    ),
    (
        r"Cannot modify readonly array",
        "an array defined outside of the step cannot be changed in it",
        "keep what it is to remember in `state`",
    ),
)
"""What the compiler says, what that means here, and what to do."""

UNKNOWN = re.compile(r"NameError: name '(\w+)' is not defined|Untyped global name '(\w+)'")
TWO_KINDS = re.compile(r"Cannot unify (.+) and (.+?) for '([\w.$]+)', defined at (\S+)")
EMPTY_LIST = re.compile(r"type of variable '([\w.$]+)', have imprecise type: list\(undefined\)")
APPENDED = re.compile(r"list\.append for list\((.+?)\)(?:<iv=None>)?\) with parameters \((.+)\)")
NO_PLAN = re.compile(r"TypingError: Plan: (.+)")
MISSING = re.compile(r"missing a required argument: '(\w+)'|too many positional arguments")
OPERATION = re.compile(r"<built-in function (\w+)>\) found for signature:\s+>>> \w+\((.*)\)")
NO_FIELD = re.compile(r"Unknown attribute '(\w+)' of type (\S+)")
SIGNS = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**",
    "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=",
}  # fmt: skip
"""How the operations that `OPERATION` finds are written."""
