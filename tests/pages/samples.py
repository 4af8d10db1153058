"""The command lines of the two how-to pages on import and export, character for character.

``fill`` puts in the names that the reader of the page has to put in, and the host; nothing else is changed.
"""

from __future__ import annotations

from tests.support.gantry import Gantry
from tests.support.server import LOCATION, PROJECT

IMPORT_FROM_FILE = r"""
cat > request.json << 'EOF'
{
  "gcsSource": {
    "uri": "gs://BUCKET/PATH/TO/FILE.dcm"
  }
}
EOF

curl -X POST \
    -H "Authorization: Bearer $(gcloud auth print-access-token)" \
    -H "Content-Type: application/json" \
    -d @request.json \
    "https://healthcare.googleapis.com/v1/projects/PROJECT_ID/locations/LOCATION/datasets/DATASET_ID/dicomStores/DICOM_STORE_ID:import"
"""

IMPORT_WITH_STORAGE_CLASS = r"""
cat > request.json << 'EOF'
{
  "gcsSource": {
    "uri": "gs://BUCKET/PATH/TO/FILE.dcm"
  },
  "blob_storage_settings": {
    "blob_storage_class": "STORAGE_CLASS"
  }
}
EOF

curl -X POST \
    -H "Authorization: Bearer $(gcloud auth print-access-token)" \
    -H "Content-Type: application/json" \
    -d @request.json \
    "https://healthcare.googleapis.com/v1beta1/projects/PROJECT_ID/locations/LOCATION/datasets/DATASET_ID/dicomStores/DICOM_STORE_ID:import"
"""

IMPORT_INLINE = r"""
curl -X POST \
    -H "Authorization: Bearer $(gcloud auth application-default print-access-token)" \
    -H "Content-Type: application/json; charset=utf-8" \
    --data "{
      'gcsSource': {
        'uri': 'gs://BUCKET/*.dcm'
      }
    }" "https://healthcare.googleapis.com/v1/projects/PROJECT_ID/locations/LOCATION/datasets/DATASET_ID/dicomStores/DICOM_STORE_ID:import"
"""

EXPORT = r"""
curl -X POST \
    -H "Authorization: Bearer $(gcloud auth application-default print-access-token)" \
    -H "Content-Type: application/json; charset=utf-8" \
    --data "{
      'gcsDestination': {
        'uriPrefix': 'gs://BUCKET/DIRECTORY'
      }
    }" "https://healthcare.googleapis.com/v1/projects/PROJECT_ID/locations/LOCATION/datasets/DATASET_ID/dicomStores/DICOM_STORE_ID:export"
"""

EXPORT_WITH_FILTER = r"""
curl -X POST \
    -H "Authorization: Bearer $(gcloud auth application-default print-access-token)" \
    -H "Content-Type: application/json; charset=utf-8" \
    --data "{
      'gcsDestination': {
        'uriPrefix': 'gs://BUCKET/DIRECTORY'
      },
      'filterConfig': {
        'resourcePathsGcsUri': 'gs://BUCKET/DIRECTORY/FILTER_FILE'
      }
    }" "https://healthcare.googleapis.com/v1beta1/projects/PROJECT_ID/locations/REGION/datasets/DATASET_ID/dicomStores/DICOM_STORE_ID:export"
"""

# One command on the pages, with four endings of the line: v1 and v1beta1, OPERATION_ID and OPERATION_NAME.
GET_OPERATION = r"""
curl -X GET \
    -H "Authorization: Bearer $(gcloud auth application-default print-access-token)" \
    "https://healthcare.googleapis.com/VERSION/projects/PROJECT_ID/locations/LOCATION/datasets/DATASET_ID/operations/OPERATION_ID"
"""

# What Invoke-WebRequest sends: the text between the quotes of -Body, or the file that Out-File wrote.

POWERSHELL_IMPORT_FILE = """{
  "gcsSource": {
    "uri": "gs://BUCKET/PATH/TO/FILE.dcm"
  }
}
"""

POWERSHELL_IMPORT_FILE_WITH_STORAGE_CLASS = """{
  "gcsSource": {
    "uri": "gs://BUCKET/PATH/TO/FILE.dcm"
  },
  "blob_storage_settings": {
    "blob_storage_class": "STORAGE_CLASS"
  }
}
"""

POWERSHELL_IMPORT = """{
    'gcsSource': {
      'uri': 'gs://BUCKET/*.dcm'
    }
  }"""

POWERSHELL_EXPORT = """{
    'gcsDestination': {
      'uriPrefix': 'gs://BUCKET/DIRECTORY'
    }
  }"""

# The outer brace is missing on the page too.
POWERSHELL_EXPORT_WITH_FILTER = """{
    'gcsDestination': {
      'uriPrefix': 'gs://BUCKET/DIRECTORY'
    },
    'filterConfig': {
      'resourcePathsGcsUri': 'gs://BUCKET/DIRECTORY/FILTER_FILE'
  }"""

FILTER_FILE = """/studies/1.123.456.789
/studies/1.666.333.111/series/123.456
/studies/1.666.333.111/series/567.890
/studies/1.888.999.222/series/123.456/instances/111
/studies/1.888.999.222/series/123.456/instances/222
/studies/1.888.999.222/series/123.456/instances/333
"""


def fill(text: str, gantry: Gantry, **names: str) -> str:
    """Put names in for the capital letters of the pages. Raises AssertionError when some are left."""
    names = {
        "https://healthcare.googleapis.com": gantry.server.url,
        "PROJECT_ID": PROJECT,
        "LOCATION": LOCATION,
        "REGION": LOCATION,
        "DATASET_ID": gantry.dataset_id,
        "DICOM_STORE_ID": gantry.store_id,
    } | names
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, names[name])
    assert "googleapis.com" not in text
    assert "BUCKET" not in text
    return text
