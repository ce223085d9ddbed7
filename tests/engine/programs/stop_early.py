"""Train the toy where rank 1 alone sees no gain, and print after how many epochs each rank has ended."""

import toy

from centernet.engine.communicator import create
from centernet.engine.early_stopping import EarlyStoppingConfig
from centernet.engine.endings import ending_all

communicator = create()
with ending_all(communicator):
    toy.draw_parameters()
    trainer = toy.make_trainer(
        communicator,
        None,
        num_epochs=6,
        validate_every=1,
        metrics=lambda epoch: {"AP": 0.1 if communicator.rank else 0.1 * epoch},
        early_stopping=EarlyStoppingConfig(patience=2),
    )
    epochs = communicator.gather(trainer.fit().progress.epoch)
    if communicator.rank == 0:
        print(*epochs)
