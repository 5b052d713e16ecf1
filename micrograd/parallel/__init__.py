"""Training with many workers, with the same bits for any number of them.

    from micrograd.parallel import Trainer, local_client

    with local_client(4) as client:
        trainer = Trainer(model, train, client)
        for step in range(100):
            loss = trainer.backward()  # in the place of mean_cross_entropy(...) and its backward()
            optimizer.step()
            optimizer.zero_grad()

The examples are divided into shards, whose number has nothing to do with that of the workers. In
each step every shard gets the parameters' numbers and gives back its loss and gradients, which
are added up in the order of the shards. So the order of all additions is fixed, whichever worker
computes what, and however often.

A shard is a Dask task whose result stays on its worker and is never read: the model's copy there,
the examples, and their recorded loss. The tasks of a step depend on it, so that the scheduler runs
them where the shard is, and makes it anew elsewhere if that worker has died. `docs/parallel.md` has
what is sent, what fails and how, and how far it scales. distributed is used only with a client.
"""

from __future__ import annotations

from .trainer import Trainer
from .workers import local_client

__all__ = ["Trainer", "local_client"]
