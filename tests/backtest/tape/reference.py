"""A slow, plain engine in exact decimals: lists, objects and no shortcuts, written from the rules.

It knows trades without depth and full depth, all order types, groups, brackets, latency, spot money and the
pessimistic queue. It shares no code with the compiled engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from tests.backtest.tape.scripted import Line

TICK, STEP, UNIT = Decimal("0.01"), Decimal("0.001"), Decimal("1e-8")
LIMIT, MARKET, STOP, STOP_LIMIT, TAKE_PROFIT, TAKE_PROFIT_LIMIT, TRAILING = range(7)
GTC, IOC, FOK, GTD = range(4)
POST_ONLY, REDUCE_ONLY = 1, 2


@dataclass
class Order:
    line: Line
    arrives: int
    left: int
    ticks: int
    state: str = "sent"
    place: int = 0
    ahead: Decimal = Decimal(0)
    best: int = 0
    parent: Order | None = None
    locked: Decimal = Decimal(0)
    fate: str = ""

    @property
    def side(self) -> int:
        return self.line.side

    @property
    def above(self) -> bool:
        return (self.side > 0) != (self.line.kind in (TAKE_PROFIT, TAKE_PROFIT_LIMIT))


@dataclass
class Reference:
    """Runs a script over events of (time, "B"/"S"/"bid"/"ask", ticks, lots)."""

    deep: bool
    cash: Decimal
    rate: Decimal
    latency: int
    spot: bool = True
    qty: Decimal = Decimal(0)
    book: dict[int, dict[int, int]] = field(default_factory=lambda: {1: {}, -1: {}})
    last: int = 0  # the market's last trade
    traded: int = 0  # the venue's, own trades included
    best: dict[int, int] = field(default_factory=lambda: {1: 0, -1: 0})
    orders: dict[int, Order] = field(default_factory=dict)
    fills: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    number: int = 0
    now: int = 0
    on_the_way: list[tuple[int, Line]] = field(default_factory=list)

    # --- the book
    def top(self, side: int) -> int:
        """Best price of a side, 0 for none."""
        if not self.deep:
            return self.best[side]
        prices = [price for price, lots in self.book[side].items() if lots > 0]
        return (max(prices) if side > 0 else min(prices)) if prices else 0

    def resting(self, side: int) -> list[Order]:
        found = [order for order in self.orders.values() if order.state == "resting" and order.side == side]
        return sorted(found, key=lambda order: (-side * order.ticks, order.place))

    # --- running
    def run(self, events: list[tuple[int, str, int, int]], script: list[Line], wakes: list[int]) -> None:
        """`wakes` are the times at which the script is read, ascending; each follows its event."""
        queue = self.on_the_way
        lines = list(script)
        moments = sorted({*wakes, *(event[0] for event in events)})
        for moment in moments:
            while queue and queue[0][0] < moment:
                self.now, line = queue[0][0], queue.pop(0)[1]
                self.arrive(line)
            for at, kind, ticks, lots in events:
                if at == moment:
                    self.now = at
                    self.happen(kind, ticks, lots)
            self.families()
            if moment in wakes:
                while lines and lines[0].at_ns <= moment:
                    queue.append((moment + self.latency, lines.pop(0)))

    def arrive(self, line: Line) -> None:
        if line.verb != 0:
            order = self.orders.get(line.ref)
            if order is not None and order.state in ("resting", "waiting", "held"):
                for one in list(self.orders.values()):
                    alive = one.state in ("resting", "waiting", "held", "sent")
                    if alive and (
                        one is order or (line_group(order) and line_group(one) == line_group(order))
                    ):
                        self.end(one, "CANCELED")
                if line_group(order):
                    self.end_unsent(line_group(order))
            self.families()
            return
        if line.ref in self.orders:  # its group or parent has ended it on the way
            return
        order = Order(line, self.now, line.lots, line.ticks)
        self.orders[line.ref] = order
        if line.parent:
            parent = self.orders[line.parent]
            order.parent = parent
            if parent.fate and parent.fate != "FILLED":
                self.end(order, "EXPIRED")
                return
            if not parent.fate:
                order.state = "held"
                return
        group = line_group(order)
        before = self.traded
        self.enter(order)
        if group and order.fate == "REJECTED":
            self.reject(group)
        self.fire_unless(before)
        self.families()

    def reject(self, group: int) -> None:
        """The venue takes a pair whole or not at all."""
        for one in list(self.orders.values()):
            if one.state != "over" and line_group(one) == group:
                self.end(one, "REJECTED")
        self.end_unsent(group)

    def families(self) -> None:
        before = self.traded
        for order in sorted(self.orders.values(), key=lambda one: -one.line.ref):
            if order.state == "held" and order.parent is not None and order.parent.fate:
                if order.parent.fate == "FILLED":
                    self.enter(order)
                else:
                    self.end(order, "EXPIRED")
        self.fire_unless(before)

    # --- the life of an order
    def enter(self, order: Order) -> None:
        line = order.line
        conditional = line.kind not in (LIMIT, MARKET)
        waiting = sum(
            one.state in ("waiting", "resting") and one.line.kind not in (LIMIT, MARKET)
            for one in self.orders.values()
        )
        price = line.ticks or line.trigger_ticks or self.top(-order.side) or self.last
        if line.kind == MARKET or (line.kind == TRAILING):
            price = self.top(-order.side) or self.last
        if (
            line.lots * price * STEP * TICK < Decimal("0.01")
            or (conditional and line.kind != TRAILING and self.passed(order, line.trigger_ticks))
            or (line.flags & POST_ONLY and self.crosses(order))
            or (conditional and waiting >= (5 if self.spot else 200))
            or not self.set_aside(order, price)
        ):
            self.end(order, "REJECTED")
        elif line.time_in_force == GTD and line.expire_ns <= self.now:
            self.end(order, "EXPIRED")
        elif conditional:
            order.state, order.best = "waiting", self.traded
        else:
            self.work(order)

    def passed(self, order: Order, level: int) -> bool:
        return self.traded >= level if order.above else self.traded <= level

    def crosses(self, order: Order) -> bool:
        top = self.top(-order.side)
        own = self.resting(-order.side)
        return bool(
            (top and order.side * (order.ticks - top) >= 0)
            or (own and order.side * (order.ticks - own[0].ticks) >= 0)
        )

    def set_aside(self, order: Order, price: int) -> bool:
        held = int(self.qty / STEP)
        if order.line.flags & REDUCE_ONLY:
            return held * order.side < 0
        if not self.spot:
            return True
        same = [
            o for o in self.orders.values() if o is not order and o.side == order.side and o.state != "over"
        ]
        if order.side < 0:
            need = Decimal(order.left)
        elif order.line.kind == MARKET:
            need = self.cost(order.left)
        else:
            need = up(order.left * price * STEP * TICK)
        kin = [o.locked for o in same if line_group(order) and line_group(o) == line_group(order)]
        need = max(Decimal(0), need - max(kin, default=Decimal(0)))
        used = sum((o.locked for o in same), Decimal(0))
        have = self.cash if order.side > 0 else Decimal(held)
        if have - used < need:
            return False
        order.locked = need
        return True

    def cost(self, lots: int) -> Decimal:
        if not self.deep:
            return up(lots * self.best[-1] * STEP * TICK)
        total = Decimal(0)
        for price in sorted(self.book[-1]):
            taken = min(lots, self.book[-1][price])
            total += up(taken * price * STEP * TICK)
            lots -= taken
        return total

    def work(self, order: Order) -> None:
        limit = order.ticks
        now_or_never = order.line.time_in_force in (IOC, FOK) or not limit
        if order.line.time_in_force == FOK and limit and self.takeable(order) < order.left:
            self.end(order, "EXPIRED")
            return
        self.take(order)
        if order.state == "over":
            return
        if now_or_never:
            self.end(order, "EXPIRED")
            return
        self.number += 1
        order.state, order.place = "resting", self.number
        shown = self.book[order.side].get(order.ticks, 0)
        order.ahead = Decimal(shown) if self.deep else Decimal("Infinity")

    def offers(self, order: Order) -> list[int]:
        limit = order.ticks
        prices = [p for p, lots in self.book[-order.side].items() if lots > 0] if self.deep else []
        if not self.deep and self.best[-order.side]:
            prices = [self.best[-order.side]]
        good = [p for p in prices if not limit or order.side * (limit - p) >= 0]
        return sorted(good, key=lambda p: order.side * p)

    def takeable(self, order: Order) -> int:
        if not self.deep:
            return order.left if self.offers(order) else 0
        return sum(self.book[-order.side][price] for price in self.offers(order))

    def take(self, order: Order) -> None:
        while order.state != "over":
            offers = self.offers(order)
            own = [
                o
                for o in self.resting(-order.side)
                if not order.ticks or order.side * (order.ticks - o.ticks) >= 0
            ]
            if not offers:
                if self.deep or order.ticks:
                    for one in own:
                        self.prevent(one)
                return
            price = offers[0]
            first = own[0] if own else None
            if first is not None and order.side * (first.ticks - price) <= 0:
                shown = self.book[-order.side].get(price, 0)
                if self.deep and first.ticks == price and first.ahead > 0 and shown > 0:
                    lots = min(order.left, int(first.ahead), shown)
                    done = self.fill(order, lots, price)
                    for one in self.resting(-order.side):
                        if one.ticks == price:
                            one.ahead = max(Decimal(0), one.ahead - done)
                    self.book[-order.side][price] = shown - done
                    if order.state == "over":
                        return
                self.prevent(first)
                continue
            if not self.deep:
                self.fill(order, order.left, price)
                continue
            shown = self.book[-order.side][price]
            done = self.fill(order, min(order.left, shown), price)
            self.book[-order.side][price] = shown - done

    def fill(self, order: Order, lots: int, ticks: int) -> int:
        held = int(self.qty / STEP)
        if order.line.flags & REDUCE_ONLY:
            lots = min(lots, abs(held)) if held * order.side < 0 else 0
        if lots <= 0:
            self.end(order, "EXPIRED")
            return 0
        group = line_group(order)
        if group:
            self.end_kin(order)
        value, base = lots * ticks * STEP * TICK, lots * STEP
        if self.spot and order.side > 0:
            self.qty += base - (base * self.rate).quantize(UNIT, ROUND_DOWN)
            self.cash -= value
        else:
            self.qty += order.side * base
            self.cash -= order.side * value + (value * self.rate).quantize(UNIT, ROUND_DOWN)
        order.left -= lots
        if self.spot:
            if order.side < 0:
                order.locked = max(Decimal(0), order.locked - lots)
            elif order.ticks:
                order.locked = min(order.locked, up(order.left * order.ticks * STEP * TICK))
            else:
                order.locked = max(Decimal(0), order.locked - value)
        self.traded = ticks
        self.fills.append((self.now, order.line.ref, order.side, lots, ticks))
        held = int(self.qty / STEP)
        if order.left == 0:
            self.end(order, "FILLED")
        elif order.line.flags & REDUCE_ONLY and held * order.side >= 0:
            self.end(order, "EXPIRED")
        return lots

    def end_kin(self, order: Order) -> None:
        for other in list(self.orders.values()):
            if other is not order and other.state != "over" and line_group(other) == line_group(order):
                order.locked += other.locked if order.state in ("resting", "waiting") else Decimal(0)
                other.locked = Decimal(0)
                self.end(other, "EXPIRED")
        self.end_unsent(line_group(order))
        order.line = replaced(order.line)

    def prevent(self, order: Order) -> None:
        """An own taker would meet it: it expires with its group."""
        if order.state == "over":
            return
        if line_group(order):
            self.end_kin(order)
        self.end(order, "EXPIRED")

    def end_unsent(self, group: int) -> None:
        """Orders of a group that are still on their way end with it."""
        for _, line in self.on_the_way:
            if line.verb == 0 and line.group == group and line.ref not in self.orders:
                self.orders[line.ref] = Order(line, self.now, line.lots, line.ticks, "over", fate="EXPIRED")

    def end(self, order: Order, fate: str) -> None:
        if order.state != "over":
            heirs = [
                o for o in self.orders.values()
                if o is not order and line_group(o) and line_group(o) == line_group(order)
                and o.side == order.side and o.state in ("resting", "waiting")
            ]  # fmt: skip
            if heirs:
                heirs[0].locked += order.locked
            order.state, order.fate, order.locked = "over", fate, Decimal(0)

    # --- the market
    def happen(self, kind: str, ticks: int, lots: int) -> None:
        for order in list(self.orders.values()):
            over = order.line.time_in_force == GTD and order.line.expire_ns < self.now
            if order.state in ("resting", "waiting", "held") and over:
                self.end(order, "EXPIRED")
        if kind in ("bid", "ask"):
            self.level(1 if kind == "bid" else -1, ticks, lots)
        else:
            self.trade(1 if kind == "B" else -1, ticks, lots)

    def level(self, side: int, ticks: int, lots: int) -> None:
        before, traded = self.book[side].get(ticks, 0), self.traded
        self.book[side][ticks] = lots
        if lots > 0:
            for price in list(self.book[-side]):
                if side * (ticks - price) >= 0:
                    self.book[-side][price] = 0
        for order in self.resting(side):
            if (order.ticks == ticks and lots < before) or order.ticks == ticks:
                order.ahead = min(order.ahead, Decimal(lots))
        while lots > 0:
            mine, top = self.resting(-side), self.top(side)
            if not mine or not top or -side * (mine[0].ticks - top) < 0:
                break
            shown = self.book[side][top]
            done = self.fill(mine[0], min(mine[0].left, shown), mine[0].ticks)
            self.book[side][top] = shown - done
        self.fire_unless(traded)

    def trade(self, aggressor: int, ticks: int, lots: int) -> None:
        self.last = ticks
        if not self.deep:
            self.best = {1: ticks - 1, -1: ticks} if aggressor > 0 else {1: ticks, -1: ticks + 1}
        for side in (1, -1):
            if aggressor == -side or not self.deep:
                self.reach(side, ticks, lots, strict=aggressor == side)
        if self.deep:
            shown = self.book[-aggressor].get(ticks, 0)
            self.book[-aggressor][ticks] = max(0, shown - lots)
        self.traded = ticks
        self.fire()

    def reach(self, side: int, ticks: int, lots: int, *, strict: bool) -> None:
        for order in self.resting(side):
            if order.state == "resting" and lots > 0 and side * (order.ticks - ticks) > 0:
                lots -= self.fill(order, min(lots, order.left), order.ticks)
        if strict:
            return
        market = Decimal(0)
        level = [order for order in self.resting(side) if order.ticks == ticks]
        for order in level:
            stands = max(Decimal(0), order.ahead - market)
            if order.state != "resting" or lots - stands <= 0:
                continue
            lots -= int(stands)
            market += stands
            lots -= self.fill(order, min(lots, order.left), ticks)
        market += lots
        for order in level:
            if order.state == "resting":
                order.ahead = max(Decimal(0), order.ahead - market)

    def fire_unless(self, before: int) -> None:
        """Own trades are trades of the venue: stops watch them, too."""
        if self.traded != before:
            self.fire()

    def fire(self) -> None:
        price = self.traded
        waiting = [order for order in self.orders.values() if order.state == "waiting"]
        reached = []
        for order in sorted(waiting, key=lambda one: one.line.ref):
            level = order.line.trigger_ticks
            if order.line.kind == TRAILING:
                order.best = min(order.best, price) if order.side > 0 else max(order.best, price)
                level = order.best + order.side * order.line.trail_ticks
            if self.passed(order, level):
                reached.append(order)
        for order in reached:
            if order.state == "waiting":
                if line_group(order):
                    self.end_kin(order)
                self.work(order)
        self.fire_unless(price)


def line_group(order: Order) -> int:
    return order.line.group


def replaced(line: Line) -> Line:
    from dataclasses import replace

    return replace(line, group=0)


def up(amount: Decimal) -> Decimal:
    return amount.quantize(UNIT, ROUND_UP)
