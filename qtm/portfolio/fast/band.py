"""The band programme in the units it is solved in: residuals, products with its rows, a starting point."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qtm.portfolio.fast.iterate import Places, Residuals, State
from qtm.portfolio.fast.master import row_scales
from qtm.portfolio.fast.shape import TailProgramme
from qtm.portfolio.fast.tail import Indices
from qtm.risk.measures import Floats


class Part(NamedTuple):
    """One distribution at one level: band returns (M, N), largest weights (M,), deep tail, room left."""

    level: int
    returns: Floats
    most: Floats
    linear: Floats
    room: float


@dataclass(frozen=True, slots=True)
class Task:
    """The programme in the units it is solved in: returns of order one, objective of order one.

    x is the point followed by the CVaR of each level; `low` and `high` index its finite bounds. `level_of`
    is each part's level, `part_of` each band scenario's part, `starts` where each part's scenarios begin.
    """

    parts: tuple[Part, ...]
    pieces: tuple[slice, ...]
    most: Floats
    symbols: int
    levels: int
    cost: Floats
    lower: Floats
    upper: Floats
    low: Indices
    high: Indices
    E: Floats
    e: Floats
    G: Floats
    g: Floats
    centres: tuple[Floats, ...]
    scaled: tuple[Floats, ...]
    unit: float
    rooms: Floats
    level_of: Indices
    part_of: Indices
    starts: Indices

    @classmethod
    def of(cls, programme: TailProgramme, parts: Sequence[Part]) -> Task:
        """The task of solving `programme` on `parts`."""
        box, levels = programme.polytope, programme.levels
        unit = 1.0 / max(float(np.concatenate([part.returns.ravel()[:50_000] for part in parts]).std()), 1e-9)
        inside = tuple(
            part._replace(returns=part.returns * unit, linear=part.linear * unit) for part in parts
        )
        prices = np.array([level.price for level in levels])
        cost = np.concatenate((programme.cost * unit, prices))
        cost /= max(float(np.abs(cost).max()), 1e-300)
        lower = np.concatenate((box.lower, np.full(len(levels), -np.inf)))
        upper = np.concatenate((box.upper, [level.cap * unit for level in levels]))
        scale = row_scales(box)
        row_lower, row_upper = box.row_lower * scale, box.row_upper * scale
        rows = np.hstack((box.rows * scale[:, None], np.zeros((box.rows.shape[0], len(levels)))))
        exact = row_lower == row_upper
        low, high = np.isfinite(row_lower) & ~exact, np.isfinite(row_upper) & ~exact
        ends = np.cumsum([0, *(part.returns.shape[0] for part in inside)])
        return cls(
            parts=inside,
            pieces=tuple(slice(int(a), int(b)) for a, b in itertools.pairwise(ends)),
            most=np.concatenate([part.most for part in inside]),
            symbols=programme.symbols,
            levels=len(levels),
            cost=cost,
            lower=lower,
            upper=upper,
            low=np.flatnonzero(np.isfinite(lower)),
            high=np.flatnonzero(np.isfinite(upper)),
            E=rows[exact],
            e=row_lower[exact],
            G=np.vstack((rows[low], -rows[high])),
            g=np.concatenate(
                (
                    row_lower[low],
                    -row_upper[high],
                    *(bound for centre in box.centres for bound in (-centre, centre)),
                )
            ),
            centres=box.centres,
            scaled=tuple(np.empty_like(part.returns) for part in inside),
            unit=unit,
            rooms=np.array([part.room for part in inside]),
            level_of=np.array([part.level for part in inside]),
            part_of=np.repeat(np.arange(len(inside)), np.diff(ends)),
            starts=ends[:-1],
        )

    @property
    def size(self) -> int:
        """Entries of x."""
        return int(self.cost.shape[0])

    def losses(self, w: Floats) -> Floats:
        """Loss of every band scenario, the parts one after another."""
        if len(self.parts) == 1:
            return -(self.parts[0].returns @ w)
        return -np.concatenate([part.returns @ w for part in self.parts])

    def shares(self, y: Floats) -> Floats:
        """Returns weighted by `y` and summed, shape (N,)."""
        if len(self.parts) == 1:
            return y @ self.parts[0].returns
        total = np.zeros(self.symbols)
        for part, piece in zip(self.parts, self.pieces, strict=True):
            total += y[piece] @ part.returns
        return total

    def per_part(self, a: Floats) -> Floats:
        """Each part's number at each of its scenarios; at all of them alike where there is one part."""
        return a if len(self.parts) == 1 else a[self.part_of]

    def sums(self, values: Floats) -> Floats:
        """Sum of `values` over the scenarios of each part."""
        return np.add.reduceat(values, self.starts)

    def rows_at(self, x: Floats) -> Floats:
        """G x, then `d - w` and `d + w` of every distance block."""
        if not self.centres:
            return self.G @ x
        n, w = self.symbols, x[: self.symbols]
        distances = [x[n * (b + 1) : n * (b + 2)] for b in range(len(self.centres))]
        return np.concatenate((self.G @ x, *(tied for d in distances for tied in (d - w, d + w))))

    def rows_back(self, lam: Floats) -> Floats:
        """The transpose of `rows_at`, of shape x."""
        n, few = self.symbols, self.G.shape[0]
        back: Floats = lam[:few] @ self.G
        for block, (below, above) in enumerate(self.ties(lam)):
            back[:n] += above - below
            back[n * (block + 1) : n * (block + 2)] += above + below
        return back

    def ties(self, lam: Floats) -> list[tuple[Floats, Floats]]:
        """The parts of `lam` that belong to `d - w` and `d + w` of every distance block."""
        n, few = self.symbols, self.G.shape[0]
        pairs = lam[few:].reshape(len(self.centres), 2, n)
        return [(pair[0], pair[1]) for pair in pairs]

    def residuals(self, state: State) -> Residuals:
        """What `state` misses of primal and dual feasibility."""
        w = state.x[: self.symbols]
        z = state.x[self.size - self.levels :]
        excess = self.sums(self.most * state.u)
        linear = np.array([float(part.linear @ w) for part in self.parts])
        dual = self.cost - self.rows_back(state.lam) - state.gam @ self.E
        dual[: self.symbols] -= self.shares(state.y)
        for part, tau in zip(self.parts, state.tau, strict=True):
            dual[: self.symbols] += tau * part.linear
            dual[self.size - self.levels + part.level] -= tau
        dual[self.low] -= state.zl
        dual[self.high] += state.zh
        return Residuals(
            s=state.s - state.u + self.losses(w) - self.per_part(state.a),
            q=self.rows_at(state.x) - state.q - self.g,
            e=self.E @ state.x - self.e,
            p=z[self.level_of] - linear - self.rooms * state.a - excess - state.p,
            x=dual,
            a=self.rooms * state.tau - self.sums(state.y),
            u=self.per_part(state.tau) * self.most - state.y - state.yu,
        )

    def initial(self, start: Floats) -> State:
        """A strictly interior point near `start`, dual feasible for the scenario variables."""
        count = self.symbols
        lower, upper = self.lower[:count], self.upper[:count]
        width = upper - lower
        w = np.clip(start, lower + 0.02 * width / count, upper - 0.02 * width)
        losses = self.losses(w)
        spread = 0.1 * max(float(losses.std()), 1e-4)
        thresholds = np.empty(len(self.parts))
        for rank, (part, piece) in enumerate(zip(self.parts, self.pieces, strict=True)):
            own = np.sort(losses[piece])[::-1]
            filled = np.cumsum(part.most)
            place = int(np.searchsorted(filled, min(max(part.room, 0.0), float(filled[-1]))))
            thresholds[rank] = own[min(max(place, 0), own.shape[0] - 1)]
        a = thresholds[self.part_of]
        u = np.maximum(losses - a, 0.0) + spread
        s = np.maximum(u - losses + a, spread)
        tail = np.array([float(part.linear @ w) for part in self.parts]) + self.rooms * thresholds
        tail += self.sums(self.most * u)
        level_of = self.level_of
        z = np.array([float(tail[level_of == level].max()) for level in range(self.levels)]) + spread
        caps = self.upper[self.size - self.levels :]
        z = np.minimum(z, np.where(np.isfinite(caps), caps - spread, np.inf))
        distances = [np.abs(w - centre) + 0.005 + 0.5 / count for centre in self.centres]
        x = np.concatenate((w, *distances, z))
        prices = self.cost[self.size - self.levels :]
        leaning = prices + np.where(np.isfinite(caps), 0.1, 0.0)
        parts_of = np.array([int((level_of == level).sum()) for level in range(self.levels)])
        tau = (leaning / np.maximum(parts_of, 1))[level_of]
        sizes = [float(np.abs(part.returns).mean()) for part in self.parts]
        size = max(float(np.abs(self.cost[:count]).max()), float(leaning.sum()) * max(sizes), 1e-4)
        heavy = 0.5 * tau[self.part_of] * self.most
        zh = np.full(self.high.shape[0], size)
        zh[self.high >= self.size - self.levels] = 0.1
        primal = (
            u,
            s,
            np.maximum(z[level_of] - tail, spread),
            np.maximum(self.rows_at(x) - self.g, 0.01),
            x[self.low] - self.lower[self.low],
            self.upper[self.high] - x[self.high],
        )
        dual = (heavy, heavy, tau, np.full(self.g.shape[0], size), np.full(self.low.shape[0], size), zh)
        return State(
            x=x,
            a=thresholds,
            gam=np.zeros(self.e.shape[0]),
            primal=np.concatenate(primal),
            dual=np.concatenate(dual),
            places=Places.of(tuple(block.shape[0] for block in primal)),
        )
