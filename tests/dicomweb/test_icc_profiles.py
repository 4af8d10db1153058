"""Colour spaces of rendered pictures: ``iccprofile`` (PS3.18 §8.3.5.1.5)."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from gantry.dicom import frame_profiles
from gantry.dicom.buffers import Held, Readable
from gantry.dicom.bulk import BulkReader
from gantry.dicom.encapsulation import EncodedFrames
from gantry.dicom.icc_profiles import write_profile
from gantry.dicom.image_source import ImagePixel, Source, read_encoded_frames
from gantry.dicom.views import View, rendered
from gantry.errors import FailedPrecondition
from tests.dicomweb.instances import instance, packaged, uids_of
from tests.dicomweb.test_rendered_parts import PNG, STUDY, A
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.web import Web, parts_of, uid_path

RENDERED = f"{uid_path(*A)}/rendered"
COLOURS = np.random.default_rng(3).integers(0, 256, (8, 8, 3), np.uint8)
SPACES = {"srgb": "sRGB", "adobergb": "Adobe RGB (1998)", "rommrgb": "ROMM RGB", "displayp3": "Display P3"}


def colour(**more: object) -> bytes:
    kind = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    return instance(A, Rows=8, Columns=8, PixelData=COLOURS.tobytes(), **kind, **more)


def get(web: Web, accept: str = "image/png", **parameters: str) -> Image.Image:
    response = web.get(RENDERED, accept, params=parameters)
    assert response.status_code == 200, response.text
    return Image.open(BytesIO(response.content))


def stored(gantry: Gantry, data: bytes) -> Web:
    web = Web(gantry)
    web.stored(data)
    return web


def describe(picture: Image.Image) -> str:
    profile = ImageCms.ImageCmsProfile(BytesIO(picture.info["icc_profile"]))
    return ImageCms.getProfileDescription(profile).strip()


def scanner() -> bytes:
    """Another one than the server would take by itself: with the curve of one space and the primaries of another."""
    return write_profile("displayp3").replace(b"mntr", b"scnr")


def change(at: int, data: bytes) -> bytes:
    """A profile with other bytes in its header (ICC.1:2001-04 §6.1)."""
    profile = write_profile("srgb")
    return profile[:at] + data + profile[at + len(data) :]


BAD = {
    "no profile": b"no profile",
    "cut off": write_profile("srgb")[:200],
    "CMYK": write_profile("srgb").replace(b"RGB ", b"CMYK"),
    "rendering intent 9": change(64, b"\0\0\0\x09"),
    "device link": change(12, b"link"),
    "named colours": change(12, b"nmcl"),
    "abstract": change(12, b"abst"),
    "no curves": write_profile("srgb").replace(b"rTRC", b"xTRC"),
}


@pytest.mark.parametrize("accept", ["image/png", "image/jpeg"])
@pytest.mark.parametrize("name", SPACES)
def test_the_profile_of_a_colour_space_is_in_the_picture(gantry: Gantry, name: str, accept: str) -> None:
    web = stored(gantry, colour())
    picture = get(web, accept, iccprofile=name)
    assert describe(picture) == SPACES[name]
    picture.load()
    assert picture.size == (8, 8)


@pytest.mark.parametrize("name", SPACES)
def test_the_pixels_are_in_that_space(gantry: Gantry, name: str) -> None:
    """Back in sRGB they are what was stored: to a level or two, and in colours that need no more than 8 bits."""
    web = stored(gantry, colour())
    picture = get(web, iccprofile=name)
    back = ImageCms.profileToProfile(picture, BytesIO(picture.info["icc_profile"]), ImageCms.createProfile("sRGB"))
    assert np.abs(np.asarray(back).astype(int) - COLOURS).mean() < 2
    assert np.array_equal(np.asarray(picture), COLOURS) == (name == "srgb")


def test_srgb_is_what_others_call_srgb() -> None:
    mine = ImageCms.profileToProfile(
        Image.fromarray(COLOURS), BytesIO(write_profile("srgb")), ImageCms.createProfile("sRGB")
    )
    assert np.abs(np.asarray(mine).astype(int) - COLOURS).max() <= 1


def test_yes_is_the_profile_of_the_instance(gantry: Gantry) -> None:
    web = stored(gantry, colour(ICCProfile=scanner()))
    picture = get(web, iccprofile="yes")
    assert picture.info["icc_profile"] == scanner()
    assert np.array_equal(np.asarray(picture), COLOURS)
    changed = get(web, iccprofile="srgb")
    assert describe(changed) == "sRGB" and not np.array_equal(np.asarray(changed), COLOURS)
    same = get(web, iccprofile="displayp3")
    assert np.abs(np.asarray(same).astype(int) - COLOURS).max() <= 1


def test_the_profile_of_an_optical_path(gantry: Gantry) -> None:
    path = Dataset()
    path.ICCProfile, path.OpticalPathIdentifier = scanner(), "1"
    web = stored(gantry, colour(OpticalPathSequence=Sequence([path])))
    assert get(web, iccprofile="yes").info["icc_profile"] == scanner()


# Several optical paths ------------------------------------------------------------------------------------------------


def path_of(identifier: str, name: str) -> Dataset:
    made = Dataset()
    made.OpticalPathIdentifier, made.ICCProfile = identifier, write_profile(name)
    return made


def group_of(identifier: str) -> Dataset:
    """The functional groups of a frame, or of all."""
    group, reference = Dataset(), Dataset()
    reference.OpticalPathIdentifier = identifier
    group.OpticalPathIdentificationSequence = Sequence([reference])
    return group


def slide(frames: int, **more: object) -> bytes:
    """Frames of one colour, and three optical paths."""
    paths = Sequence([path_of("1", "srgb"), path_of("2", "adobergb"), path_of("3", "srgb")])
    kind = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    pixels = COLOURS.tobytes() * frames
    more = {"OpticalPathSequence": paths, **more}
    return instance(A, Rows=8, Columns=8, NumberOfFrames=frames, PixelData=pixels, **kind, **more)


def spaces_of_frames(web: Web, frames: int) -> list[str]:
    found = []
    for number in range(1, frames + 1):
        path = f"{uid_path(*A)}/frames/{number}/rendered"
        own, srgb = (
            Image.open(BytesIO(web.get(path, "image/png", params={"iccprofile": name}).content))
            for name in ("yes", "srgb")
        )
        found.append(describe(own))
        assert np.array_equal(np.asarray(srgb), COLOURS) == (describe(own) == "sRGB")
    together = parts_of(web.get(f"{uid_path(*A)}/rendered", PNG, params={"iccprofile": "yes"}))
    assert [describe(Image.open(BytesIO(part.data))) for part in together] == found
    return found


def test_a_frame_has_the_profile_of_its_own_optical_path(gantry: Gantry) -> None:
    frames = Sequence([group_of("2"), group_of("1"), group_of("2"), Dataset()])
    shared = Sequence([group_of("3")])
    web = stored(gantry, slide(4, PerFrameFunctionalGroupsSequence=frames, SharedFunctionalGroupsSequence=shared))
    assert spaces_of_frames(web, 4) == ["Adobe RGB (1998)", "sRGB", "Adobe RGB (1998)", "sRGB"]


def test_all_frames_have_the_optical_path_that_they_share(gantry: Gantry) -> None:
    web = stored(gantry, slide(2, SharedFunctionalGroupsSequence=Sequence([group_of("2")])))
    assert spaces_of_frames(web, 2) == ["Adobe RGB (1998)"] * 2


def test_a_full_tiling_has_the_frames_of_each_path_together(gantry: Gantry) -> None:
    """PS3.3 §C.7.6.17.3"""
    web = stored(gantry, slide(6, DimensionOrganizationType="TILED_FULL"))
    assert spaces_of_frames(web, 6) == ["sRGB"] * 2 + ["Adobe RGB (1998)"] * 2 + ["sRGB"] * 2


@pytest.mark.parametrize("groups", [{}, {"SharedFunctionalGroupsSequence": Sequence([group_of("9")])}])
def test_an_unknown_optical_path_is_refused_where_their_profiles_differ(
    gantry: Gantry, groups: dict[str, object]
) -> None:
    web = stored(gantry, slide(2, **groups))
    refused(web.get(RENDERED, params={"iccprofile": "srgb"}), "FAILED_PRECONDITION", "optical path")
    assert web.get(RENDERED, "image/png").status_code == 200


def test_optical_paths_with_the_same_profile_need_no_name(gantry: Gantry) -> None:
    same = Sequence([path_of("1", "adobergb"), path_of("2", "adobergb")])
    web = stored(gantry, slide(2, OpticalPathSequence=same))
    assert spaces_of_frames(web, 2) == ["Adobe RGB (1998)"] * 2


def test_optical_paths_that_are_too_long_to_be_read_are_not_taken_for_none() -> None:
    long = path_of("1", "adobergb")
    long.ICCProfile = write_profile("adobergb").ljust(17 << 20, b"\0")
    data = slide(1, OpticalPathSequence=Sequence([long]))
    with pytest.raises(FailedPrecondition, match="OpticalPathSequence"):
        list(rendered(Held(data), View("image/png", icc_profile="srgb"), [0], lambda: None))


@pytest.mark.parametrize("name", ["native", "JPEG"])
def test_the_profile_of_an_instance_is_read_once_for_all_frames(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As are the places of its frames: a clip has thousands."""
    data = (
        packaged("examples_ybr_color.dcm")
        if name == "JPEG"
        else slide(30, PerFrameFunctionalGroupsSequence=Sequence([group_of("2")] * 30))
    )
    made = {"readers": 0, "tables": 0}

    class Counted(BulkReader):
        def __init__(self, opened: Readable) -> None:
            made["readers"] += 1
            super().__init__(opened)

    def count_tables(source: Source, image: ImagePixel) -> EncodedFrames:
        made["tables"] += 1
        return read_encoded_frames(source, image)

    monkeypatch.setattr(frame_profiles, "BulkReader", Counted)
    monkeypatch.setattr(frame_profiles, "read_encoded_frames", count_tables)
    pictures = list(rendered(Held(data), View("image/png", icc_profile="yes"), range(6), lambda: None))
    assert len(pictures) == 6 and made == {"readers": 1, "tables": int(name == "JPEG")}


