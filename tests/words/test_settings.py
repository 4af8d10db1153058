"""Settings: where they come from and which are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gantry.access_wiring import open_access
from gantry.errors import InvalidArgument
from gantry.settings.loading import Settings, load_settings
from gantry.settings.locations import LOCATIONS
from gantry.settings.setting import settings_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gantry.toml"
    path.write_text('port = 1001\ndata = "from-file"\nlocations = ["here", "there"]\n')
    return path


def test_nothing_said_gives_the_defaults() -> None:
    assert load_settings({}, {}) == Settings()
    assert Settings().url == "http://127.0.0.1:8080"


def test_flags_win_over_the_environment_and_that_over_the_file(file: Path) -> None:
    environ = {"GANTRY_PORT": "1002", "GANTRY_DATA": "from-environment"}
    assert load_settings({}, {}, str(file)).port == 1001
    assert load_settings({}, environ, str(file)).port == 1002
    assert load_settings({"port": 1003}, environ, str(file)).port == 1003
    mixed = load_settings({"port": 1003, "data": None}, {"GANTRY_DATA": "from-environment"}, str(file))
    assert (mixed.port, mixed.data, mixed.locations) == (1003, "from-environment", ("here", "there"))


def test_a_list_in_the_environment_is_separated_by_commas() -> None:
    assert load_settings({}, {"GANTRY_LOCATIONS": "here,there"}).locations == ("here", "there")


def test_an_unknown_setting_of_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gantry.toml"
    path.write_text("prot = 1\nzoo = 2\n")
    with pytest.raises(InvalidArgument, match="prot, zoo"):
        load_settings({}, {}, str(path))


@pytest.mark.parametrize("text", ["port = ", "port: 1", "\xff"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gantry.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidArgument, match=r"gantry\.toml"):
        load_settings({}, {}, str(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"none\.toml"):
        load_settings({}, {}, str(tmp_path / "none.toml"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org", "", "127.0.0.1.example.org"])
def test_a_public_address_is_refused(host: str) -> None:
    with pytest.raises(InvalidArgument, match="host"):
        load_settings({"host": host}, {})


@pytest.mark.parametrize("host", ["192.168.0.1", "example.org"])
def test_a_public_address_is_taken_where_callers_are_known(host: str) -> None:
    assert load_settings({"host": host, "auth": "required"}, {}).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_an_address_that_is_none_needs_a_public_one(host: str) -> None:
    with pytest.raises(InvalidArgument, match="public_url"):
        load_settings({"host": host, "auth": "required"}, {})
    load_settings({"host": host, "auth": "required", "public_url": "https://dicom.example.org"}, {})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"auth": "maybe"}, "auth"),
        ({"tokens_file": "x"}, "auth = required"),
        ({"admins": "user:a@b.c"}, "auth = required"),
        ({"oidc_issuer": "https://example.org"}, "auth = required"),
        ({"tls_cert": "x"}, "tls_key"),
        ({"tls_key": "x"}, "tls_cert"),
        ({"custom_roles": "x"}, "custom_roles"),
    ],
)
def test_settings_of_access_that_make_no_sense(settings: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        load_settings(settings, {})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tokens_file": "/none"}, "/none"),
        ({"tokens_file": "/none", "admins": ("bob",)}, "'bob' is not a member"),
        ({"oidc_issuer": "http://example.org", "oidc_audience": "x"}, "oidc_issuer"),
        ({"oidc_issuer": "https://example.org"}, "oidc_audience"),
        ({"tokens_file": "/none", "custom_roles": {"roles/x": ()}}, "projects/PROJECT/roles/NAME"),
        ({"tokens_file": "/none", "custom_roles": {"projects/p/roles/x": ("healthcare.x",)}}, "no permission"),
    ],
)
def test_access_that_cannot_be_opened(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        open_access(Settings(auth="required", **settings))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_loopback_addresses_are_taken(host: str) -> None:
    assert load_settings({"host": host}, {}).host == host


@pytest.mark.parametrize("port", [0, 1, 65535, "8080"])
def test_ports(port: int | str) -> None:
    assert load_settings({"port": port}, {}).port == int(port)


@pytest.mark.parametrize("port", [-1, 65536, "http", "", "80.5", 80.5])
def test_other_ports_are_refused_by_name(port: object) -> None:
    with pytest.raises(InvalidArgument, match="port"):
        load_settings({"port": port}, {})


@pytest.mark.parametrize("name", ["port", "workers"])
def test_numbers_of_the_environment_are_checked_too(name: str) -> None:
    with pytest.raises(InvalidArgument, match=name):
        load_settings({}, {f"GANTRY_{name.upper()}": "many"})


def test_addresses_are_built_from_the_public_url_when_there_is_one() -> None:
    assert load_settings({"host": "::1", "port": 1}, {}).url == "http://[::1]:1"
    assert load_settings({"public_url": "https://dicom.example.org/"}, {}).url == "https://dicom.example.org"


def test_buckets_lie_below_the_data_unless_told_otherwise(tmp_path: Path) -> None:
    assert load_settings({"data": str(tmp_path)}, {}).buckets_path == tmp_path / "buckets"
    assert load_settings({"data": "x", "buckets": str(tmp_path)}, {}).buckets_path == tmp_path


CLASSES = {"ARCHIVE": "/mnt/cheap", "COLDLINE": "/mnt/slow"}


def test_storage_classes_have_directories_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "gantry.toml"
    path.write_text('[storage_classes]\nARCHIVE = "/mnt/cheap"\nCOLDLINE = "/mnt/slow"\n')
    environ = {"GANTRY_STORAGE_CLASSES": "ARCHIVE=/mnt/cheap,COLDLINE=/mnt/slow"}
    assert load_settings({}, {}, str(path)).storage_classes == CLASSES
    assert load_settings({}, environ).storage_classes == CLASSES
    assert load_settings({}, environ | {"GANTRY_STORAGE_CLASSES": ""}, str(path)).storage_classes == {}
    assert load_settings({}, {}).storage_classes == {}


def test_directories_of_storage_classes_do_not_depend_on_where_the_server_starts() -> None:
    found = load_settings({}, {"GANTRY_STORAGE_CLASSES": "ARCHIVE=cheap"}).storage_classes
    assert found == {"ARCHIVE": str(Path.cwd() / "cheap")}


@pytest.mark.parametrize(
    "value",
    ["ARCHIVE", "archive=/a", "COLD=/a", "=/a", "ARCHIVE=", {"ARCHIVE": 1}, {"ARCHIVE": ""}, {"main": "/a"}, 7, []],
)
def test_other_storage_classes_are_refused_by_name(value: object) -> None:
    with pytest.raises(InvalidArgument, match="storage_classes"):
        load_settings({"storage_classes": value}, {})


# https://cloud.google.com/healthcare-api/docs/regions
REGIONS = """
    northamerica-northeast1 northamerica-northeast2 us-central1 us-east1 us-east4 us-west1 us-west2 us-west3
    southamerica-east1 asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1
    asia-southeast1 asia-southeast2 australia-southeast1 europe-north1 europe-west2 europe-west3 europe-west4
    europe-west6 me-west1 me-central1 me-central2 us eu
