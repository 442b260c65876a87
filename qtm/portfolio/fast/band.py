"""A primal-dual interior-point method for the Rockafellar-Uryasev programme on a band of scenarios.

Scenarios known to lie in the tail are summed into one linear term, those known to lie outside are left out;
the band in between keeps its variables. Eliminating the scenario variables leaves normal equations of size
(N + 1), so an iteration costs one N x N rank-M product. Steps are Mehrotra's predictor and corrector (1992).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpotrf, dpotrs

from qtm.portfolio.fast.master import row_scales
from qtm.portfolio.fast.shape import Polytope
from qtm.risk.measures import Floats

MOST_ITERATIONS = 100
PATIENCE = 20
"""Iterations without progress after which rounding has the last word."""


@dataclass(frozen=True, slots=True)
class BandProgramme:
    """Minimise `linear @ w + deep_room * a + weight * sum(max(-returns @ w - a, 0))`.

    `linear` (N,) holds the deep tail, `deep_room` the probability (in CVaR's measure) the band still has to
    fill, `weight` is 1 / ((1 - alpha) T), `returns` the band's scenarios (M, N).
    """

    polytope: Polytope
    returns: Floats
    linear: Floats
    deep_room: float
    weight: float


class BandSolution(NamedTuple):
    """Weights, the threshold a, the band's scenario weights (M,) in [0, `weight`], iterations used."""

    weights: Floats
    threshold: float
    scenario_weights: Floats
    iterations: int


class _Rows(NamedTuple):
    """The polytope's rows as equalities `E w = e` and inequalities `G w >= g`."""

    E: Floats
    e: Floats
    G: Floats
    g: Floats


class _State(NamedTuple):
    w: Floats
    a: float
    u: Floats
    s: Floats
    q: Floats
    y: Floats
    lam: Floats
    gam: Floats
    zl: Floats
    zh: Floats
    yu: Floats
    vl: Floats
    vh: Floats


class _Broken(Exception):  # noqa: N818 - the end of the road, not an error: the iterate before it is the answer
    """The normal equations can no longer be factorised."""


def solve_band(programme: BandProgramme, start: Floats, tolerance: float) -> BandSolution:
    """Solve `programme` from the portfolio `start` to a relative complementarity of `tolerance`.

    Where rounding ends the progress earlier, the last iterate is returned: whether it is good enough is for
    the caller's bounds to prove.
    """
    box = programme.polytope
    rows = _split(box)
    returns, kap = programme.returns, programme.weight
    scaled = np.empty_like(returns)
    state = _initial(programme, rows, start)
    least, since = np.inf, 0
    for iteration in range(MOST_ITERATIONS):
        rp_s = state.s - state.u - returns @ state.w - state.a
        rp_q = rows.G @ state.w - state.q - rows.g
        rp_e = rows.E @ state.w - rows.e
        rd_w = (
            programme.linear - returns.T @ state.y - rows.G.T @ state.lam - rows.E.T @ state.gam
            - state.zl + state.zh
        )  # fmt: skip
        rd_a = programme.deep_room - float(state.y.sum())
        products = (
            state.y * state.s, state.yu * state.u, state.lam * state.q, state.zl * state.vl,
            state.zh * state.vh,
        )  # fmt: skip
        complementarity = float(sum(product.sum() for product in products))
        count = sum(product.shape[0] for product in products)
        value = programme.linear @ state.w + programme.deep_room * state.a + kap * float(state.u.sum())
        primal = max(_largest(rp_s), _largest(rp_q), _largest(rp_e))
        dual = max(_largest(rd_w), abs(rd_a))
        scale = max(abs(float(value)), 1e-6)
        if complementarity < tolerance * scale and max(primal, dual) < 0.1 * tolerance * max(scale, 1.0):
            return BandSolution(state.w, state.a, state.y, iteration)
        error = complementarity + scale * (primal + dual)
        least, since = (error, 0) if error < 0.9 * least else (least, since + 1)
        if since == PATIENCE:
            break
        try:
            kkt = _NormalEquations(programme, rows, state, scaled)
        except _Broken:
            break
        residuals = (rp_s, rp_q, rp_e, rd_w, rd_a)
        predictor = kkt.step(residuals, tuple(-product for product in products))
        primal_step, dual_step = _lengths(state, predictor)
        affine = float(
            (state.y + dual_step * predictor.y) @ (state.s + primal_step * predictor.s)
            + (state.yu - dual_step * predictor.y) @ (state.u + primal_step * predictor.u)
            + (state.lam + dual_step * predictor.lam) @ (state.q + primal_step * predictor.q)
            + (state.zl + dual_step * predictor.zl) @ (state.vl + primal_step * predictor.w)
            + (state.zh + dual_step * predictor.zh) @ (state.vh - primal_step * predictor.w)
        )
        centre = min(1.0, affine / complementarity) ** 3 * complementarity / count
        targets = (
            centre - products[0] - predictor.y * predictor.s,
            centre - products[1] + predictor.y * predictor.u,
            centre - products[2] - predictor.lam * predictor.q,
            centre - products[3] - predictor.zl * predictor.w,
            centre - products[4] + predictor.zh * predictor.w,
        )
        corrector = kkt.step(residuals, targets)
        primal_step, dual_step = _lengths(state, corrector)
        damp = min(0.9995, max(0.9, 1.0 - 10.0 * complementarity / count))
        state = _moved(state, corrector, min(1.0, damp * primal_step), min(1.0, damp * dual_step))
    return BandSolution(state.w, state.a, state.y, iteration)


class _NormalEquations:
    """The (N + 1) system of one iteration, factorised once and solved for predictor and corrector."""

    def __init__(self, programme: BandProgramme, rows: _Rows, state: _State, scaled: Floats) -> None:
        self.programme, self.rows, self.state = programme, rows, state
        returns = programme.returns
        count = returns.shape[1]
        self.D = 1.0 / (state.s / state.y + state.u / state.yu)
        np.multiply(returns, np.sqrt(self.D)[:, None], out=scaled)
        matrix = np.zeros((count + 1, count + 1), order="F")
        matrix[:count, :count] = dsyrk(1.0, scaled.T, trans=0, lower=1)
        matrix[:count, :count] += (rows.G.T * (state.lam / state.q)) @ rows.G
        matrix[count, :count] = self.D @ returns
        matrix[count, count] = self.D.sum()
        diagonal = np.arange(count)
        matrix[diagonal, diagonal] += state.zl / state.vl + state.zh / state.vh
        self.factor = _factorised(matrix)
        self.wide = np.hstack((rows.E, np.zeros((rows.E.shape[0], 1))))
        if rows.E.shape[0]:
            self.through = _solved(self.factor, self.wide.T)
            self.schur = self.wide @ self.through

    def step(
        self, residuals: tuple[Floats, Floats, Floats, Floats, float], targets: tuple[Floats, ...]
    ) -> _State:
        """The Newton step towards complementarity products `targets` (s, u, q, zl, zh)."""
        state, rows, returns = self.state, self.rows, self.programme.returns
        rp_s, rp_q, rp_e, rd_w, rd_a = residuals
        r_s, r_u, r_q, r_l, r_h = targets
        rho = r_s / state.y - r_u / state.yu + rp_s
        d_rho = self.D * rho
        dl0 = (r_q - state.lam * rp_q) / state.q
        right = np.append(
            -rd_w + returns.T @ d_rho + rows.G.T @ dl0 + r_l / state.vl - r_h / state.vh, -rd_a + d_rho.sum()
        )
        x = _solved(self.factor, right)
        d_gam: Floats = np.zeros(rows.E.shape[0])
        if rows.E.shape[0]:
            missing = -rp_e - self.wide @ x
            if self.schur.shape[0] == 1:
                d_gam = missing / self.schur[0]
            else:
                d_gam = np.asarray(np.linalg.solve(self.schur, missing), dtype=np.float64)
            x = x + self.through @ d_gam
        dw, da = x[:-1], float(x[-1])
        dy = self.D * (rho - returns @ dw - da)
        g_dw = rows.G @ dw
        return _State(
            w=dw,
            a=da,
            u=(r_u + state.u * dy) / state.yu,
            s=(r_s - state.s * dy) / state.y,
            q=g_dw + rp_q,
            y=dy,
            lam=dl0 - state.lam / state.q * g_dw,
            gam=d_gam,
            zl=(r_l - state.zl * dw) / state.vl,
            zh=(r_h + state.zh * dw) / state.vh,
            yu=-dy,
            vl=dw,
            vh=-dw,
        )


def _split(box: Polytope) -> _Rows:
    scale = row_scales(box)
    rows, lower, upper = box.rows * scale[:, None], box.row_lower * scale, box.row_upper * scale
    exact = lower == upper
    low, high = np.isfinite(lower) & ~exact, np.isfinite(upper) & ~exact
    return _Rows(
        E=rows[exact],
        e=lower[exact],
        G=np.vstack((rows[low], -rows[high])),
        g=np.concatenate((lower[low], -upper[high])),
    )


def _initial(programme: BandProgramme, rows: _Rows, start: Floats) -> _State:
    """A strictly interior point near `start`, dual feasible for the scenario variables."""
    box, kap = programme.polytope, programme.weight
    width = box.upper - box.lower
    w = np.clip(start, box.lower + 0.02 * width / width.shape[0], box.upper - 0.02 * width)
    losses = -(programme.returns @ w)
    count = losses.shape[0]
    filled = min(max(round(programme.deep_room / kap), 1), count - 1)
    a = float(np.partition(losses, count - filled)[count - filled])
    spread = 0.1 * max(float(losses.std()), 1e-4)
    u = np.maximum(losses - a, 0.0) + spread
    s = np.maximum(u - losses + a, spread)
    slack = rows.G @ w - rows.g
    size = max(float(np.abs(programme.linear).max()), float(np.abs(programme.returns).mean()), 1e-4)
    return _State(
        w=w,
        a=a,
        u=u,
        s=s,
        q=np.maximum(slack, 0.01),
        y=np.full(count, 0.5 * kap),
        lam=np.full(rows.g.shape[0], size),
        gam=np.zeros(rows.e.shape[0]),
        zl=np.full(w.shape[0], size),
        zh=np.full(w.shape[0], size),
        yu=np.full(count, 0.5 * kap),
        vl=w - box.lower,
        vh=box.upper - w,
    )


def _factorised(matrix: Floats) -> Floats:
    """Lower Cholesky factor, with the least ridge that makes it exist."""
    diagonal = np.arange(matrix.shape[0])
    size = float(np.trace(matrix)) / matrix.shape[0]
    if not np.isfinite(size):
        raise _Broken
    for ridge in (1e-14, 1e-11, 1e-8):
        ridged = matrix.copy(order="F")
        ridged[diagonal, diagonal] += ridge * size
        factor, failed = dpotrf(ridged, lower=1, overwrite_a=1, clean=0)
        if not failed and np.isfinite(factor[-1, -1]):
            lower: Floats = factor
            return lower
    raise _Broken


def _solved(factor: Floats, right: Floats) -> Floats:
    solution: Floats = dpotrs(factor, right, lower=1)[0]
    return solution if right.ndim == 2 else solution.reshape(-1)


def _lengths(state: _State, step: _State) -> tuple[float, float]:
    """Longest primal and dual steps that keep every variable positive."""
    primal = min(
        _longest(state.u, step.u), _longest(state.s, step.s), _longest(state.q, step.q),
        _longest(state.vl, step.vl), _longest(state.vh, step.vh),
    )  # fmt: skip
    dual = min(
        _longest(state.y, step.y), _longest(state.yu, step.yu), _longest(state.lam, step.lam),
        _longest(state.zl, step.zl), _longest(state.zh, step.zh),
    )  # fmt: skip
    return primal, dual


def _longest(value: Floats, change: Floats) -> float:
    """Longest step, at most one, along `change` that keeps `value` from crossing zero."""
    if not value.shape[0]:
        return 1.0
    steepest = float((change / value).min())
    return 1.0 if steepest >= -1.0 else -1.0 / steepest


def _moved(state: _State, step: _State, primal: float, dual: float) -> _State:
    return _State(
        w=state.w + primal * step.w,
        a=state.a + primal * step.a,
        u=state.u + primal * step.u,
        s=state.s + primal * step.s,
        q=state.q + primal * step.q,
        y=state.y + dual * step.y,
        lam=state.lam + dual * step.lam,
        gam=state.gam + dual * step.gam,
        zl=state.zl + dual * step.zl,
        zh=state.zh + dual * step.zh,
        yu=state.yu + dual * step.yu,
        vl=state.vl + primal * step.vl,
        vh=state.vh + primal * step.vh,
    )


def _largest(values: Floats) -> float:
    return float(np.abs(values).max()) if values.shape[0] else 0.0
