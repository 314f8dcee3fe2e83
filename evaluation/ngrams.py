"""N-grams by number, so that equal ones can be counted for any n and any ids."""

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


def joined(left: Ids, right: Ids) -> Ids:
    """A number for each pair (left, right), both of one shape and >= 0: equal for equal pairs, in
    their order, dense from 0 and so below the number of pairs. Joining a token at a time numbers
    n-grams of any n without a product that does not fit."""
    pairs = left * (right.max(initial=0) + 1) + right
    return np.unique(pairs, return_inverse=True)[1].reshape(pairs.shape)
