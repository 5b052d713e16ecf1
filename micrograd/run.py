"""The course's training run: three classes of points, a small network, AdamW."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

DATA_SETS = {"simple": "gen_data", "circles": "gen_data_circles", "yinyang": "gen_data_yinyang"}


class CourseRun:
    """The run of the LLM101n course, with any engine that has micrograd's public names.

    Args:
        engine: `micrograd.compiled`, `micrograd.pure` or `micrograd.pytorch`.
        hidden: how many neurons each hidden layer has.
        points: how many points the data set has.
        data: which data set: "simple", "circles" or "yinyang".
        seed: of the generator that makes the points and then the weights.

    Attributes:
        model, optimizer: the network and its AdamW.
        train, val, test: the data set's parts.
        losses: of the latest run: the pairs (step, loss) by "train" and "val".
        backward: a function that adds the training loss's gradients and returns its number, a
            float. It may be set, as to a `Trainer`'s.
    """

    def __init__(
        self,
        engine: ModuleType,
        hidden: Iterable[int] = (16,),
        points: int = 100,
        data: str = "simple",
        seed: int = 42,
    ) -> None:
        self.engine = engine
        random = engine.RNG(seed)
        generate = getattr(engine, DATA_SETS[data])
        self.train, self.val, self.test = generate(random, n=points)
        self.model = engine.MLP(2, [*hidden, 3], rng=random)
        self.optimizer = engine.AdamW(
            self.model.parameters(), lr=1e-1, betas=(0.9, 0.95), eps=1e-8, weight_decay=1e-4
        )
        self.losses: dict[str, list[tuple[int, float]]] = {"train": [], "val": []}
        self.backward: Callable[[], float] = self._backward

    def _backward(self) -> float:
        loss = self.engine.mean_cross_entropy(self.model, self.train)
        loss.backward()
        return float(loss.data)

    def lines(self, steps: int = 100) -> Iterator[str]:
        """Train for so many steps, and yield the lines to print as they come."""
        train, val = self.losses["train"], self.losses["val"] = [], []
        for step in range(steps):
            if step % 10 == 0:
                val_loss = self.engine.eval_split(self.model, self.val)
                val.append((step, val_loss))
                yield f"step {step}, val loss {val_loss:.6f}"
            loss = self.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            train.append((step, loss))
            yield f"step {step}, train loss {loss}"
