"""Train the toy; after step 2 a bit of one rank's parameter turns over. The comparison after step 4 must see it."""

import sys

import nnabla as nn
import toy

from centernet.engine.communicator import create

communicator = create()
guilty = int(sys.argv[1])


class Loader(toy.Loader):
    def epoch(self, epoch, start_batch=0):
        for number, batch in enumerate(super().epoch(epoch, start_batch)):
            if (number, communicator.rank) == (2, guilty):
                weights = nn.get_parameters()["two/conv/W"].d
                weights.view("uint32")[0, 0, 0, 0] ^= 1
            yield batch


toy.draw_parameters()
loader = Loader(rank=communicator.rank, size=communicator.size)
toy.make_trainer(communicator, None, loader=loader, check_every=2).fit()
if communicator.rank == 0:
    print("equal")
