"""The process of the server: ``python -m tests.support.azure.serve SETTINGS`` with settings in JSON."""

from __future__ import annotations

from tests.support.azure.service import AzureService
from tests.support.s3.serve import main

if __name__ == "__main__":
    main(AzureService)
