"""A primal-dual interior-point method for CVaR programmes on bands of scenarios.

Scenarios known to lie in the tail are summed into one linear term, those known to lie outside are left out;
the band in between keeps its variables. Eliminating them, the rows' slacks and their duals leaves normal
equations with one unknown per weight, distance, level and part, so an iteration costs one N x N rank-M
product for each part. Steps are Mehrotra's predictor and corrector (1992).

A part is one distribution at one confidence level: `z >= linear @ w + room * a + most @ u` with
`u >= -returns @ w - a`, `u >= 0`, where z is the level's CVaR, priced or capped.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpotrf, dpotrs

from qtm.portfolio.fast.master import row_scales
from qtm.portfolio.fast.shape import TailProgramme
from qtm.portfolio.fast.tail import Indices
from qtm.risk.measures import Floats

MOST_ITERATIONS = 120
PATIENCE = 20
"""Iterations without progress after which rounding has the last word."""


class Part(NamedTuple):
    """One distribution at one level: band returns (M, N), largest weights (M,), deep tail, room left."""

    level: int
    returns: Floats
    most: Floats
    linear: Floats
    room: float


class InteriorSolution(NamedTuple):
    """Portfolio (N,), each part's threshold a, its scenario weights (M,) summing to its room, iterations.

    `shares` are the multipliers of the parts: how much the optimum leans on each.
    """

    weights: Floats
    thresholds: tuple[float, ...]
    scenario_weights: tuple[Floats, ...]
    shares: Floats
    iterations: int


def solve_interior(
    programme: TailProgramme, parts: Sequence[Part], start: Floats, tolerance: float
) -> InteriorSolution:
    """Solve `programme` on the bands of `parts` from the portfolio `start`.

    Stops at a relative complementarity of `tolerance`. Where rounding ends the progress earlier, the last
    iterate is returned: whether it is good enough is for the caller's bounds to prove.
    """
    task = _Task.of(programme, parts)
    state = task.initial(start)
    least, since, iterations = np.inf, 0, 0
    for iterations in range(MOST_ITERATIONS):  # noqa: B007 - reported in the answer
        residuals = task.residuals(state)
        products = state.products()
        complementarity = float(sum(product.sum() for product in products))
        count = sum(product.shape[0] for product in products)
        scale = max(abs(float(task.cost @ state.x)), 1e-6)
        primal, dual = residuals.primal, residuals.dual
        if complementarity < tolerance * scale and max(primal, dual) < 0.1 * tolerance * max(scale, 1.0):
            break
        error = complementarity + scale * (primal + dual)
        least, since = (error, 0) if error < 0.9 * least else (least, since + 1)
        if since == PATIENCE:
            break
        try:
            newton = _Newton(task, state)
        except _Broken:
            break
        predictor = newton.step(residuals, tuple(-product for product in products))
        primal_step, dual_step = state.lengths(predictor)
        affine = state.affine(predictor, primal_step, dual_step)
        centre = min(1.0, affine / complementarity) ** 3 * complementarity / count
        second = predictor.products()
        targets = tuple(centre - product - bend for product, bend in zip(products, second, strict=True))
        corrector = newton.step(residuals, targets)
        primal_step, dual_step = state.lengths(corrector)
        damp = min(0.9995, max(0.9, 1.0 - 10.0 * complementarity / count))
        state = state.moved(corrector, min(1.0, damp * primal_step), min(1.0, damp * dual_step))
    return InteriorSolution(
        state.x[: programme.symbols],
        tuple(float(a) / task.unit for a in state.a),
        tuple(
            state.y[piece] / max(float(share), 1e-300)
            for piece, share in zip(task.pieces, state.tau, strict=True)
        ),
        state.tau,
        iterations,
    )


class _Broken(Exception):  # noqa: N818 - the end of the road, not an error: the iterate before it is the answer
    """The normal equations can no longer be factorised."""


class _Residuals(NamedTuple):
    s: Floats
    q: Floats
    e: Floats
    p: Floats
    x: Floats
    a: Floats
    u: Floats

    @property
    def primal(self) -> float:
        return max(_largest(self.s), _largest(self.q), _largest(self.e), _largest(self.p))

    @property
    def dual(self) -> float:
        return max(_largest(self.x), _largest(self.a), _largest(self.u))


@dataclass(slots=True)
class _State:
    """Primal x, a and the positive u, s, p, q, vl, vh; dual gam and the positive yu, y, tau, lam, zl, zh."""

    x: Floats
    a: Floats
    gam: Floats
    u: Floats
    s: Floats
    p: Floats
    q: Floats
    vl: Floats
    vh: Floats
    yu: Floats
    y: Floats
    tau: Floats
    lam: Floats
    zl: Floats
    zh: Floats

    def primals(self) -> tuple[Floats, ...]:
        return (self.u, self.s, self.p, self.q, self.vl, self.vh)

    def duals(self) -> tuple[Floats, ...]:
        return (self.yu, self.y, self.tau, self.lam, self.zl, self.zh)

    def products(self) -> tuple[Floats, ...]:
        return tuple(primal * dual for primal, dual in zip(self.primals(), self.duals(), strict=True))

    def lengths(self, step: _State) -> tuple[float, float]:
        """Longest primal and dual steps, at most one, that keep every variable positive."""
        primal = min(_longest(v, d) for v, d in zip(self.primals(), step.primals(), strict=True))
        dual = min(_longest(v, d) for v, d in zip(self.duals(), step.duals(), strict=True))
        return primal, dual

    def affine(self, step: _State, primal: float, dual: float) -> float:
        """Complementarity after steps of these lengths."""
        return float(
            sum(
                (v + primal * dv) @ (z + dual * dz)
                for v, dv, z, dz in zip(
                    self.primals(), step.primals(), self.duals(), step.duals(), strict=True
                )
            )
        )

    def moved(self, step: _State, primal: float, dual: float) -> _State:
        return _State(
            self.x + primal * step.x,
            self.a + primal * step.a,
            self.gam + dual * step.gam,
            *(v + primal * d for v, d in zip(self.primals(), step.primals(), strict=True)),
            *(v + dual * d for v, d in zip(self.duals(), step.duals(), strict=True)),
        )


@dataclass(frozen=True, slots=True)
class _Task:
    """The programme in the units it is solved in: returns of order one, objective of order one.

    x is the point followed by the CVaR of each level; `low` and `high` index its finite bounds.
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

    @classmethod
    def of(cls, programme: TailProgramme, parts: Sequence[Part]) -> _Task:
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
        )

    @property
    def _size(self) -> int:
        return int(self.cost.shape[0])

    def losses(self, w: Floats) -> Floats:
        """Loss of every band scenario, the parts one after another."""
        return -np.concatenate([part.returns @ w for part in self.parts])

    def shares(self, y: Floats) -> Floats:
        """Returns weighted by `y` and summed, shape (N,)."""
        total = np.zeros(self.symbols)
        for part, piece in zip(self.parts, self.pieces, strict=True):
            total += y[piece] @ part.returns
        return total

    def per_part(self, a: Floats) -> Floats:
        """Each part's number at each of its scenarios."""
        return np.concatenate(
            [np.full(part.returns.shape[0], value) for part, value in zip(self.parts, a, strict=True)]
        )

    def sums(self, values: Floats) -> Floats:
        """Sum of `values` over the scenarios of each part."""
        return np.array([float(values[piece].sum()) for piece in self.pieces])

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

    def residuals(self, state: _State) -> _Residuals:
        w = state.x[: self.symbols]
        z = state.x[self._size - self.levels :]
        level_of = [part.level for part in self.parts]
        excess = self.sums(self.most * state.u)
        linear = np.array([float(part.linear @ w) for part in self.parts])
        rooms = np.array([part.room for part in self.parts])
        dual = self.cost - self.rows_back(state.lam) - state.gam @ self.E
        dual[: self.symbols] -= self.shares(state.y)
        for part, tau in zip(self.parts, state.tau, strict=True):
            dual[: self.symbols] += tau * part.linear
            dual[self._size - self.levels + part.level] -= tau
        dual[self.low] -= state.zl
        dual[self.high] += state.zh
        return _Residuals(
            s=state.s - state.u + self.losses(w) - self.per_part(state.a),
            q=self.rows_at(state.x) - state.q - self.g,
            e=self.E @ state.x - self.e,
            p=z[level_of] - linear - rooms * state.a - excess - state.p,
            x=dual,
            a=rooms * state.tau - self.sums(state.y),
            u=self.per_part(state.tau) * self.most - state.y - state.yu,
        )

    def initial(self, start: Floats) -> _State:
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
        a = self.per_part(thresholds)
        u = np.maximum(losses - a, 0.0) + spread
        s = np.maximum(u - losses + a, spread)
        tail = np.array(
            [float(part.linear @ w) + part.room * at for part, at in zip(self.parts, thresholds, strict=True)]
        ) + self.sums(self.most * u)
        level_of = np.array([part.level for part in self.parts])
        z = np.array([float(tail[level_of == level].max()) for level in range(self.levels)]) + spread
        caps = self.upper[self._size - self.levels :]
        z = np.minimum(z, np.where(np.isfinite(caps), caps - spread, np.inf))
        distances = [np.abs(w - centre) + 0.005 + 0.5 / count for centre in self.centres]
        x = np.concatenate((w, *distances, z))
        prices = self.cost[self._size - self.levels :]
        leaning = prices + np.where(np.isfinite(caps), 0.1, 0.0)
        parts_of = np.array([int((level_of == level).sum()) for level in range(self.levels)])
        tau = (leaning / np.maximum(parts_of, 1))[level_of]
        sizes = [float(np.abs(part.returns).mean()) for part in self.parts]
        size = max(float(np.abs(self.cost[:count]).max()), float(leaning.sum()) * max(sizes), 1e-4)
        heavy = 0.5 * self.per_part(tau) * self.most
        low, high = x[self.low] - self.lower[self.low], self.upper[self.high] - x[self.high]
        zh = np.full(self.high.shape[0], size)
        zh[self.high >= self._size - self.levels] = 0.1
        return _State(
            x=x,
            a=thresholds,
            gam=np.zeros(self.e.shape[0]),
            u=u,
            s=s,
            p=np.maximum(z[level_of] - tail, spread),
            q=np.maximum(self.rows_at(x) - self.g, 0.01),
            vl=low,
            vh=high,
            yu=heavy,
            y=heavy.copy(),
            tau=tau,
            lam=np.full(self.g.shape[0], size),
            zl=np.full(self.low.shape[0], size),
            zh=zh,
        )


