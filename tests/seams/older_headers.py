"""Headers as an older Gantry keeps them in an index: made by version 1 of the form, with the files they are of."""

from __future__ import annotations

from base64 import b64decode
from typing import NamedTuple
from zlib import decompress

_EXPLICIT_FILE = (
    "eNrtmk8vA0EYxp+d+jMEWTQi0sQmLj1NZraLdSutaKU11dWDCw4kTiTC2ddwE1/CF/BFfBK8O8LBxdHB8/tlM8++7+zs7JwX+Fva3VZfyTjqje"
    "FBRoUIfqcchUjJOOquwJnU5Jk1zlqbm3XjTCaXM5vSr8iM6TCjrDipxFKp/ngm9KW3IL3aZy/dMNI1jY3c2qxhcpNt5WHOIorOHAbHsjffTxoy"
    "K000xtEqptEt/Gl3mLitVGPpl71pLP/Ym0aC9rZGatPMOruucSarKvgjDRv3vMbezcvzy+NFEstXDA402tcXJ/vXl1exPNnzCgOXYFZWnfhcVa"
    "pzcqe/3iH3i7JHhc2kXp5dUZ5nHWPylhn0/YFvdYa+v5tKNw7dgXTnQzqXhKhMWlL0nVRIk5IqIQFN3KniEKhJfnvHazXUpuTUFArXRBSXaSjp"
    "7Gl0BNTXgFtCCCGEEEIIIYQQQgghhBBCCCGEEEL+Aa/3cfj/qbla/v5EKaWUUkoppZRSSimllFJKKaWU0g/EXWxb"
)
_EXPLICIT_HEADER = (
    "eNrt2k9Kw0AUBvAvqX9GUYlaRKRgQBddDTNptHGntmIrrVMbu3CjLhRcKYiuvYY7ETyDF+hFehL1ZYou3HgAvx+EfHlvMplMtglKAd4A3GwCu+"
    "vwQjkGnQk8+xzA7Y9rCEI5D9prsDrRWWq0NcZkektbncphdV36JRkx60cUFSuVSCrlX/f4vvSWpFcZ95JtLV1d286MSWs60+lO5scsI28toHfW"
    "bDdcN67JqCRWmEQjn0U7dxftfmx3EoWVP9amsPprbQoxmnsKiUlSY82WwqXMGsKdKpio4xQO74fvw5frOJK36B0rNO+uz4/ubm4jubPjQvRsjH"
    "mZdWo8q1QX5Ep9P0Oul2WNIepxtdi7vNjPKibkKXPoumPXaPVd9yCRbuS7Peku+nQlCUGRlKTgJ4U+TUsq+STfDY9hfgJUJH98YlT2tRnZtRC5"
    "3UUQFakv6fJ1cApUN4AHIiIiIiIiIiIiIiIiIiIiIqJ/YPQU+f+fin+jvgC5WD3y"
)
_IMPLICIT_FILE = (
    "eNrtmsFKHEEQhv8ZNU5EZaIhBBEc8LKnpnt21PG2REVXXEd248GL8RAhpwghOectvIov4Qv4Ij6JWtNGhYBnD37fx1DVVdW9PXse6XXZ7G8MUo"
    "uHe+M6t5gqUfOljUaSWjzsLyi40tWVd8F7X7sVF1xlT3Br1h+ziak40VaCVXKrzP23x1bWmbPO4kOnXHXWc93V2vuq62pXrddx97xGO7M6OLKb"
    "NYOia1NlkWlCU3ah/qj51h8WYb3M9EkLVnn5Zpk+xz3PN8tU2COVvqx88CuZTuJ7Nl8z+bztbP+6vrq+OC1ye4d2vXl2erx79uNnbjvbyYNQaE"
    "bvHk+16myc+/cbtp6Pc2tFR2nMEnU0rmnLBs1+s7EzbAZbpXXzh/Os+yFm3y1r/2/ZeR0lT1kas0nLxmIm9fQnXbR4e6ebj3H9Pp4wCj0leZsN"
    "LTu57CxLvwEAAAAAAAAAAAAAAAAAAAAA3gA3f3P1ltoPcBAREREREREREREREREREfEedppdHQ=="
)
_IMPLICIT_HEADER = (
    "eNrt2s9KAkEcB/DvrlablGwaESK0UAdPw8y66nqTNNLIVjQPXcpDQaeEqHNv0TXqIXoBX8QnqX479geCnqDvB4b9zvx+M87qVcd18AJgsge0dm"
    "C5MsbHWTza7CDZX6zBceU57pVgVKjiSCujtY5VTRkVyTCqIfWMdORsR7piZMWXlcKvPTKTSkEq5UUlrCupqWo91jqqqlhFzdjuLmLUzWNw1um1"
    "k35Qla4w8LCEnFyoN0ouesPANEMPWyjJyt8387Bt9/zczEMgAwh1GGmjax4m9j2TUw/aTyuHt7PX2dNV4Ms7pPPO9Or8aHp948vOtHNgAqxj+e"
    "tUWc3bvs/PkHnR9jWCClybHFSQxZqkfnKStLvDpH8QStVfnCfVDZsuJaXfN+S8Cpzv5Nq0Iiljk/xquHfL8nx7x3zTzlftCSPTguOnaShp8lzZ"
    "Be6IiIiIiIiIiIiIiIiIiIiIiP6B+YNv/w31ATpnLqk="
)


class Older(NamedTuple):
    """A file, and its header in the index."""

    file: bytes
    header: bytes


OLDER = {
    "explicit": Older(decompress(b64decode(_EXPLICIT_FILE)), decompress(b64decode(_EXPLICIT_HEADER))),
    "implicit": Older(decompress(b64decode(_IMPLICIT_FILE)), decompress(b64decode(_IMPLICIT_HEADER))),
}
