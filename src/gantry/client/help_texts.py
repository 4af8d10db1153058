"""What the help of each command says below its flags."""

from __future__ import annotations

from gantry.languages import N_, _


class Epilog:
    """Sentences, then commands to copy, which are the same in every language, then more sentences. ``N_`` marks the
    sentences; their lines are as long as they are shown."""

    def __init__(self, about: str = "", examples: str = "", more: str = "") -> None:
        self._about, self._examples, self._more = about, examples, more

    def write(self) -> str:
        title = _("examples:")
        examples = f"{title}\n{self._examples}" if self._examples else ""
        return "\n".join(filter(None, (self._about and _(self._about), examples, self._more and _(self._more))))


EPILOG = Epilog(
    examples="""\
  gantry serve --data ./gantry-data
  gantry stores create radiology/main
  gantry import 'gs://incoming/2024/**.dcm' --store radiology/main
  gantry operations errors 7 --dataset radiology
  gantry export gs://outgoing/2024 --store radiology/main
""",
    more=N_("""\
exit codes:
  0    everything succeeded
  1    the operation finished, and some or all objects failed
  2    the command line, a setting or the request is wrong; nothing was started
  3    the server cannot be reached
  4    the operation itself failed (its bucket does not exist, say), or was cancelled
  5    the server failed, or has too much to do
  124  the time of --timeout has passed; the operation continues
  130  Ctrl-C; a running operation continues

With --json an error is printed on stdout, too: {"error": {"code": 404, "message": "…", "status": "NOT_FOUND"}}

environment:
  GANTRY_SERVER, GANTRY_TOKEN, GANTRY_PROJECT, GANTRY_LOCATION, GANTRY_STORE   the defaults of the flags
  GANTRY_CONFIG, GANTRY_HOST, GANTRY_PORT, GANTRY_DATA, GANTRY_BUCKETS, …      the settings of `gantry serve`
  LANGUAGE, LC_ALL, LC_MESSAGES, LANG   the language of messages: English, Portuguese or French
"""),
)

SERVE = Epilog(
    N_("""\
A setting may come from a flag, the environment (GANTRY_PORT) or a TOML file (port = 8080); the first of these wins.
"""),
    """\
  gantry serve
  gantry serve --data /srv/gantry --buckets /srv/buckets --port 9000
  gantry serve --config /etc/gantry.toml
""",
)

EMULATOR = Epilog(
    N_("""\
Listens on any address and answers to any name, as containers need it, and authenticates nobody: never use it with
patient data. What is stored lies in a directory that is removed at the end, or in --data. POST /emulator/reset leads
back to what it began with. The other settings are those of `gantry serve`.
"""),
    """\
  gantry emulator --bucket incoming --store radiology/main
  gantry emulator --port 0 --port-file port --seed radiology/main=tests/files
  eval "$(gantry emulator credentials emulator.json)"
""",
)

CREDENTIALS = Epilog(
    N_("""\
Prints variables of the environment for a shell. The file holds no secret.
"""),
    """\
  eval "$(gantry emulator credentials emulator.json)"
""",
)

WAIT_READY = Epilog(
    N_("""\
Exit code: 0 it answers and is ready, 3 it does not in time.
"""),
    """\
  gantry serve & gantry wait-ready
""",
)

RUN = Epilog(
    N_("""\
For servers that share a database of PostgreSQL and a bucket: this one takes no requests, and runs the operations that
came to the others. It answers /healthz, /readyz and /metrics alone. The settings are those of `gantry serve`.
"""),
    """\
  gantry run --config /etc/gantry.toml
""",
)

WORKER = Epilog(
    N_("""\
The setting executor names the scheduler; servers with the same setting and the same version give their batches to this
worker. It needs their settings of buckets, with credentials, and neither their database nor their data directory.
SIGTERM: it takes no more batches, ends those that it has or gives them back, and leaves.
"""),
    """\
  gantry worker --config /etc/gantry.toml --processes 8
""",
)

