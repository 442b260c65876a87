"""Newton steps of the interior-point method: normal equations with the scenarios eliminated."""

from __future__ import annotations

import numpy as np
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpotrf, dpotrs

from qtm.portfolio.fast.band import Task
from qtm.portfolio.fast.iterate import Residuals, State
from qtm.risk.measures import Floats


class Broken(Exception):  # noqa: N818 - the end of the road, not an error: the iterate before it is the answer
    """The normal equations can no longer be factorised."""


class Newton:
    """The normal equations of one iteration, factorised once and solved for predictor and corrector."""

    def __init__(self, task: Task, state: State) -> None:
        self.task, self.state = task, state
        size, count, parts = task.size, task.symbols, len(task.parts)
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

    def step(self, residuals: Residuals, targets: tuple[Floats, ...]) -> State:
        """The Newton step towards complementarity products `targets`, in the order of `State.primals`."""
        task, state = self.task, self.state
        size, count = task.size, task.symbols
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
        return State(
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
        raise Broken
    own = matrix[diagonal, diagonal].copy()
    for ridge in (1e-14, 1e-11, 1e-8):
        ridged = matrix.copy(order="F")
        ridged[diagonal, diagonal] += ridge * (size if ridge > 1e-12 else np.maximum(own, 1e-6 * size))
        factor, failed = dpotrf(ridged, lower=1, overwrite_a=1, clean=0)
        if not failed and np.isfinite(factor[-1, -1]):
            lower: Floats = factor
            return lower
    raise Broken


def _solved(factor: Floats, right: Floats) -> Floats:
    solution: Floats = dpotrs(factor, right, lower=1)[0]
    return solution if right.ndim == 2 else solution.reshape(-1)