class _Newton:
    """The normal equations of one iteration, factorised once and solved for predictor and corrector."""

    def __init__(self, task: _Task, state: _State) -> None:
        self.task, self.state = task, state
        size, count, parts = task._size, task.symbols, len(task.parts)
        iu = state.u / state.yu
        self.D = 1.0 / (state.s / state.y + iu)
        self.iu, self.G = iu, iu * self.D
        matrix = np.zeros((size + parts, size + parts), order="F")
        root = np.sqrt(self.D)
        self.bends = np.zeros((parts, size + parts))
        self.firm = np.empty(parts)
        for rank, (part, piece) in enumerate(zip(task.parts, task.pieces, strict=True)):
            np.multiply(part.returns, root[piece, None], out=task.scaled[rank])
            matrix[:count, :count] += dsyrk(1.0, task.scaled[rank].T, trans=0, lower=1)
            matrix[size + rank, :count] = self.D[piece] @ part.returns
            matrix[size + rank, size + rank] = self.D[piece].sum()
            share = self.G[piece] * part.most
            bend = self.bends[rank]
            bend[:count] = part.linear - share @ part.returns
            bend[size - task.levels + part.level] = -1.0
            bend[size + rank] = part.room - float(share.sum())
            stretch = float((part.most**2 * iu[piece] * (1.0 - self.G[piece])).sum())
            self.firm[rank] = stretch + state.p[rank] / state.tau[rank]
        matrix += (self.bends.T / self.firm) @ self.bends
        few = task.G.shape[0]
        pull = state.lam / state.q
        matrix[:size, :size] += (task.G.T * pull[:few]) @ task.G
        diagonal = np.arange(size + parts)
        own = diagonal[:count]
        for block, (below, above) in enumerate(task.ties(pull), start=1):
            far = own + block * count
            matrix[own, own] += below + above
            matrix[far, far] += below + above
            matrix[far, own] += above - below
        at_bounds = np.zeros(size + parts)
        at_bounds[task.low] += state.zl / state.vl
        at_bounds[task.high] += state.zh / state.vh
        matrix[diagonal, diagonal] += at_bounds
        self.factor = _factorised(matrix)
        self.wide = np.hstack((task.E, np.zeros((task.E.shape[0], parts))))
        if task.E.shape[0]:
            self.through = _solved(self.factor, self.wide.T)
            self.schur = self.wide @ self.through

    def step(self, residuals: _Residuals, targets: tuple[Floats, ...]) -> _State:
        """The Newton step towards complementarity products `targets`, in the order of `_State.primals`."""
        task, state = self.task, self.state
        size, count = task._size, task.symbols
        r_u, r_s, r_p, r_q, r_l, r_h = targets
        u_over, s_over = r_u / state.yu, r_s / state.y
        rho = s_over - u_over + self.iu * residuals.u + residuals.s
        d_rho = self.D * rho
        known = task.sums(task.most * (u_over - self.iu * residuals.u + self.G * rho))
        e0 = -residuals.p + known + r_p / state.tau
        dl0 = (r_q - state.lam * residuals.q) / state.q
        right = np.empty(size + len(task.parts))
        right[:size] = -residuals.x + task.rows_back(dl0)
        right[:count] += task.shares(d_rho)
        right[task.low] += r_l / state.vl
        right[task.high] -= r_h / state.vh
        right[size:] = -residuals.a + task.sums(d_rho)
        right -= (e0 / self.firm) @ self.bends
        move = _solved(self.factor, right)
        d_gam: Floats = np.zeros(task.E.shape[0])
        if task.E.shape[0]:
            missing = -residuals.e - self.wide @ move
            if self.schur.shape[0] == 1:
                d_gam = missing / self.schur[0]
            else:
                d_gam = np.asarray(np.linalg.solve(self.schur, missing), dtype=np.float64)
            move = move + self.through @ d_gam
        dx, da = move[:size], move[size:]
        d_tau = (e0 + self.bends @ move) / self.firm
        along = task.per_part(d_tau) * task.most
        dy = self.D * (rho + self.iu * along + task.losses(dx[:count]) - task.per_part(da))
        dyu = residuals.u + along - dy
        g_dx = task.rows_at(dx)
        return _State(
            x=dx,
            a=da,
            gam=d_gam,
            u=u_over - self.iu * dyu,
            s=s_over - state.s / state.y * dy,
            p=(r_p - state.p * d_tau) / state.tau,
            q=g_dx + residuals.q,
            vl=dx[task.low],
            vh=-dx[task.high],
            yu=dyu,
            y=dy,
            tau=d_tau,
            lam=dl0 - state.lam / state.q * g_dx,
            zl=(r_l - state.zl * dx[task.low]) / state.vl,
            zh=(r_h + state.zh * dx[task.high]) / state.vh,
        )