"""


def test_every_region_of_the_service_is_a_location() -> None:
    assert set(REGIONS.split()) - set(LOCATIONS) == set()


def test_locations_are_whole_names() -> None:
    assert [name for name in LOCATIONS if name.startswith("-") or name.endswith("-")] == []
    assert len(set(LOCATIONS)) == len(LOCATIONS)


REQUIRED = {"auth": "required"}


@pytest.mark.parametrize("value", ["", " ", []])
@pytest.mark.parametrize("name", ["admins", "trusted_proxies"])
def test_an_empty_list_is_a_list_of_nothing(name: str, value: object) -> None:
    """Compose files set variables that have no value."""
    assert getattr(load_settings(REQUIRED | {name: value}, {}), name) == ()
    if isinstance(value, str):
        assert getattr(load_settings(REQUIRED, {f"GANTRY_{name.upper()}": value}), name) == ()
        assert load_settings({}, {f"GANTRY_{name.upper()}": value}) == Settings()


@pytest.mark.parametrize("blank", ["", " ", "\t"])
def test_a_variable_without_a_value_counts_as_not_set(file: Path, blank: str) -> None:
    """But where no value is a value: an empty list takes the place of the one in the file."""
    environ = {f"GANTRY_{name.upper()}": blank for name in settings_of(Settings)}
    assert load_settings({}, environ) == Settings()
    kept = load_settings({}, environ, str(file))
    assert (kept.port, kept.data, kept.locations) == (1001, "from-file", ("here", "there"))
    file.write_text('admins = ["user:a@b.c"]\nauth = "required"\n')
    assert load_settings({}, environ, str(file)).admins == ()


@pytest.mark.parametrize("directory", ["", " "])
def test_a_flag_without_a_directory_is_refused(directory: str) -> None:
    """``--data "$DATA"`` where DATA is not set: the instances would lie in the directory that the shell is in."""
    with pytest.raises(InvalidArgument, match=r"^data: .* is not the path of a directory"):
        load_settings({"data": directory}, {})


def test_parts_of_a_list_may_have_spaces_around_them() -> None:
    found = load_settings(REQUIRED, {"GANTRY_ADMINS": "user:a@b.c, group:x"})
    assert found.admins == ("user:a@b.c", "group:x")


NUMBERS = {
    "port": (0, 65_535),
    "workers": (0, 1024),
    "retention_days": (0, 36_500),
    "max_operations": (0, 1_000_000),
    "session_hours": (1, 8784),
    "failed_sign_ins_per_minute": (0, 65_535),
}
NO_NUMBERS: list[Any] = [
    "",
    " ",
    "1_0",
    " 80",
    "80 ",
    "+80",
    "-1",
    "0x50",
    "08",
    "80.0",
    "8e1",
    "٨٠",
    "many",
    "1" * 5000,
]
NO_NUMBERS += [True, False, 80.0, [], {}, [80]]


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(name: str) -> None:
    least, most = NUMBERS[name]
    for value in (least, most):
        assert getattr(load_settings({name: value}, {}), name) == value
        assert getattr(load_settings({}, {f"GANTRY_{name.upper()}": str(value)}), name) == value
    for wrong in [least - 1, most + 1, str(most + 1), *NO_NUMBERS]:
        with pytest.raises(InvalidArgument) as refused:
            load_settings({name: wrong}, {})
        message = refused.value.message
        assert message.startswith(f"{name}: ") and f"is not a whole number from {least} to {most}" in message
        assert len(message) < 300


@pytest.mark.parametrize("name", ["log_json", "strict_search", "oidc_require_email_verified"])
def test_truth(name: str) -> None:
    for value, expected in ((True, True), ("on", True), ("TRUE", True), ("0", False), ("no", False), (False, False)):
        assert getattr(load_settings({name: value}, {}), name) is expected
    for wrong in ("", "maybe", " true", 2, [], "truefalse"):
        with pytest.raises(InvalidArgument, match=f"^{name}: .* is not true or false$"):
            load_settings({name: wrong}, {})


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("host", "127.0.0.1:80", "an IP address or the name of a host"),
        ("host", "[::1]", "an IP address or the name of a host"),
        ("host", "http://x", "an IP address or the name of a host"),
        ("host", " 127.0.0.1", "an IP address or the name of a host"),
        ("host", 7, "an IP address or the name of a host"),
        ("public_url", "https://example.org/path", "without a path"),
        ("public_url", "https://example.org?x=1", "without a path"),
        ("public_url", "https://example.org/?", "without a path"),
        ("public_url", "https://example.org/#a", "without a path"),
        ("public_url", "https://user:secret@example.org", "without a path"),
        ("public_url", "https://example.org:port", "without a path"),
        ("public_url", "https://example.org:99999", "without a path"),
        ("public_url", "example.org", "without a path"),
        ("public_url", "ftp://example.org", "without a path"),
        ("public_url", "https://", "without a path"),
        ("public_url", "https://example.org ", "without a path"),
        ("public_url", "https://exa\nmple.org", "without a path"),
        ("public_url", "https://[::1", "without a path"),
        ("oidc_issuer", "http://example.org", "an https address"),
        ("oidc_issuer", "https://example.org/?a", "an https address"),
        ("oidc_issuer", "login.example.org", "an https address"),
        ("oidc_jwks_uri", "http://example.org/keys", "an https address"),
        ("oidc_email_claim", "", "the name of a claim"),
        ("oidc_groups_claim", "a\nb", "the name of a claim"),
        ("oidc_audience", "a\r\nb", "text of one line"),
        ("auth", "maybe", "none or required"),
        ("auth", "", "none or required"),
        ("auth", True, "none or required"),
        ("admins", "ada@example.org", "a list of members"),
        ("admins", "allUsers", "a list of members"),
        ("admins", "user:a@b.c,", "a list of members"),
        ("admins", [7], "a list of members"),
        ("admins", {"user:a@b.c": 1}, "a list of members"),
        ("trusted_proxies", "proxy", "a list of addresses or networks"),
        ("trusted_proxies", "10.0.0.1/8", "a list of addresses or networks"),
        ("trusted_proxies", "10.0.0.0/8,,::1", "a list of addresses or networks"),
        ("locations", "", "a list of names"),
        ("locations", "a/b", "a list of names"),
        ("locations", "..", "a list of names"),
        ("data", "a\0b", "the path of a directory"),
        ("database", "index.sqlite", "sqlite or the address"),
        ("database", "", "sqlite or the address"),
        ("database", "sqlite:///x", "sqlite or the address"),
        ("database", "postgres://host/name", "sqlite or the address"),
        ("database", "postgresql://host", "sqlite or the address"),
        ("database", "postgresql://host:port/name", "sqlite or the address"),
        ("database", "postgresql://host/a\nb", "sqlite or the address"),
        ("database", 7, "sqlite or the address"),
        ("tokens_file", 5, "the path of a file"),
        ("custom_roles", {"projects/p/roles/x": "healthcare.datasets.get"}, "a table of roles"),
        ("bucket_rules", "x", "a list of tables"),
        ("bucket_rules", {"name": "x"}, "a list of tables"),
    ],
)
def test_odd_values_are_refused_and_what_is_wanted_is_said(name: str, value: object, wanted: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        load_settings(REQUIRED | {name: value}, {})
    assert refused.value.message.startswith(f"{name}: ") and wanted in refused.value.message


@pytest.mark.parametrize("url", ["https://dicom.example.org", "http://127.0.0.1:80/", "https://[2001:db8::1]:8443", ""])
def test_public_addresses(url: str) -> None:
    assert load_settings({"public_url": url}, {}).public_url == url


def test_issuers_on_this_machine_need_no_tls() -> None:
    settings = REQUIRED | {"oidc_audience": "x", "oidc_issuer": "http://127.0.0.1:8443/realms/r"}
    assert load_settings(settings, {}).oidc_issuer == settings["oidc_issuer"]


def test_a_secret_is_in_no_message() -> None:
    with pytest.raises(InvalidArgument) as refused:
        load_settings({}, {"GANTRY_OIDC_CLIENT_SECRET": "the\nword"})
    assert refused.value.message == "oidc_client_secret: the value is not text of one line"
    assert "hidden" not in repr(Settings(oidc_client_secret="hidden"))  # noqa: S106


@pytest.mark.parametrize("name", ["tokens_file", "tls_cert", "tls_key"])
@pytest.mark.parametrize("path", ["none", "."])
def test_files_that_cannot_be_read_are_named_at_the_start(tmp_path: Path, name: str, path: str) -> None:
    pair = {"tls_cert": str(tmp_path / "good"), "tls_key": str(tmp_path / "good")} if name.startswith("tls") else {}
    (tmp_path / "good").touch()
    with pytest.raises(InvalidArgument, match=name) as refused:
        load_settings(REQUIRED | pair | {name: str(tmp_path / path)}, {})
        open_access(load_settings(REQUIRED | pair | {name: str(tmp_path / path)}, {}))
    assert str(tmp_path) in refused.value.message and "Errno" not in refused.value.message


def test_a_certificate_that_is_none_is_named_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "cert").write_text("x")
    with pytest.raises(InvalidArgument, match="must be a certificate chain in PEM"):
        load_settings({"tls_cert": str(tmp_path / "cert"), "tls_key": str(tmp_path / "cert")}, {})


def test_the_address_of_a_database_is_never_shown() -> None:
    settings = load_settings({}, {"GANTRY_DATABASE": "postgresql://me:hidden@host:5432/name?sslmode=require"})
    assert settings.database.startswith("postgresql://me:") and "hidden" not in repr(settings)
    with pytest.raises(InvalidArgument) as caught:
        load_settings({"database": "postgresql://me:hidden@host:x/name"}, {})
    assert "hidden" not in caught.value.message
