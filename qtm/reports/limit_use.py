"""A measure held against its limit, as the risk report lists it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LimitUse:
    """A measure beside its limit; a `use` of more than one is a breach.

    Attributes
    ----------
    set_by
        The scope or setting the limit comes from.
    advisory
        A yardstick rather than a limit, such as the drawdown of weights nobody held then: shown when it is
        exceeded, never a breach.
    """

    name: str
    value: float
    limit: float
    money: bool = False
    set_by: str = ""
    advisory: bool = False

    @property
    def use(self) -> float:
        """Value over limit; what cannot be measured, or has no limit, counts as used without bound."""
        use = self.value / self.limit if self.limit > 0.0 else float("inf")
        return use if use == use else float("inf")

    @property
    def exceeded(self) -> bool:
        """Whether the measure is above its limit by more than rounding."""
        return self.use > 1.0 + 1e-6

    @property
    def breached(self) -> bool:
        """Whether a limit, not a mere yardstick, is exceeded."""
        return self.exceeded and not self.advisory
