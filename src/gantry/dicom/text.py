"""Text in the character sets of DICOM (PS3.3 §C.12.1.1.2, PS3.5 §6.1). Nothing here raises."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache

Decode = Callable[[bytes], str]
"""From the bytes of a value to its text; what cannot be decoded becomes U+FFFD."""

_SIMPLE = {"": "latin-1", "ISO_IR 6": "latin-1", "ISO_IR 100": "latin-1", "ISO_IR 192": "utf-8"}


@lru_cache(maxsize=200)
def decoders(character_set: str) -> tuple[Decode, Decode]:
    """For text, and for names, whose parts each begin anew; ``character_set`` as its element holds it."""
    values = [value.strip() for value in character_set.split("\\")]
    if len(values) == 1 and values[0] in _SIMPLE:
        simple = _with_codec(_SIMPLE[values[0]])
        return simple, simple
    return _with_pydicom(values)


def _with_codec(codec: str) -> Decode:
    def decode(data: bytes) -> str:
        return data.decode(codec, "replace")

    return decode


def _with_pydicom(values: list[str]) -> tuple[Decode, Decode]:
    """Code extensions: escape sequences, reset by delimiters (PS3.5 §6.1.2.5.3)."""
    from pydicom.charset import convert_encodings, decode_bytes
    from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            encodings = convert_encodings(values)
        except (LookupError, ValueError):
            return _with_codec("latin-1"), _with_codec("latin-1")

    def decoder(delimiters: set[int]) -> Decode:
        def decode(data: bytes) -> str:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    return decode_bytes(data, encodings, delimiters).encode("utf-8", "replace").decode()
                except (LookupError, ValueError):
                    return data.decode("ascii", "replace")

        return decode

    def decode_name(data: bytes) -> str:
        return "=".join(map(of_names, data.split(b"=")))

    of_names = decoder(PN_DELIMS)
    return decoder(TEXT_VR_DELIMS), decode_name
