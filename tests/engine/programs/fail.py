"""One rank fails in the way its argument says; the others wait for it in a collective."""

import sys

import toy

from centernet.engine.communicator import create
from centernet.engine.endings import ending_all
from centernet.errors import DataError

communicator = create()
how, guilty = sys.argv[1], int(sys.argv[2])
with ending_all(communicator):
    if how == "inf":
        toy.draw_parameters()
        poison = (1, 2, 3)  # image 3 of the global batch of 4 is the last rank's
        toy.make_trainer(communicator, None, loader=toy.Loader(rank=communicator.rank, size=communicator.size, poison=poison)).fit()
    if communicator.rank == guilty:
        if how == "data":
            raise DataError("broken.jpg: not an image")
        raise ZeroDivisionError("a bug")
    communicator.barrier()
