"""Newton steps of the interior-point method: normal equations with the scenarios eliminated."""

from __future__ import annotations

import numpy as np

from qtm.portfolio.fast.band import Task
from qtm.portfolio.fast.cholesky import Cholesky
from qtm.portfolio.fast.iterate import Residuals, State
from qtm.risk.measures import Floats


class Broken(Exception):  # noqa: N818 - the end of the road, not an error: the iterate before it is the answer
    """The normal equations can no longer be factorised."""


class Newton:
    """The normal equations of one iteration, factorised once and solved for predictor and corrector."""

    def __init__(self, task: Task, state: State) -> None:
        self.task, self.state = task, state
        size, count, parts = task.size, task.symbols, len(task.parts)
        pull = state.dual / state.primal
        self.iu = 1.0 / pull[state.places.u]
        self.D = 1.0 / (1.0 / pull[state.places.s] + self.iu)
        self.G = self.iu * self.D
        matrix = np.zeros((size + parts, size + parts))
        root = np.sqrt(self.D)
        share = self.G * task.most
        stretch = task.sums(task.most**2 * self.iu * (1.0 - self.G))
        self.firm = stretch + state.p / state.tau
        self.bends = np.zeros((parts, size + parts))
        for rank, (part, piece) in enumerate(zip(task.parts, task.pieces, strict=True)):
            scaled = np.multiply(part.returns, root[piece, None], out=task.scaled[rank])
            matrix[:count, :count] += scaled.T @ scaled
            matrix[size + rank, :count] = self.D[piece] @ part.returns
            bend = self.bends[rank]
            bend[:count] = part.linear - share[piece] @ part.returns
            bend[size - task.levels + part.level] = -1.0
        ranks = np.arange(parts)
        matrix[size + ranks, size + ranks] = task.sums(self.D)
        self.bends[ranks, size + ranks] = task.rooms - task.sums(share)
        matrix += (self.bends.T / self.firm) @ self.bends
        few = task.G.shape[0]
        if few:
            matrix[:size, :size] += (task.G.T * pull[state.places.q][:few]) @ task.G
        diagonal = matrix.reshape(-1)[:: size + parts + 1]
        self._tie(matrix, diagonal, pull[state.places.q])
        diagonal[task.low] += pull[state.places.low]
        diagonal[task.high] += pull[state.places.high]
        self.factor = _factorised(matrix)
        self.wide = np.hstack((task.E, np.zeros((task.E.shape[0], parts))))
        if task.E.shape[0]:
            self.through = self.factor.solve(self.wide.T)
            self.schur = self.wide @ self.through

    def _tie(self, matrix: Floats, diagonal: Floats, pull: Floats) -> None:
        """Add the rows that tie the distances to the weights."""
        count = self.task.symbols
        own = np.arange(count)
        for block, (below, above) in enumerate(self.task.ties(pull), start=1):
            far = own + block * count
            diagonal[own] += below + above
            diagonal[far] += below + above
            matrix[far, own] += above - below

    def step(self, residuals: Residuals, targets: Floats) -> State:
        """The Newton step towards complementarity products `targets`, in the order of `State.primal`."""
        task, state, places = self.task, self.state, self.state.places
        size, count = task.size, task.symbols
        over = targets / state.dual
        u_over, s_over = over[places.u], over[places.s]
        held_back = self.iu * residuals.u
        rho = s_over - u_over + held_back + residuals.s
        d_rho = self.D * rho
        known = task.sums(task.most * (u_over - held_back + self.G * rho))
        e0 = -residuals.p + known + over[places.p]
        dl0 = (targets[places.q] - state.lam * residuals.q) / state.q
        r_l, r_h = targets[places.low], targets[places.high]
        right = np.empty(size + len(task.parts))
        right[:size] = -residuals.x + task.rows_back(dl0)
        right[:count] += task.shares(d_rho)
        right[task.low] += r_l / state.vl
        right[task.high] -= r_h / state.vh
        right[size:] = -residuals.a + task.sums(d_rho)
        right -= (e0 / self.firm) @ self.bends
        move = self.factor.solve(right)
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
        primal, dual = np.empty(targets.shape[0]), np.empty(targets.shape[0])
        primal[places.u] = u_over - self.iu * dyu
        primal[places.s] = s_over - state.s / state.y * dy
        primal[places.p] = (targets[places.p] - state.p * d_tau) / state.tau
        primal[places.q] = g_dx + residuals.q
        primal[places.low] = at_low = dx[task.low]
        at_high = dx[task.high]
        primal[places.high] = -at_high
        dual[places.u], dual[places.s], dual[places.p] = dyu, dy, d_tau
        dual[places.q] = dl0 - state.lam / state.q * g_dx
        dual[places.low] = (r_l - state.zl * at_low) / state.vl
        dual[places.high] = (r_h + state.zh * at_high) / state.vh
        return State(dx, da, d_gam, primal, dual, places)


def _factorised(matrix: Floats) -> Cholesky:
    """The factor of `matrix`, with the least ridge that makes it exist."""
    diagonal = matrix.reshape(-1)[:: matrix.shape[0] + 1]
    own = diagonal.copy()
    size = float(own.mean())
    if not np.isfinite(size):
        raise Broken
    for ridge in (1e-14, 1e-11, 1e-8):
        diagonal[:] = own + ridge * (size if ridge > 1e-12 else np.maximum(own, 1e-6 * size))
        try:
            return Cholesky(matrix)
        except np.linalg.LinAlgError:
            continue
    raise Broken