IMPORT = Epilog(
    N_("""\
wildcards, in the object name only; quote the URI, or the shell expands them:
  *    any characters except /       gs://BUCKET/2024/*.dcm
  **   any characters, at the end    gs://BUCKET/2024/**   gs://BUCKET/**.dcm
  ?    one character except /        gs://BUCKET/IM?.dcm

Each object that fails is listed with its reason; the others are imported. It is safe to run an import again.

Of several URIs each becomes an operation: all are started, then followed. The exit code is the gravest of theirs.
With --json there is one array of them all.
"""),
    """\
  gantry import 'gs://incoming/**' --store radiology/main
  gantry import 'gs://incoming/**.dcm' --store radiology/main --storage-class ARCHIVE --async
  gantry import --from-file addresses.txt --store radiology/main
""",
)

EXPORT = Epilog(
    N_("""\
Each instance becomes gs://BUCKET/DIR/STUDY/SERIES/INSTANCE.dcm, replacing any object there. The bucket must exist.
"""),
    """\
  gantry export gs://outgoing/all --store radiology/main
  gantry export gs://outgoing/some --store radiology/main --filter gs://outgoing/filter.txt
""",
)

OPERATIONS = Epilog(
    examples="""\
  gantry operations list --dataset radiology
  gantry operations wait 7 --dataset radiology --timeout 600
  gantry operations errors 7 --dataset radiology --json | jq .jsonPayload.source
"""
)

STORES = Epilog(
    examples="""\
  gantry stores create radiology/main
  gantry stores list
  gantry stores update radiology/main --label owner=pacs
  gantry stores delete radiology/main --yes
"""
)

VIEWER = Epilog(
    examples="""\
  gantry viewer install
  gantry viewer install --data /srv/gantry --from ohif-app-3.13.2.tgz
"""
)

CHANGES = Epilog(
    N_("""\
One line for each instance that was stored, replaced, updated (its metadata), moved (its storage class) or deleted. At
the end stands the token to go on with: on stderr, or with --json as a line of its own.
"""),
    """\
  gantry changes radiology/main
  gantry changes radiology/main --now --follow --json
  gantry changes radiology/main --since TOKEN
""",
)

SQL = Epilog(
    N_("""\
Tables are those of exports with bigqueryDestination that the server has in a directory (its setting bigquery), named
`PROJECT.DATASET.TABLE`, or [PROJECT:DATASET.TABLE]. A table on the terminal has 1,000 rows at most.
"""),
    """\
  gantry sql "SELECT Modality, COUNT(*) FROM my-project.my_dataset.instances GROUP BY Modality"
  gantry sql --format csv "SELECT * EXCEPT (OtherElements) FROM my-project.my_dataset.instances"
  gantry sql --to gs://BUCKET/filter.csv "SELECT CONCAT('/studies/', StudyInstanceUID) FROM ..."
""",
)

STORAGE = Epilog(
    N_("""\
A segment is a file that many instances share. A running server rewrites segments that have lost most of their
instances; files of older versions are moved by `compact`, while no server uses the directory.
"""),
    """\
  gantry storage
  gantry storage compact --data /srv/gantry
  gantry storage clear --dry-run --data /srv/gantry
""",
)

CHECK = Epilog(
    N_("""\
Changes nothing. A server may run on the directory meanwhile. Exit code: 0 nothing is wrong, 1 something is, 2 not
all of it could be checked.
"""),
    """\
  gantry check --data /srv/gantry
  gantry check --read --json | jq 'select(.kind == "content-wrong")'
""",
)

BUCKETS = Epilog(
    N_("""\
Runs on the machine of the server, as its user and with its settings; no server needs to run: the API has no method for
buckets. `check` tries each right and names one that is missing. Exit code: 0 all that was tried works, 1 something does
not. `list` shows directories and entries of the settings; which buckets a provider has besides is not asked.
"""),
    """\
  gantry buckets list --config /etc/gantry.toml
  gantry buckets check incoming --config /etc/gantry.toml
  gantry buckets check s3://archive-2024/exports --write
""",
)

REBUILD = Epilog(
    N_("""\
For a server whose index.sqlite is lost, and for an older index that was put back: stop the server, run it, start the
server. It takes up every instance whose bytes are there, also those of uploads and imports that were interrupted, and
deletes nothing. It can be interrupted and run again. The exit code is 1 where some could not be taken up.
"""),
    """\
  gantry storage rebuild --data /srv/gantry
  gantry storage rebuild --store 3=projects/p/locations/us-central1/datasets/d/dicomStores/s
""",
)

