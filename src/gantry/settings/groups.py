"""All settings, in groups. To add one, add a field: the flag, its help and docs/settings.md are made from it.

``GANTRY_WRITE_DOCS=1 ./run test tests/docs/test_settings_page.py`` writes the page again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gantry.languages import N_
from gantry.notifications.topics import TopicRule
from gantry.settings import readers
from gantry.settings.locations import LOCATIONS
from gantry.settings.oidc import OidcSettings
from gantry.settings.setting import setting, table
from gantry.settings.table_group import TableSettings
from gantry.storage.bucket_rules import BucketRule
from gantry.storage.remote_buckets import RemoteBuckets

SQLITE = "sqlite"
"""The index is a file in the data directory."""


@dataclass(frozen=True)
class ServerSettings:
    """Server"""

    host: str = setting(
        "127.0.0.1",
        readers.HOST,
        N_("Address to listen on. Addresses other than loopback need auth = required."),
        '"192.168.0.10"',
        flag=True,
    )
    port: int = setting(
        8080, readers.number(0, 65_535), N_("Port to listen on. 0: any that is free."), "9000", flag=True
    )
    port_file: str = setting(
        "",
        readers.FILE,
        N_("File to which the port is written once the server is ready; removed when it ends."),
        '"/run/gantry/port"',
        absent=N_("none"),
        flag=True,
    )
    public_url: str = setting(
        "",
        readers.BASE_URL,
        N_("Address that clients see, if it is not the one that the server listens on."),
        '"https://dicom.example.org"',
        more=(
            "Answers have another one only where allowed_origins names it. "
            "It has no path: the API lies at the root of its host."
        ),
        absent=N_("host and port"),
        flag=True,
    )
    allowed_origins: tuple[str, ...] = setting(
        (),
        readers.ORIGINS,
        "Origins of web pages elsewhere that may use the API from a browser (CORS): viewers, say.",
        '["https://viewer.example.org"]',
        more="They may also change what is stored, and an address of this server among them stands in answers to who "
        "came by it. *: any page may read, without cookies, and change nothing where auth = none.",
        absent="none",
    )
    tls_cert: str = setting(
        "",
        readers.FILE,
        N_("Certificate chain in PEM. With it the server speaks https. Needs tls_key."),
        '"/etc/gantry/chain.pem"',
        absent=N_("none: http"),
        flag=True,
    )
    tls_key: str = setting(
        "",
        readers.FILE,
        N_("Private key of the certificate, in PEM."),
        '"/etc/gantry/key.pem"',
        absent=N_("none"),
        flag=True,
    )
    trusted_proxies: tuple[str, ...] = setting(
        (),
        readers.NETWORKS,
        "Proxies whose Forwarded or X-Forwarded-For header is trusted for the address of the client.",
        '["10.0.0.0/8"]',
        more="The audit log and limits per address use that address.",
        absent="none",
    )
    upload_min_bytes_per_second: int = setting(
        1000,
        readers.number(0, 1_000_000_000),
        "Bytes per second that a client must send of a request body, averaged over each minute after the first 10 "
        "seconds. "
        "Slower uploads are ended with 408. 0: no limit.",
        "10000",
        more="The time in which the client waits for the server does not count.",
    )
    upload_max_seconds: int = setting(
        43_200,
        readers.number(1, 31_536_000),
        "Seconds that a client may take to send a request body of any size.",
        "3600",
    )
    keep_alive_seconds: int = setting(
        75,
        readers.number(1, 86_400),
        "Seconds for which a connection without requests stays open.",
        "650",
        more="Longer than a proxy or load balancer in front keeps its own: it would send a request over a connection "
        "that is being closed, and answer 502. Many keep them for 60 seconds, Google's for 600.",
    )
    workers: int = setting(
        0,
        readers.number(0, 1024),
        N_("Processes that read and copy objects."),
        "8",
        absent=N_("one per core, at least 4 and at most 16"),
        flag=True,
    )
    runner: bool = setting(
        True,
        readers.TRUTH,
        N_("Run operations. false: other servers that share the database run those that come to this one."),
        "false",
        more="See [scale-out.md](howto/scale-out.md).",
        flag=True,
    )
    log_json: bool = setting(
        False,
        readers.TRUTH,
        N_("Write each object that fails as a line of JSON to stdout, and the server's own log as JSON to stderr."),
        "true",
        more="See [logs.md](howto/logs.md).",
        flag=True,
    )
    log_level: str = setting(
        "info",
        readers.choice("debug", "info", "warning", "error"),
        N_("The least severe lines of the server's own log."),
        '"warning"',
        flag=True,
    )
    log_requests: bool = setting(
        False,
        readers.TRUTH,
        N_("Write a line to the server's own log for each request."),
        "true",
        more="Without its query, which may name patients. See [logs.md](howto/logs.md#the-servers-own-log).",
        flag=True,
    )


@dataclass(frozen=True)
class EngineSettings:
    """Distributed engine"""

    executor: str = setting(
        "processes",
        readers.EXECUTOR,
        "What runs the batches of operations: processes, those of this server, or the address of a scheduler of Dask "
        "or of the head of a cluster of Ray (ray://HOST:10001).",
        '"dask://scheduler.example.org:8786"',
        more="See [scale-out.md](howto/scale-out.md#a-distributed-engine). It needs "
        "`pip install 'gantry-dicom[dask]'`, or `[ray]`. "
        "Whoever reaches the scheduler can run programs on its workers.",
        absent="processes: those of this server",
    )
    executor_ca: str = setting(
        "",
        readers.FILE,
        "With dask+tls://: file in PEM of the authority whose certificates are trusted.",
        '"/etc/gantry/engine-ca.pem"',
        absent="none",
    )
    executor_cert: str = setting(
        "",
        readers.FILE,
        "With dask+tls://: certificate, in PEM, of this server or worker towards the engine.",
        '"/etc/gantry/engine.pem"',
        absent="none",
    )
    executor_key: str = setting(
        "",
        readers.FILE,
        "With dask+tls://: private key of executor_cert, in PEM.",
        '"/etc/gantry/engine-key.pem"',
        absent="none",
    )
    worker_host: str = setting(
        "",
        readers.HOST,
        "With Dask: address that gantry worker listens on, which the scheduler must reach.",
        '"10.0.0.7"',
        absent="the address of the machine towards the scheduler",
    )
    worker_port: int = setting(
        0,
        readers.number(0, 65_535),
        "With Dask: port that gantry worker listens on.",
        "9100",
        absent="any that is free",
    )
    worker_contact: str = setting(
        "",
        readers.HOST,
        "With Dask: address at which others reach gantry worker, where it is not the one that it listens on. "
        "Needs worker_port.",
        '"worker-7.example.org"',
        absent="the one that it listens on",
    )


@dataclass(frozen=True)
class StorageSettings:
    """Storage"""

    data: str = setting(
        "gantry-data",
        readers.SOME_DIRECTORY,
        N_("Directory of the index and the stored instances. Only one server can use it at a time."),
        '"/srv/gantry"',
        flag=True,
    )
    database: str = setting(
        SQLITE,
        readers.DATABASE,
        N_(
            "Where the index is: sqlite, a file in data, or the address of a database of PostgreSQL, which several "
            "servers can use where blobs is a bucket."
        ),
        '"postgresql://gantry@db.example.org/gantry"',
        more="It needs `pip install 'gantry-dicom[postgresql]'`; see [postgresql.md](howto/postgresql.md). The address "
        "may hold a password, so it is never shown.",
        absent=N_("sqlite"),
        flag=True,
        secret=True,
    )
    buckets: str = setting(
        "",
        readers.DIRECTORY,
        N_("Directory of the buckets: gs://NAME is the directory NAME in it."),
        '"/srv/buckets"',
        absent=N_("DATA/buckets"),
        flag=True,
    )
    bucket_rules: tuple[BucketRule, ...] = setting(
        (),
        readers.RULES,
        "The buckets that imports and exports may read and write.",
        '[{name = "incoming-*", read = true}]',
        more="See [access.md](howto/access.md#buckets).",
        absent="all",
    )
    remote_buckets: tuple[RemoteBuckets, ...] = setting(
        (),
        readers.REMOTE_BUCKETS,
        "The buckets that are reached at a provider of object storage, and how. Every other gs://NAME is a directory.",
        '[{name = "incoming", provider = "s3", endpoint = "https://minio.example.org:9000"}]',
        more="See [buckets.md](howto/buckets.md).",
        absent="none",
    )
    blobs: str = setting(
        "",
        readers.BLOBS,
        "Bucket, and prefix in it, for the bytes of stored instances. An entry of remote_buckets must reach it.",
        '"s3://hospital-dicom/gantry"',
        more="The index stays in data. See [buckets.md](howto/buckets.md#stored-instances-in-a-bucket).",
        absent="the directory DATA/blobs",
    )
    storage_tiers: Mapping[str, str] = table(
        readers.TIERS,
        "Tiers of the provider for storage classes, with blobs. Instances of the other classes have the tier of the "
        "bucket.",
        '{NEARLINE = "STANDARD_IA"}',
        more="In the environment: `NEARLINE=STANDARD_IA,…`. A class in it is a place of its own in the bucket.",
        absent="none",
    )
    storage_classes: Mapping[str, str] = table(
        readers.DIRECTORIES,
        "Directories of storage classes. Instances of the other classes are stored in data.",
        '{ARCHIVE = "/mnt/archive"}',
        more="In the environment: `ARCHIVE=/mnt/archive,…`. See [storage-classes.md](howto/storage-classes.md).",
        absent="none",
    )
    layout: str = setting(
        "segments",
        readers.choice("segments", "files"),
        "How new instances lie on the disk. segments: small ones share files of 64 MiB. files: each has a file of its "
        "own. What is stored already stays readable.",
        '"files"',
        more="See [storage-on-disk.md](howto/storage-on-disk.md).",
    )
    retention_days: int = setting(
        30,
        readers.number(0, 36_500),
        N_("Days for which finished operations and their error logs are kept. 0: never removed."),
        "90",
        flag=True,
    )
    changes_days: int = setting(
        7,
        readers.number(0, 36_500),
        "Days for which the change feed keeps what happened to instances. 0: no change feed.",
        "30",
        more="Servers that share an index must agree on whether there is one. See "
        "[change-feed.md](howto/change-feed.md).",
    )


@dataclass(frozen=True)
class ApiSettings:
    """API"""

    locations: tuple[str, ...] = setting(
        LOCATIONS,
        readers.LOCATIONS,
        "Locations in which datasets may be created.",
        '["lisbon", "lyon"]',
        absent="the regions of the Cloud Healthcare API",
    )
    strict_search: bool = setting(
        False,
        readers.TRUTH,
        N_("Search as the Cloud Healthcare API does: only its attributes, no wildcards and lists, only its answers."),
        "true",
        more="See [conformance.md](conformance.md).",
        flag=True,
    )
    max_operations: int = setting(
        1000,
        readers.number(0, 1_000_000),
        "Operations of one project that may wait or run at a time. Further ones are refused with 429. 0: no limit.",
        "100",
    )
    topics: tuple[TopicRule, ...] = setting(
        (),
        readers.TOPICS,
        "Where messages of topics go that notificationConfig and notificationConfigs of DICOM stores name: Pub/Sub, an "
        "emulator of it, or a webhook. Other topics are refused.",
        '[{topic = "projects/p/topics/dicom", pubsub = "https://pubsub.googleapis.com"}]',
        more="In the environment as JSON. See [notifications.md](howto/notifications.md).",
        absent="none",
    )
    accept_without_effect: tuple[str, ...] = setting(
        (),
        readers.WITHOUT_EFFECT,
        "Fields of resources that are accepted and stored although this server does nothing with them.",
        '["notificationConfig", "streamConfigs"]',
        more="See [below](#what-would-have-no-effect).",
        absent="none",
    )


@dataclass(frozen=True)
class AccessSettings:
    """Access"""

    auth: str = setting(
        "none",
        readers.choice("none", "required"),
        N_("none: callers are not authenticated. required: each call needs a credential and a permission."),
        '"required"',
        more="See [access.md](howto/access.md).",
        flag=True,
    )
    admins: tuple[str, ...] = setting(
        (),
        readers.MEMBERS,
        N_("Members with all permissions on all projects."),
        '["user:ada@example.org", "group:pacs-admins"]',
        absent=N_("none"),
        flag=True,
    )
    custom_roles: Mapping[str, tuple[str, ...]] = table(
        readers.ROLES,
        "Roles of your own, with their permissions.",
        '{"projects/p/roles/importer" = ["healthcare.dicomStores.import"]}',
        more="Only in the settings file.",
        absent="none",
    )
    tokens_file: str = setting(
        "",
        readers.FILE,
        N_("File of access tokens, one on each line, with the member it stands for."),
        '"/etc/gantry/tokens"',
        more="See [access.md](howto/access.md#tokens).",
        absent=N_("none"),
        flag=True,
    )
    session_hours: int = setting(
        12, readers.number(1, 8784), "Hours for which a browser stays signed in.", "8"
    )  # 8784: a leap year
    failed_sign_ins_per_minute: int = setting(
        30,
        readers.number(0, 65_535),
        "Wrong credentials that one address may send to /token and /sign-in per minute. Further attempts are refused "
        "with 429. 0: no limit.",
        "10",
    )
    audit_log: str = setting(
        "",
        readers.FILE,
        N_("File to which each call is written as a line of JSON: who called which method on what."),
        '"/var/log/gantry/audit.jsonl"',
        more="See [access.md](howto/access.md#audit-log).",
        absent=N_("none"),
        flag=True,
    )
    audit_required: bool = setting(
        False,
        readers.TRUTH,
        "Refuse calls with 503 while the audit log cannot be written. Needs audit_log.",
        "true",
        more="Each call then has two lines, one before it acts.",
    )


GROUPS = (ServerSettings, EngineSettings, StorageSettings, TableSettings, ApiSettings, AccessSettings, OidcSettings)
"""In the order of docs/settings.md."""