def _factorised(matrix: Floats) -> Floats:
    """Lower Cholesky factor, with the least ridge that makes it exist."""
    diagonal = np.arange(matrix.shape[0])
    size = float(np.trace(matrix)) / matrix.shape[0]
    if not np.isfinite(size):
        raise _Broken
    own = matrix[diagonal, diagonal].copy()
    for ridge in (1e-14, 1e-11, 1e-8):
        ridged = matrix.copy(order="F")
        ridged[diagonal, diagonal] += ridge * (size if ridge > 1e-12 else np.maximum(own, 1e-6 * size))
        factor, failed = dpotrf(ridged, lower=1, overwrite_a=1, clean=0)
        if not failed and np.isfinite(factor[-1, -1]):
            lower: Floats = factor
            return lower
    raise _Broken


def _solved(factor: Floats, right: Floats) -> Floats:
    solution: Floats = dpotrs(factor, right, lower=1)[0]
    return solution if right.ndim == 2 else solution.reshape(-1)


def _longest(value: Floats, change: Floats) -> float:
    """Longest step, at most one, along `change` that keeps `value` from crossing zero."""
    if not value.shape[0]:
        return 1.0
    steepest = float((change / value).min())
    return 1.0 if steepest >= -1.0 else -1.0 / steepest


def _largest(values: Floats) -> float:
    return float(np.abs(values).max()) if values.shape[0] else 0.0