def test_yes_without_a_profile_is_srgb(gantry: Gantry) -> None:
    web = stored(gantry, colour())
    picture = get(web, iccprofile="yes")
    assert describe(picture) == "sRGB" and np.array_equal(np.asarray(picture), COLOURS)


@pytest.mark.parametrize("name", ["yes", *SPACES])
def test_greys_become_rgb(gantry: Gantry, name: str) -> None:
    web = stored(gantry, instance(A, Rows=8, Columns=8, PixelData=COLOURS[:, :, 0].tobytes()))
    picture = get(web, iccprofile=name)
    assert picture.mode == "RGB" and picture.info["icc_profile"]
    pixels = np.asarray(picture).astype(int)
    assert np.abs(pixels - pixels[:, :, :1]).max() <= 1


def test_no_profile_by_default_and_with_no(gantry: Gantry) -> None:
    web = stored(gantry, colour(ICCProfile=scanner()))
    for parameters in ({}, {"iccprofile": "no"}):
        picture = get(web, **parameters)
        assert "icc_profile" not in picture.info and np.array_equal(np.asarray(picture), COLOURS)


@pytest.mark.parametrize("text", ["", "maybe", "srgb,no", "cmyk"])
def test_other_values_are_refused(gantry: Gantry, text: str) -> None:
    web = stored(gantry, colour())
    refused(web.get(RENDERED, params={"iccprofile": text}), "INVALID_ARGUMENT", "iccprofile")


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("name", ["yes", "srgb", "adobergb"])
def test_a_damaged_profile_is_named_and_costs_no_other_picture(gantry: Gantry, bad: bytes, name: str) -> None:
    web = stored(gantry, colour(ICCProfile=bad + bytes(len(bad) % 2)))
    refused(web.get(RENDERED, params={"iccprofile": name}), "FAILED_PRECONDITION", "iccprofile=no")
    assert get(web, iccprofile="no").size == (8, 8)
    web.stored(instance((STUDY, f"{STUDY}.8", f"{STUDY}.8.1"), Rows=8, Columns=8, PixelData=bytes(64)))
    response = web.get(f"{uid_path(STUDY)}/rendered", PNG, params={"iccprofile": name})
    assert len(parts_of(response)) == 1 and A[2] in response.headers["warning"]