INDEX = Epilog(
    N_("""\
Stop the server first. All rows are copied and compared, then the source is given up. It can be interrupted and run
again. A password is safe in PGPASSWORD or ~/.pgpass. Exit code: 0 all is copied, 1 it is not, 2 refused, 3 a database
was lost.
"""),
    """\
  gantry index copy /srv/gantry postgresql://gantry@db.example.org/gantry
""",
)

MIGRATE = Epilog(
    N_("""\
A start of the server does the same. Exit code: 0 all is up to date, 1 it is not, 2 refused, or not known. With --check
a server may run meanwhile, and nothing is changed.
""")
)

SERVICE_ACCOUNTS = Epilog(
    examples="""\
  gantry service-accounts create pacs --out pacs.json
  GOOGLE_APPLICATION_CREDENTIALS=pacs.json python import.py
  gantry service-accounts list
"""
)

DATASETS = Epilog(
    examples="""\
  gantry datasets create radiology
  gantry datasets list --json
"""
)

DEMO = Epilog(
    N_("""\
Starts a server, imports real DICOM files and one broken file, exports them and compares them byte for byte.
On a terminal the server then runs until Ctrl-C, so that you can look at the result.
Needs the extra: pip install 'gantry-dicom[demo]'
With --buckets s3 it also needs: pip install 'gantry-dicom[demo,s3]' 'moto[server,s3]'
""")
)

STORE_UPDATE = Epilog(
    N_("""\
What no flag names stays as it is. --from-file has other fields of a DicomStore (streamConfigs, notificationConfigs).
"""),
    """\
  gantry stores update radiology/main --label owner=pacs --remove-label trial
  gantry stores update radiology/main --notify projects/hospital/topics/changes
  gantry stores update radiology/main --stream bq://hospital.archive.instances
  gantry stores update radiology/main --no-stream
""",
)

STUDIES = Epilog(
    examples="""\
  gantry studies list --store radiology/main --patient-name Rossi --study-date 20240101-
  gantry studies show 1.2.840.113619.2.1 --store radiology/main
  gantry studies delete 1.2.840.113619.2.1 --store radiology/main --yes
"""
)

STUDIES_LIST = Epilog(
    N_("""\
All conditions must match; * and ? are wildcards where the API has them. With --json each study is a line of DICOM JSON.
"""),
    """\
  gantry studies list --store radiology/main --patient-id 4711
  gantry studies list --store radiology/main --modality CT --study-date 20240101-20240131
  gantry studies list --store radiology/main --where ReferringPhysicianName=Gregory --limit 0 --json
""",
)

UPLOAD = Epilog(
    N_("""\
Files are sent in groups. One that fails is printed with its reason, and the others are sent. What is stored already,
byte for byte, is counted as "already there" and is no failure: it is safe to run an upload again. Of directories every
file is sent; a DICOMDIR fails. Exit code: 0 all are stored, 1 some failed.
"""),
    """\
  gantry upload ct.dcm mr.dcm --store radiology/main
  gantry upload /media/cdrom --store radiology/main --json
""",
)

STORAGE_CLASS = Epilog(
    examples="""\
  gantry storage-class set ARCHIVE --store radiology/main --study 1.2.840.113619.2.1
  gantry storage-class set nearline --store radiology/main --filter gs://incoming/filter.txt
"""
)

METRICS = Epilog(
    N_("""\
Without --dataset, --store and GANTRY_STORE it is the only dataset.
"""),
    """\
  gantry metrics --store radiology/main
  gantry metrics --dataset radiology --json
  gantry metrics --store radiology/main --study 1.2.840.113619.2.1
""",
)

IAM = Epilog(
    N_("""\
Without --dataset and --store it is the policy of the project. Where somebody else changes it meanwhile, the change is
made again on what they wrote.
"""),
    """\
  gantry iam get --store radiology/main
  gantry iam add roles/healthcare.dicomViewer user:ana@example.org --dataset radiology
  gantry iam remove roles/healthcare.dicomViewer user:ana@example.org --dataset radiology
""",
)

COMPLETION = Epilog(
    N_("""\
The first of these lines is for ~/.bashrc, the second for ~/.zshrc, behind compinit; the third is for fish, once.
"""),
    """\
  eval "$(gantry completion bash)"
  eval "$(gantry completion zsh)"
  gantry completion fish > ~/.config/fish/completions/gantry.fish
""",
)

MAN = Epilog(
    examples="""\
  gantry man | man -l -
  gantry man > /usr/local/share/man/man1/gantry.1
"""
)
