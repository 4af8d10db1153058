"""What the methods of the audit log do, in a person's words."""

from __future__ import annotations

from gantry.languages import N_, _

_STORES, _STUDIES = "datasets.dicomStores.", "datasets.dicomStores.studies."
_SERIES, _INSTANCES = f"{_STUDIES}series.", f"{_STUDIES}series.instances."
_WEB = f"{_STORES}dicomWeb.studies."
_BIGQUERY = "google.cloud.bigquery.v2."
_JOBS = f"{_BIGQUERY}JobService."
ACTIONS = {
    "gantry.signIn": N_("Sign in"),
    "gantry.signOut": N_("Sign out"),
    "gantry.giveToken": N_("Get a token"),
    "gantry.showPage": N_("Open a page"),
    "gantry.showSettings": N_("Look at the settings"),
    "gantry.showDisk": N_("Look at the disk"),
    "gantry.showAuditLog": N_("Look at the audit log"),
    "gantry.showBuckets": N_("Look at the buckets"),
    "gantry.checkBucket": N_("Check a bucket"),
    "datasets.create": N_("Create a dataset"),
    "datasets.patch": N_("Change a dataset"),
    "datasets.delete": N_("Delete a dataset"),
    "datasets.get": N_("Look at a dataset"),
    "datasets.list": N_("List datasets"),
    "datasets.getIamPolicy": N_("Look at who has access"),
    "datasets.setIamPolicy": N_("Change who has access"),
    "datasets.operations.get": N_("Look at an operation"),
    "datasets.operations.list": N_("List operations"),
    "datasets.operations.cancel": N_("Cancel an operation"),
    f"{_STORES}create": N_("Create a DICOM store"),
    f"{_STORES}patch": N_("Change a DICOM store"),
    f"{_STORES}delete": N_("Delete a DICOM store"),
    f"{_STORES}get": N_("Look at a DICOM store"),
    f"{_STORES}list": N_("List DICOM stores"),
    f"{_STORES}import": N_("Start an import"),
    f"{_STORES}previewImport": N_("Look into a bucket"),
    f"{_STORES}checkBucket": N_("Check a bucket"),
    f"{_STORES}export": N_("Start an export"),
    f"{_STORES}getDICOMStoreMetrics": N_("Count what a store holds"),
    f"{_STORES}getIamPolicy": N_("Look at who has access"),
    f"{_STORES}setIamPolicy": N_("Change who has access"),
    f"{_STORES}setBlobStorageSettings": N_("Change the storage class"),
    f"{_WEB}setBlobStorageSettings": N_("Change the storage class"),
    f"{_WEB}getStudyMetrics": N_("Count what a study holds"),
    f"{_WEB}series.getSeriesMetrics": N_("Count what a series holds"),
    f"{_WEB}series.instances.getStorageInfo": N_("Look at the storage of an instance"),
    f"{_STORES}changeFeed": N_("Follow changes"),
    f"{_STORES}storeInstances": N_("Upload instances"),
    f"{_STUDIES}storeInstances": N_("Upload instances"),
    f"{_STORES}searchForStudies": N_("Search studies"),
    f"{_STORES}searchForSeries": N_("Search series"),
    f"{_STORES}searchForInstances": N_("Search instances"),
    f"{_STUDIES}searchForSeries": N_("Search series"),
    f"{_STUDIES}searchForInstances": N_("Search instances"),
    f"{_SERIES}searchForInstances": N_("Search instances"),
    f"{_STUDIES}retrieveStudy": N_("Download a study"),
    f"{_SERIES}retrieveSeries": N_("Download a series"),
    f"{_INSTANCES}retrieveInstance": N_("Download an instance"),
    f"{_STUDIES}retrieveMetadata": N_("Read the metadata of a study"),
    f"{_SERIES}retrieveMetadata": N_("Read the metadata of a series"),
    f"{_INSTANCES}retrieveMetadata": N_("Read the metadata of an instance"),
    f"{_INSTANCES}retrieveRendered": N_("Look at an image"),
    f"{_INSTANCES}frames.retrieveRendered": N_("Look at an image"),
    f"{_INSTANCES}frames.retrieveFrames": N_("Download frames"),
    "retrieveRendered": N_("Look at an image"),
    "retrieveThumbnail": N_("Look at a preview image"),
    "retrieveByUri": N_("Download an instance"),
    f"{_STUDIES}delete": N_("Delete a study"),
    f"{_SERIES}delete": N_("Delete a series"),
    f"{_INSTANCES}delete": N_("Delete an instance"),
    f"{_STUDIES}updateMetadata": N_("Change the metadata of a study"),
    f"{_SERIES}updateMetadata": N_("Change the metadata of a series"),
    f"{_INSTANCES}updateMetadata": N_("Change the metadata of an instance"),
    f"{_STORES}updateInstances": N_("Replace instances"),
    f"{_STUDIES}updateInstances": N_("Replace instances"),
    "projects.getIamPolicy": N_("Look at who has access"),
    "projects.setIamPolicy": N_("Change who has access"),
    "datasets.testIamPermissions": N_("Ask for own permissions"),
    f"{_STORES}testIamPermissions": N_("Ask for own permissions"),
    "projects.testIamPermissions": N_("Ask for own permissions"),
    "datasets.deidentify": N_("De-identify"),
    f"{_STORES}deidentify": N_("De-identify"),
    f"{_INSTANCES}bulkdata.retrieveBulkdata": N_("Download bulk data"),
    "retrieveBulkdata": N_("Download bulk data"),
    "retrievePixeldata": N_("Download pixel data"),
    "retrieveCapabilities": N_("Ask for the capabilities"),
    "list": N_("List locations"),
    "get": N_("Look at a location"),
    f"{_JOBS}InsertJob": N_("Start a query"),
    f"{_JOBS}Query": N_("Start a query"),
    f"{_JOBS}GetQueryResults": N_("Read the result of a query"),
    f"{_JOBS}GetJob": N_("Look at a query"),
    f"{_JOBS}ListJobs": N_("List queries"),
    f"{_JOBS}CancelJob": N_("Cancel a query"),
    f"{_BIGQUERY}ProjectService.List": N_("List the projects of tables"),
    f"{_BIGQUERY}DatasetService.ListDatasets": N_("List the datasets of tables"),
    f"{_BIGQUERY}DatasetService.GetDataset": N_("Look at a dataset of tables"),
    f"{_BIGQUERY}TableService.ListTables": N_("List tables"),
    f"{_BIGQUERY}TableService.GetTable": N_("Look at a table"),
    f"{_BIGQUERY}TableDataService.List": N_("Read rows of a table"),
    f"{_BIGQUERY}TableService.Write": N_("Write to a table"),
}


def describe_method(method: str) -> str:
    """The name of the method itself where there are no words for it."""
    return _(ACTIONS[method]) if method in ACTIONS else method.rpartition(".")[2]


def list_actions() -> dict[str, tuple[str, ...]]:
    """Words → the methods that they stand for, in the order of the words."""
    found: dict[str, list[str]] = {}
    for method, words in ACTIONS.items():
        found.setdefault(_(words), []).append(method)
    return {words: tuple(found[words]) for words in sorted(found)}
