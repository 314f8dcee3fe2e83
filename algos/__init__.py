"""One LightningModule per algorithm."""

from algos.ar import AR
from algos.base import Algorithm
from algos.d3pm import D3PM
from algos.duo import DUO
from algos.duo_distill import DUODistill
from algos.gidd import GIDD
from algos.mdlm import MDLM
from algos.sedd import SEDD, SEDDUniform
from algos.udlm import UDLM

ALGORITHMS: dict[str, type[Algorithm]] = {
    "ar": AR,
    "mdlm": MDLM,
    "d3pm": D3PM,
    "sedd": SEDD,
    "sedd_uniform": SEDDUniform,
    "udlm": UDLM,
    "duo": DUO,
    "duo_distill": DUODistill,
    "gidd": GIDD,
}
