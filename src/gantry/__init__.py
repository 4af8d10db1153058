"""Gantry: an open DICOM store that speaks the DICOM part of the Cloud Healthcare API."""

__version__ = "0.1.0"
