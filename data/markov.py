"""A language of known entropy: a Markov chain of any order over a few symbols."""

from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.settings import Markov
from schema.check import check_values

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]

_LARGEST_TABLE = 1 << 24


class MarkovLanguage:
    """x_l ~ transition[x_{l-order} .. x_{l-1}], rows drawn from a symmetric Dirichlet.

    A context is the number whose base-`states` digits are its symbols, the oldest first. S is
    the number of contexts, `transition` (S, states), `stationary` (S,); `tables` has one table
    (states^k, states) of p(next | the first k symbols of a block) for each k = 0 .. order."""

    def __init__(self, states: int, order: int, seed: int, concentration: float) -> None:
        if states < 2 or order < 1 or states ** (order + 1) > _LARGEST_TABLE:
            raise ValueError(
                f"data.states={states}, data.order={order}: needs at least 2 states, order 1 or "
                f"more and states^(order+1) <= {_LARGEST_TABLE}"
            )
        check_values(Markov, "data", concentration=concentration)
        self.states, self.order = states, order
        rng = np.random.default_rng([seed, states, order])
        self.transition: Array = rng.dirichlet([concentration] * states, size=states**order)
        self.stationary = self._solve_stationary(concentration)
        self.tables = [*(self._opening(depth) for depth in range(order)), self.transition]

    def _solve_stationary(self, concentration: float) -> Array:
        """The fixed point of one step of the chain of contexts, by power iteration."""
        shape = (self.states, -1, self.states)
        weight = np.full(len(self.transition), 1 / len(self.transition))
        for _ in range(100_000):
            # The oldest symbol leaves the context, the new one enters it.
            step = (weight[:, None] * self.transition).reshape(shape).sum(0).ravel()
            step /= step.sum()
            if np.abs(step - weight).sum() < 1e-15:
                return step
            weight = step
        raise ValueError(
            f"data.concentration={concentration}: the chain hardly mixes; choose a larger one"
        )

    def _opening(self, depth: int) -> Array:
        """p(next | the first `depth` symbols of a block), exactly: older symbols summed out."""
        joint = self.stationary.reshape(self.states ** (depth + 1), -1).sum(1)
        joint = joint.reshape(-1, self.states)  # (states^depth, states)
        return joint / joint.sum(1, keepdims=True)

    def sample(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """(count,) consecutive symbols of the stationary chain."""
        rows = np.cumsum(self.transition, axis=1)
        rows[:, -1] = 1.0
        table, states, contexts = rows.tolist(), self.states, len(rows)
        start = np.cumsum(self.stationary)
        context = min(int(np.searchsorted(start, rng.random(), side="right")), contexts - 1)
        digits = [context // states**power % states for power in reversed(range(self.order))]
        drawn = digits[:count]
        # Each draw needs the one before it: a plain loop over lists beats numpy here.
        for uniform in rng.random(count - len(drawn)).tolist():
            symbol = bisect_right(table[context], uniform)
            drawn.append(symbol)
            context = (context * states + symbol) % contexts
        return np.array(drawn, dtype=np.int64)

    def texts(self, count: int, length: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """(count, length) independent texts, each of `length` symbols of the stationary chain."""
        ends = [np.cumsum(table, axis=1) for table in self.tables]
        for rows in ends:
            rows[:, -1] = 1.0
            rows += np.arange(len(rows))[:, None]  # one increasing sequence over all rows
        context = np.zeros(count, dtype=np.int64)
        drawn = np.empty((count, length), dtype=np.int64)
        for position in range(length):
            rows = ends[min(position, self.order)]
            index = np.searchsorted(rows.ravel(), context + rng.random(count), side="right")
            symbol = np.minimum(index - context * self.states, self.states - 1)
            drawn[:, position] = symbol
            contexts = self.states ** min(position + 1, self.order)
            context = (context * self.states + symbol) % contexts
        return drawn

    def nll(self, tokens: "Tensor") -> "Tensor":
        """(B, L) exact nats of each symbol given the symbols before it in its block. Tokens that
        are no symbols (BOS, EOS, PAD) cost nothing, and the text starts anew after."""
        # Only here: the processes that tokenize import this room and have no use for torch.
        import torch

        ids = tokens.cpu().numpy()
        is_symbol = (ids >= 0) & (ids < self.states)
        positions = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
        last_break = np.maximum.accumulate(np.where(is_symbol, -1, positions), axis=1)
        depth = np.minimum(positions - last_break - 1, self.order)
        nats = np.zeros(ids.shape)
        for past, table in enumerate(self.tables):
            row, column = np.nonzero(is_symbol & (depth == past))
            context = np.zeros(len(row), dtype=np.int64)
            for back in range(past, 0, -1):
                context = context * self.states + ids[row, column - back]
            with np.errstate(divide="ignore"):
                nats[row, column] = -np.log(table[context, ids[row, column]])
        return tokens.new_tensor(nats, dtype=torch.float64)
