"""What modules say that the server shares with the commands, in English, so that ``messages`` can find it again and
translate it. ``tests/languages/test_shared_texts.py`` compares it with what these modules say, and names what misses.
"""

from __future__ import annotations

from gantry.languages import N_

SHARED = (
    # names.py
    N_(
        "{text} cannot be part of a name: names are not empty, not '.' or '..', and hold no slash and no "
        "character that cannot be shown"
    ),
    N_("{uid} is no UID, which has 1 to 64 {signs}"),
    N_("{field}: {text} must be 1 to 256 letters, digits, '_', '-' or '.', and neither '.' nor '..'"),
    N_("{text} is not {shape}"),
    # storage/uris.py
    N_("{text} is not a Cloud Storage address: write gs://BUCKET/OBJECT"),
    N_("{text}: wildcards are allowed in the object name only, not in the bucket name"),
    N_("{text}: {name} is not a bucket name (lower-case letters, digits, '-', '_' and '.')"),
    N_("the object name is not valid Unicode text"),
    N_("{text}: an object name cannot hold a NUL character"),
    N_("{text} is not the name of a bucket"),
    N_("{text}: a destination cannot hold wildcards"),
    N_("{text} names no object: use {bucket}/** to import the whole bucket"),
    N_("the object name is longer than {max_key_bytes} {unit}"),
    N_(
        "{text}: ** must stand at the end of the path, with no other wildcard; only a file name extension "
        "such as .dcm may follow it"
    ),
    # server.py
    N_(
        "database, blobs: `gantry run` runs the operations of servers that share a database of PostgreSQL "
        "and a bucket; set both, and runner to true"
    ),
    N_("this server runs operations and takes no requests; send them to another one"),
    # listening.py
    N_("host {host}, port {port}: {reason}"),
    N_("stop the program that listens there, or choose another --host or --port"),
    N_("tls_cert {certificate}, tls_key {key}: are not a certificate and its key, both in PEM form"),
    # port_file.py
    N_("port_file {name}: cannot be written: {error}"),
    # config.py
    N_("data, buckets: {path} cannot be made: {error}"),
    N_("{data} is in use by another gantry server"),
    N_("stop it or choose another --data directory"),
    N_("{data} is no directory"),
    N_("name the data directory of a server"),
    N_("{lock} cannot be opened: {error}"),
    N_("the blobs of {data} lie in {directories}, which the settings do not say"),
    N_("name the settings file of the server with --config"),
    N_(
        "changes_days: there is {a} change feed in the index, which other servers use ({others}), and that "
        "cannot be changed while they run"
    ),
    N_("give all servers the same changes_days; to turn the feed on or off, stop all of them first"),
    N_("blobs: the settings name no bucket"),
    # generations.py
    N_("{path} is not complete: a rebuild has not ended"),
    N_("run `gantry storage rebuild` again"),
    N_(
        "{path} and {place} do not belong together: the directory has no mark, so it is not the one that "
        "holds the blobs of this index; is it mounted?"
    ),
    N_("mount it, or put it back from a backup with its file {place}.generation, which stands beside it"),
    N_(
        "{place} has no {place2}.generation beside it, so nobody can tell whether {path} is an older index "
        "than the one of the blobs there"
    ),
    N_("put that object back, or, where DATA is known to be the newest, the file of this name in DATA/blobs"),
    N_("{path} and {place} do not belong together: the blobs there are those of another index"),
    N_("put back the index or the blobs that belong to the other, or move one of them away; {rebuild}"),
    N_("{name} {state}, but {where} holds stored instances"),
    N_("put the index back from a backup; or {rebuild}; or, to begin anew, move {where} away"),
    N_("{values} do not belong together: they are the blobs of different indexes"),
    N_("name directories that were used together"),
    N_("the index is older than the blobs beside it, and cannot go on {running}"),
    N_("stop all servers, put back the newest database, and start one of them before the others"),
    N_("storage_tiers: the index has the places {places}, not {places2}, and that cannot be changed {running}"),
    N_("give all servers the same storage_tiers; to change them, stop all servers first"),
    # index_copies.py
    N_("FROM and TO: one is a data directory, the other the address of a database"),
    N_("write it like postgresql://gantry@db.example.org/gantry"),
    N_("{name}: the value is not {wanted}"),
    N_("{data} holds no index"),
    N_("{data} and {name} do not belong together: the instances of that index are elsewhere"),
    N_("name the data directory of the server that has used it"),
    N_("{file} cannot be renamed: {error}"),
    # index_wiring.py
    N_("database: {file} is an index already, of SQLite"),
    N_("`gantry index copy` moves it to PostgreSQL; else leave the setting out"),
    N_("database: the index of {parent} is in PostgreSQL, and a copy to a file has not ended"),
    N_("run `gantry index copy` again with the same FROM and TO"),
    N_("database: the index of {parent} is in PostgreSQL, and the settings do not say where"),
    N_("name the settings file of the server with --config, or set GANTRY_DATABASE"),
    N_("name the directory of a server with --data"),
    N_("{note} cannot be written: {error}"),
    N_("{note} cannot be removed: {error}"),
    # bucket_wiring.py
    N_("{bucket}/{prefix}: here this server keeps the bytes of its stored instances"),
    N_("name another bucket, or a directory of this one that has none of them"),
    N_("bucket {address} does not exist"),
    N_("the settings of this server name no bucket {address}"),
    N_("bucket {address} is a link to files of the server itself"),
    N_("remove the link"),
    N_("remote_buckets: {name} needs libraries: pip install 'gantry-dicom[{provider}]'"),
    N_("remote_buckets: {name} has profile = {profile}; the files of Amazon's tools have {none}"),
    N_(
        "name one that is there: in ~/.aws of the user that the server runs as, or in the files that "
        "AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name"
    ),
    # access_wiring.py
    N_("service accounts and OpenID Connect need a library: pip install 'gantry-dicom[auth]'"),
    # engine_wiring.py
    N_("executor: {executor} needs libraries that are not installed: `pip install 'gantry-dicom[{name}]'`"),
    N_("{address}: the settings of a worker have no key for this bucket, and those of the server do"),
    N_("give the settings of the workers the same entries in remote_buckets"),
    # key_wiring.py
    N_("the index is not open yet"),
    N_("{directory}: its secret cannot be read; the log has the reason"),
    N_("{directory}: its keys cannot be moved to PostgreSQL: {error}"),
    # notification_wiring.py
    N_("topics: {topic} needs a library that is not installed: `pip install 'gantry-dicom[gcs]'`"),
    N_("topic {topic}: there are no credentials of Google that can be used"),
    N_("set credentials_file of its entry in topics, or GOOGLE_APPLICATION_CREDENTIALS"),
    # table_wiring.py
    N_("bigquery: needs a library that is not installed: `pip install 'gantry-dicom[tables]'`"),
    N_("bigquery: {root} cannot be made: {error}"),
    N_("bigquery_projects: needs libraries that are not installed: `pip install 'gantry-dicom[bigquery]'`"),
    N_(
        "bigquery_projects: rows wait in the data directory, which workers of an engine do not have; leave executor out"
    ),
    # settings/own_bucket.py
    N_("storage_tiers: has no effect without blobs, the bucket whose tiers they are"),
    N_("blobs: no entry of remote_buckets reaches {bucket}"),
    N_('write one with name = "{bucket}", provider and credentials: docs/howto/buckets.md'),
    N_(
        "blobs: the entry of remote_buckets for {bucket} has storage_class = {storage_class}, whose "
        "objects cannot be read"
    ),
    N_("leave it out there, and name a class for it in storage_tiers"),
    N_("storage_tiers: {tier} of {storage_class} is not {wanted}"),
    N_("storage_classes, storage_tiers: {both} is in both; it can only have one place"),
    N_(
        "layout: files is of directories: in a bucket small instances always share objects, because each "
        "object costs a request"
    ),
    N_("leave layout or blobs out"),
    # settings/directories.py
    N_(
        "storage_classes: {storage_class} is {root}, in the directory of the buckets {buckets}: stored "
        "instances would be objects of a bucket"
    ),
    N_("choose a directory outside of it"),
    N_("buckets: {buckets} lies in {root}, among the stored instances of {storage_class}"),
    N_("choose another directory"),
    N_("bigquery: {name} is {root}, which lies among the server's own files"),
    N_("storage_classes: {storage_class} is {root}, which lies among {what}"),
    N_("data: {data} lies in {root}, among the stored instances of {storage_class}"),
    N_("data: {path} cannot be used: the server's user has no permission"),
    N_("make it, and all that lies in it, the server's own (chown)"),
    N_("data: the path of the directory has {longest} bytes; SQLite needs one of {most_path_bytes} or fewer"),
    N_("choose a directory with a shorter path"),
    N_("buckets: {buckets} is the data directory, whose own files would be objects of buckets"),
    N_(
        "data: {data} lies in the directory of the buckets {buckets}: the server's own files would be "
        "objects of a bucket"
    ),
    N_("choose directories that do not lie in each other"),
    N_("buckets: {buckets} lies in {name}, among the server's own files"),
    # settings/readers.py
    N_("a whole number from {least} to {most}"),
    N_("remote_buckets: is not a list of tables in the settings file: write [[remote_buckets]]"),
    N_("storage_tiers: {most_shown} is no storage class; these are {known}"),
    N_("storage_tiers: {each} needs the name of a tier in quotes, not {tier}"),
    N_("true or false"),
    N_("text of one line"),
    N_("the name of a claim"),
    N_("the path of a file"),
    N_("the path of a directory"),
    N_("sqlite or the address of a database, like postgresql://gantry@db.example.org/gantry"),
    N_("an IP address or the name of a host"),
    N_("an http or https address without a path, like https://dicom.example.org"),
    N_("an https address without a query, like https://login.example.org/realms/r"),
    N_("an https address"),
    N_("a list of origins, like https://viewer.example.org, or *"),
    N_("a list of addresses or networks, like 10.0.0.0/8"),
    N_("a list of names made of letters, digits, - and _"),
    N_("a list of members, each {kinds}"),
    N_("a list of tables; in the environment as JSON"),
    N_("a table of roles, each with a list of permissions, in the settings file"),
    N_("a list of tables in the settings file"),
    N_(
        "the address of a bucket, s3://NAME, or of a part of one, s3://NAME/PREFIX, with a prefix of "
        "letters, digits, -, _, = and . between single slashes"
    ),
    N_("a table, or CLASS=TIER,…, with classes of {blobstorageclass}"),
    N_("a table, or CLASS=DIRECTORY,…, with classes of {blobstorageclass}"),
    N_(
        "a table, or PROJECT.DATASET=DIRECTORY,…, with projects or datasets of BigQuery, and for each a "
        "directory of its own whose path has none of *?[]{{}}"
    ),
    N_("a list of names"),
    N_("a list of names out of {without_effect}"),
    # settings/loading.py
    N_("{path}: cannot be read: {error}"),
    N_("{path}: cannot be read as TOML{place_of}"),
    N_("{path}: cannot be read as TOML: it is not UTF-8 text"),
    N_("{path}: unknown setting {unknown}"),
    N_("auth: an emulator authenticates nobody; use `gantry serve`"),
    N_(
        "host: {host} is not a loopback address, and with auth = none callers are not authenticated. Set "
        "auth = required, or listen on 127.0.0.1 behind a proxy that authenticates"
    ),
    N_("auth: is none, so tokens are not checked; set auth = required"),
    N_("audit_required: needs audit_log, the file to write to"),
    N_("oidc_client_id: needs oidc_issuer, at which browsers sign in"),
    N_("oidc_audience: is needed with oidc_issuer: tokens for other audiences are refused"),
    N_("public_url: is needed with host {host}, which is not an address that clients can use"),
    N_("tls_cert, tls_key: are needed together"),
    N_(
        "runner: is false, and no other server could run the operations of this one: that needs database, "
        "the address of a database of PostgreSQL, and blobs, a bucket for all storage classes"
    ),
    N_("executor: dask+tls:// needs executor_ca, executor_cert and executor_key"),
    N_("executor_ca, executor_cert, executor_key: need dask+tls:// in executor"),
    N_("worker_host, worker_port, worker_contact: need dask:// or dask+tls:// in executor"),
    N_("worker_contact: needs worker_port, which others reach there"),
    N_("{name} {path}: cannot be read: {reason}"),
    N_(
        "tls_cert {tls_cert}, tls_key {tls_key}: must be a certificate chain in PEM and the private key of "
        "its first certificate, without a password"
    ),
    # settings/setting.py
    N_("{name}: {shown} is not {wanted}"),
    # emulator/tokens.py
    N_("no such page; tokens are given at POST /token"),
    # emulator/emulator.py
    N_("no such page; POST /emulator/reset leads back to the first state"),
    N_("an operation does not stop; nothing was deleted"),
    # emulator/seeds.py
    N_("--seed {text}: has no directories DATASET/STORE; write --seed DATASET/STORE={text2}"),
    N_("--seed {path}: is not a directory"),
    N_("cannot be read: {error}"),
    # emulator/credentials.py
    N_("{path}: cannot be written: {error}"),
    # emulator/command.py
    N_("database, blobs: an emulator keeps what is stored in a directory; use `gantry serve`"),
    N_("--location {location}: is not one of {locations}"),
    N_("--bucket {wrong}: is not the name of a bucket"),
    N_("{data} holds the data of a server that is no emulator, which a reset would delete"),
    N_("name another directory with --data, or none"),
    N_("data {data}: cannot be used: {error}"),
    # checking/headers.py
    N_("its header pack {id} is missing"),
    N_("header pack {id}: {what}"),
    N_("no instance has the header {number} in it"),
    # checking/uploads.py
    N_("parts of the upload {upload}, which nobody continues, take room here"),
    # checking/files.py
    N_("no row names this file, and nothing is going to remove it"),
    # checking/contents.py
    N_("no table of contents lists {key}"),
    N_("the table of contents says that {key} is {uids}"),
    N_("no row names these bytes of {uids}"),
    N_("no table of contents lists {unlisted} bytes of it"),
    # checking/bucket_rights.py
    N_("what was written comes back with other bytes"),
    N_(
        "the server does not know If-None-Match: in a bucket of stored instances (blobs) a write whose "
        "answer is lost may be carried out late, and bring back bytes that were deleted meanwhile"
    ),
    # generation_checks.py
    N_("the index is not complete: a rebuild has not ended"),
    N_("store {number} is {name}, which a rebuild would not know"),
    # index/check_damage.py
    N_("a text in its row is no UTF-8"),
    # index/check_requests.py
    N_("its start time is not the {said} of its attributes"),
    N_("{row} in series_request {what}"),
    N_("series_request names it, but there is no such series"),
    # index/check_rows.py
    N_("there is {what}"),
    N_("its place in its segment begins inside of the instance before it"),
    N_("another instance has the same file"),
    # index/check_terms.py
    N_("there are texts for searches, but no such study"),
    N_("its texts for searches are not those of its row"),
    N_("its modalities are not those of its series"),
    N_("{table} names it, but there is no such study"),
)
