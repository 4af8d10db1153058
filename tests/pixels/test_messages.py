"""What a caller is told about bytes that cannot be read: own words. What a library said is in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import imagecodecs
import numpy as np
import pytest

from gantry.dicom import codecs, encoders, forms
from gantry.dicom.codecs import Frame, decode_frame
from gantry.dicom.image_source import ImagePixel
from gantry.dicom.representations import contain_errors
from gantry.errors import FailedPrecondition, Internal, InvalidArgument, StatusError
from tests.pixels.instances import image, parts, refusal, transcoded

LIBRARY_TEXT = "/srv/somewhere/secret.py line 7: the library failed"
GREY = ImagePixel(8, 8, 1, 1, 8, 8, 7, 0, "MONOCHROME2", 0)


class Panic(BaseException):
    """As a codec written in Rust raises them."""


def fail_with(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


ERRORS = [
    ValueError(LIBRARY_TEXT),
    Panic(LIBRARY_TEXT),
    RuntimeError(LIBRARY_TEXT),
    OSError(2, LIBRARY_TEXT, "/srv/somewhere/secret.py"),
]


@pytest.mark.parametrize("error", ERRORS)
def test_a_decoder_that_fails(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setitem(codecs.DECODERS, forms.JPEG_LS, fail_with(error))
    with pytest.raises(InvalidArgument) as caught:
        decode_frame(forms.JPEG_LS, b"", GREY)
    assert caught.value.message == "a frame does not decode: its bitstream is damaged"
    assert caught.value.__suppress_context__ and caught.value.__cause__ is None
    assert LIBRARY_TEXT in caplog.text


def test_of_several_frames_the_damaged_one_is_named() -> None:
    frame = bytes(imagecodecs.jpegls_encode(np.zeros((8, 8), np.uint8)))
    data = image([frame, frame[:-2], frame], 8, 8, syntax=forms.JPEG_LS, frames=3)
    assert refusal(data, forms.PNG) == ("frame 2 ends before the end marker of its bitstream: it is truncated")


@pytest.mark.parametrize("error", ERRORS)
def test_an_encoder_that_fails(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(encoders.ENCODERS, forms.JPEG_LS, fail_with(error))
    with pytest.raises(Internal) as caught:
        encoders.encode_frame(forms.JPEG_LS, Frame(np.zeros((8, 8), np.uint8), GREY))
    assert caught.value.message == f"a frame could not be encoded to transfer syntax {forms.JPEG_LS}"
    assert LIBRARY_TEXT in caplog.text


@pytest.mark.parametrize("error", ERRORS)
def test_anything_else_that_fails(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    def make() -> Iterator[bytes]:
        yield b"one"
        raise error

    made = contain_errors(make())
    assert next(made) == b"one"
    with pytest.raises(StatusError) as caught:
        next(made)
    assert caught.value.message == "the instance cannot be read: its header or its pixels are damaged"
    assert caught.value.__cause__ is None
    assert LIBRARY_TEXT in caplog.text


@pytest.mark.parametrize("table", ["DECODERS", "ENCODERS"])
def test_memory_that_is_not_there_is_no_damage(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = image(bytes(64), 8, 8)
    encoded = transcoded(data, forms.JPEG_LS)
    where = codecs.DECODERS if table == "DECODERS" else encoders.ENCODERS
    monkeypatch.setitem(where, forms.JPEG_LS, fail_with(MemoryError()))
    with pytest.raises(FailedPrecondition, match="needs more memory than there is"):
        if table == "DECODERS":
            parts(encoded, forms.PNG)
        else:
            transcoded(data, forms.JPEG_LS)


def test_a_codec_that_is_missing() -> None:
    with pytest.raises(FailedPrecondition, match=r"not installed: `pip install 'gantry-dicom\[pixels\]'`$"):
        list(contain_errors(map(fail_with(ImportError(LIBRARY_TEXT, name="somewhere", path=LIBRARY_TEXT)), [1])))


def test_a_jpeg_that_cannot_be_recompressed(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    frame = bytes(imagecodecs.jpeg8_encode(np.zeros((8, 8), np.uint8)))
    monkeypatch.setattr(imagecodecs, "jpegxl_encode_jpeg", fail_with(RuntimeError(LIBRARY_TEXT)))
    with pytest.raises(FailedPrecondition) as caught:
        encoders.recompress_jpeg(frame)
    assert caught.value.message == "a frame has a kind of JPEG that cannot be recompressed to JPEG XL"
    assert LIBRARY_TEXT in caplog.text
