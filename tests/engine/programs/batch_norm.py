"""Forward and backward of synchronised batch norm over this rank's part of 8 images, and the same by NNabla over all of them."""

import nnabla as nn
import nnabla.functions as F
import numpy as np

from centernet.engine.batch_norm import synchronised
from centernet.engine.communicator import create
from centernet.engine.endings import ending_all

communicator = create()
rng = np.random.default_rng(3)
images, weights = (rng.normal(1.5, 2.0, size=(8, 3, 5, 4)).astype(np.float32) for _ in range(2))
starts = [rng.normal(1.0, 0.2, size=(1, 3, 1, 1)).astype(np.float32) for _ in range(4)]


def variables():
    return [nn.Variable.from_numpy_array(values, need_grad=position < 2) for position, values in enumerate(starts)]


def run(normalise, part):
    x = nn.Variable.from_numpy_array(images[part], need_grad=True)
    parameters = variables()
    with nn.auto_forward(False):
        y = normalise(x, *parameters)
        total = F.sum(y * y * nn.Variable.from_numpy_array(weights[part]))
    for variable in (x, *parameters[:2]):
        variable.g = 0
    for _ in range(2):  # twice: running statistics go on
        total.forward()
    y.persistent = True
    total.forward()
    total.backward(1.0, clear_buffer=True)
    return {"y": y.d, "dx": x.g}, {"dbeta": parameters[0].g, "dgamma": parameters[1].g}, {"mean": parameters[2].d, "var": parameters[3].d}


def close(found, expected, what):
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4, err_msg=what)


with ending_all(communicator):
    share = 8 // communicator.size
    part = slice(communicator.rank * share, (communicator.rank + 1) * share)
    own = synchronised(communicator)
    found = run(lambda *inputs: own(*inputs, axis=1, decay=0.9, epsilon=1e-5), part)
    whole = run(lambda *inputs: F.batch_normalization(*inputs, axes=[1], decay_rate=0.9, eps=1e-5, batch_stat=True), slice(0, 8))
    for name, values in found[0].items():
        close(values, whole[0][name][part], name)
    for name, values in found[1].items():
        close(communicator.sum(values), whole[1][name], name)
    for name, values in found[2].items():
        close(values, whole[2][name], name)
    if communicator.rank == 0:
        print("equal")
