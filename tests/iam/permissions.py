"""The permission of each method, spelt out once more: a line of the program's table that changes is seen here.

From the API's reference (spec §12.1); thumbnails, rendered studies and series, bulk and pixel data of a level,
WADO-URI, capabilities and policies of projects are ours, the last as in Resource Manager.
"" is for methods that tell callers what they themselves may do.
"""

from __future__ import annotations

_TABLE = """
GET     projects/*/locations                                healthcare.locations.list
GET     projects/*/locations/*                              healthcare.locations.get
POST    projects/*:getIamPolicy                             resourcemanager.projects.getIamPolicy
POST    projects/*:setIamPolicy                             resourcemanager.projects.setIamPolicy
POST    projects/*:testIamPermissions
POST    DATASETS                                            healthcare.datasets.create
GET     DATASETS                                            healthcare.datasets.list
GET     DATASETS/*                                          healthcare.datasets.get
PATCH   DATASETS/*                                          healthcare.datasets.update
DELETE  DATASETS/*                                          healthcare.datasets.delete
POST    DATASETS/*:deidentify                               healthcare.datasets.deidentify
GET     DATASETS/*:getIamPolicy                             healthcare.datasets.getIamPolicy
POST    DATASETS/*:setIamPolicy                             healthcare.datasets.setIamPolicy
POST    DATASETS/*:testIamPermissions
GET     DATASETS/*/operations                               healthcare.operations.list
GET     DATASETS/*/operations/*                             healthcare.operations.get
POST    DATASETS/*/operations/*:cancel                      healthcare.operations.cancel
POST    STORES                                              healthcare.dicomStores.create
GET     STORES                                              healthcare.dicomStores.list
GET     STORES/*                                            healthcare.dicomStores.get
PATCH   STORES/*                                            healthcare.dicomStores.update
DELETE  STORES/*                                            healthcare.dicomStores.delete
POST    STORES/*:import                                     healthcare.dicomStores.import
POST    STORES/*:export                                     healthcare.dicomStores.export
POST    STORES/*:deidentify                                 healthcare.dicomStores.deidentify
POST    STORES/*:setBlobStorageSettings                     healthcare.dicomStores.dicomWebWrite
GET     STORES/*:getDICOMStoreMetrics                       healthcare.dicomStores.get
GET     STORES/*:changeFeed                                 healthcare.dicomStores.dicomWebRead
GET     STORES/*:getIamPolicy                               healthcare.dicomStores.getIamPolicy
POST    STORES/*:setIamPolicy                               healthcare.dicomStores.setIamPolicy
POST    STORES/*:testIamPermissions
GET     WEB                                                 healthcare.dicomStores.dicomWebRead
GET     WEB/                                                healthcare.dicomStores.dicomWebRead
GET     WEB/wado                                            healthcare.dicomStores.dicomWebRead
OPTIONS WEB                                                 healthcare.dicomStores.dicomWebRead
OPTIONS WEB/                                                healthcare.dicomStores.dicomWebRead
GET     WEB/studies                                         healthcare.dicomStores.dicomWebRead
GET     WEB/series                                          healthcare.dicomStores.dicomWebRead
GET     WEB/instances                                       healthcare.dicomStores.dicomWebRead
POST    WEB/studies                                         healthcare.dicomStores.dicomWebWrite
PUT     WEB/studies                                         healthcare.dicomStores.dicomWebUpdate
GET     STUDY                                               healthcare.dicomStores.dicomWebRead
GET     STUDY/metadata                                      healthcare.dicomStores.dicomWebRead
GET     STUDY/instances                                     healthcare.dicomStores.dicomWebRead
GET     STUDY/series                                        healthcare.dicomStores.dicomWebRead
GET     STUDY/rendered                                      healthcare.dicomStores.dicomWebRead
GET     STUDY/bulkdata                                      healthcare.dicomStores.dicomWebRead
GET     STUDY/pixeldata                                     healthcare.dicomStores.dicomWebRead
GET     STUDY/thumbnail                                     healthcare.dicomStores.dicomWebRead
GET     STUDY:getStudyMetrics                               healthcare.dicomStores.dicomWebRead
POST    STUDY                                               healthcare.dicomStores.dicomWebWrite
PUT     STUDY                                               healthcare.dicomStores.dicomWebUpdate
PATCH   STUDY/metadata                                      healthcare.dicomStores.dicomWebUpdate
DELETE  STUDY                                               healthcare.dicomStores.dicomWebDelete
POST    STUDY:setBlobStorageSettings                        healthcare.dicomStores.dicomWebWrite
GET     SERIES                                              healthcare.dicomStores.dicomWebRead
GET     SERIES/metadata                                     healthcare.dicomStores.dicomWebRead
GET     SERIES/instances                                    healthcare.dicomStores.dicomWebRead
GET     SERIES/rendered                                     healthcare.dicomStores.dicomWebRead
GET     SERIES/bulkdata                                     healthcare.dicomStores.dicomWebRead
GET     SERIES/pixeldata                                    healthcare.dicomStores.dicomWebRead
GET     SERIES/thumbnail                                    healthcare.dicomStores.dicomWebRead
GET     SERIES:getSeriesMetrics                             healthcare.dicomStores.dicomWebRead
PATCH   SERIES/metadata                                     healthcare.dicomStores.dicomWebUpdate
DELETE  SERIES                                              healthcare.dicomStores.dicomWebDelete
POST    SERIES:setBlobStorageSettings                       healthcare.dicomStores.dicomWebWrite
GET     INSTANCE                                            healthcare.dicomStores.dicomWebRead
GET     INSTANCE/metadata                                   healthcare.dicomStores.dicomWebRead
GET     INSTANCE/rendered                                   healthcare.dicomStores.dicomWebRead
GET     INSTANCE/bulkdata                                   healthcare.dicomStores.dicomWebRead
GET     INSTANCE/pixeldata                                  healthcare.dicomStores.dicomWebRead
GET     INSTANCE/thumbnail                                  healthcare.dicomStores.dicomWebRead
GET     INSTANCE/frames/*                                   healthcare.dicomStores.dicomWebRead
GET     INSTANCE/frames/*/rendered                          healthcare.dicomStores.dicomWebRead
GET     INSTANCE/frames/*/thumbnail                         healthcare.dicomStores.dicomWebRead
GET     INSTANCE/bulkdata/**                                healthcare.dicomStores.dicomWebRead
GET     INSTANCE:getStorageInfo                             healthcare.dicomStores.dicomWebRead
PATCH   INSTANCE/metadata                                   healthcare.dicomStores.dicomWebUpdate
DELETE  INSTANCE                                            healthcare.dicomStores.dicomWebDelete
POST    INSTANCE:setBlobStorageSettings                     healthcare.dicomStores.dicomWebWrite
"""
_SHORT = {
    "INSTANCE": "SERIES/instances/*",
    "SERIES": "STUDY/series/*",
    "STUDY": "WEB/studies/*",
    "WEB": "STORES/*/dicomWeb",
    "STORES": "DATASETS/*/dicomStores",
    "DATASETS": "projects/*/locations/*/datasets",
}


def _read() -> dict[tuple[str, str], str]:
    found = {}
    for line in _TABLE.strip().splitlines():
        verb, path, *permission = line.split()
        for short, long in _SHORT.items():
            path = path.replace(short, long)
        assert (verb, path) not in found
        found[verb, path] = "".join(permission)
    return found


PERMISSIONS = _read()
"""(verb, path below the version) → permission."""
