"""Every random number of a run, keyed by what it is for and not by when it is drawn.

There is no global random state: a draw depends on (run seed, target, purpose, step, index) alone, so
a resumed run draws what an uninterrupted one would have, and image ``i`` is the same in any batch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # A command that is refused draws nothing, and ends before numpy is loaded.
    import numpy as np
    import torch


class Draws:
    """The draws of one run.

    The key of a draw is the first 128 bits of the SHA-256 of its fields as a JSON list, and seeds
    NumPy's counter-based Philox generator. (torch's CPU generator keeps only 32 bits of a seed, so
    hashed seeds would collide there.)
    """

    def __init__(self, run_seed: int, target: str) -> None:
        self.run_seed = int(run_seed)
        self.target = target

    def generator(self, purpose: str, step: int = 0, index: int = 0) -> np.random.Generator:
        """A fresh generator for one (purpose, step, index); asking again gives the same one anew."""
        import numpy as np

        fields = [self.run_seed, self.target, purpose, int(step), int(index)]
        digest = sha256(json.dumps(fields).encode()).digest()
        return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))

    def normal(self, purpose: str, step: int, shape: Sequence[int], index: int = 0) -> torch.Tensor:
        """Standard normal float32 values of ``shape`` on the CPU."""
        import numpy as np
        import torch

        values = self.generator(purpose, step, index).standard_normal(tuple(shape), dtype=np.float32)
        return torch.from_numpy(np.asarray(values))

    def normals(self, purpose: str, step: int, count: int, shape: Sequence[int], start: int = 0) -> torch.Tensor:
        """Draws for images ``start .. start + count - 1``: (count, *shape), one index per image."""
        import torch

        if count == 0:
            return torch.empty((0, *shape), dtype=torch.float32)
        return torch.stack([self.normal(purpose, step, shape, index) for index in range(start, start + count)])