def test_the_profile_in_a_stored_jpeg(gantry: Gantry) -> None:
    """Otherwise, the one that is embedded in the stored compressed representation (§8.3.5.1.5)."""
    data = packaged("SC_rgb_jpeg_dcmtk.dcm")
    web = stored(gantry, data)
    path = f"{uid_path(*uids_of(data))}/rendered"
    response = web.get(path, "image/png", params={"iccprofile": "yes"})
    assert describe(Image.open(BytesIO(response.content))) == "sRGB"


def test_it_counts_in_the_entity_tag(gantry: Gantry) -> None:
    web = stored(gantry, colour())
    names = ("no", "yes", *SPACES)
    tags = [web.get(RENDERED, params={"iccprofile": name}).headers["etag"] for name in names]
    assert len(set(tags)) == len(names)
    assert web.get(RENDERED).headers["etag"] == tags[0]


def test_a_long_profile_is_in_several_segments(gantry: Gantry) -> None:
    """ICC.1:2001-04 §B.4: 64 kB each at most."""
    size = 150_000
    profile = (size.to_bytes(4, "big") + scanner()[4:]).ljust(size, b"\0")
    web = stored(gantry, colour(ICCProfile=profile))
    assert get(web, "image/jpeg", iccprofile="yes").info["icc_profile"] == profile
