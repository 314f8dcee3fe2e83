"""One LightningModule per algorithm."""

from algos.ar import AR
from algos.gidd import GIDD
from algos.mdlm import MDLM

ALGORITHMS = {"ar": AR, "gidd": GIDD, "mdlm": MDLM}
