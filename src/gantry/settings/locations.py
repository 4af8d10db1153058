"""The locations of the Cloud Healthcare API."""

from __future__ import annotations

_REGIONS = """
    asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1
    asia-southeast1 asia-southeast2 australia-southeast1 australia-southeast2 eu europe-north1 europe-west2 europe-west3
    europe-west4 europe-west6 me-central1 me-central2 me-west1 northamerica-northeast1 northamerica-northeast2
    southamerica-east1 us us-central1 us-east1 us-east4 us-west1 us-west2 us-west3
"""

LOCATIONS = tuple(_REGIONS.split())
"""https://cloud.google.com/healthcare-api/docs/regions"""
