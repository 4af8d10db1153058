"""The parts of Gantry that are mutated, and the tests that must notice: quick ones first, for one failure is enough."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SOURCE, TESTS = Path("src/gantry"), Path("tests")


@dataclass(frozen=True)
class Part:
    """Files and their tests. Words of ``files`` and ``tests`` are paths, or patterns, below src/gantry and tests."""

    files: str
    tests: str

    def list_files(self, root: Path) -> list[Path]:
        """Paths relative to ``root``, in the order of the words."""
        return _find(root, SOURCE, self.files)

    def list_tests(self, root: Path) -> list[Path]:
        """Paths relative to ``root``, in the order of the words."""
        return _find(root, TESTS, self.tests)


PARTS = {
    "header-reader": Part(
        "dicom/part10.py dicom/walk.py dicom/known_heads.py dicom/deflated.py dicom/elements.py dicom/traversal.py "
        "dicom/header_bytes.py dicom/vr.py dicom/tags.py",
        "dicom/test_part10.py dicom/test_known_heads.py dicom/test_foreign.py dicom/test_attributes.py "
        "dicom/test_rewriting.py dicom/test_part10_fuzz.py dicom/test_mutated_headers.py",
    ),
    "json-and-xml-out": Part(
        "dicom/json_*.py dicom/xml_model.py dicom/value_forms.py",
        "dicom/test_value_forms.py dicom/test_json_*.py dicom/test_xml_model.py dicom/test_from_json.py "
        "dicom/test_text.py dicomweb/test_json_model.py dicom/test_data_sets_property.py",
    ),
    "from-json": Part(
        "dicom/from_json.py dicom/json_elements.py dicom/file_meta.py dicom/updating.py json_patch.py json_text.py",
        "words/test_json_patch.py words/test_json_text.py dicom/test_from_json.py dicom/test_json_elements.py "
        "dicom/test_updating.py dicom/test_round_trips.py dicomweb/test_store_json.py dicomweb/test_update_metadata.py",
    ),
    "rewriting": Part(
        "dicom/rewriting.py dicom/transcoding.py dicom/file_meta.py",
        "dicom/test_rewriting.py pixels/test_round_trips.py pixels/test_encapsulated_uncompressed.py "
        "pixels/test_messages.py dicom/test_data_sets_property.py pixels/test_decoding.py",
    ),
    "ingest": Part(
        "ingest.py containment.py describing.py stored_bytes.py healing.py",
        "seams/test_ingest.py seams/test_comparing.py seams/test_healing.py seams/test_describing.py "
        "seams/test_one_instance.py seams/test_batches.py "
        "dicomweb/test_descriptions.py "
        "faults/test_damaged_bytes.py api/test_dicom_stores_import.py",
    ),
    "storage": Part(
        "storage/local*.py storage/segments.py storage/contents.py storage/extents.py storage/disks.py "
        "storage/durable.py storage/own_*.py storage/new_files.py storage/group_commit.py storage/holes.py "
        "storage/range_locks.py storage/removal.py storage/pieces.py",
        "seams/test_local_blobs.py seams/test_freeing.py seams/test_segments.py seams/test_segment_contents.py "
        "seams/test_places.py seams/test_local_blob_store.py seams/test_segment_syncs.py "
        "seams/test_bytes_in_their_place.py",
    ),
    "remote-blobs": Part(
        "storage/remote/blob*.py storage/freed.py storage/gathering.py storage/listed.py",
        "seams/test_remote_blobs.py seams/test_remote_blob_faults.py seams/test_swapped_buckets.py "
        "buckets/test_blob_marks.py buckets/test_late_writes.py",
    ),
    "places": Part(
        "storage/places.py storage/place_marks.py storage/roots.py storage/room.py storage/store_records.py "
        "storage/generation_marks.py storage/hold.py generations.py",
        "seams/test_places.py seams/test_bytes_in_their_place.py seams/test_generation_marks.py "
        "seams/test_store_records.py faults/test_index_put_back_again.py "
        "faults/test_copies_made_just_before_a_kill.py faults/test_lost_index.py faults/test_rebuild.py "
        "faults/test_refused_starts.py faults/test_refused_directories.py faults/test_starts_that_work.py",
    ),
    "listing": Part(
        "storage/beneath.py storage/local_listing.py storage/bucket_rules.py",
        "seams/test_bucket_rules.py seams/test_beneath.py seams/test_local_blob_store.py faults/test_path_escapes.py",
    ),
    "operations": Part(
        "operations/*.py rests.py backoff.py operation_state.py",
        "words/test_backoff.py words/test_operation_state.py words/test_filter_file.py words/test_waits.py "
        "words/test_interruption.py words/test_sortable_numbers.py words/test_rebuild_summary.py faults/test_runner.py "
        "seams/test_batches.py seams/test_idle_runner.py seams/test_listing_once.py "
        "seams/test_sweeps.py seams/test_one_instance.py "
        "seams/test_unsure_commits.py seams/test_reading_filters.py api/test_operations_*.py "
        "api/test_dicom_stores_import.py api/test_dicom_stores_export.py api/test_nothing_matches.py "
        "api/test_dicom_stores_set_blob_storage_settings.py faults/test_rests.py faults/test_change_of_class.py "
        "faults/test_compaction.py faults/test_rebuild.py faults/test_describe_anew.py faults/test_waits.py "
        "faults/test_unfinished_exports.py faults/test_what_cannot_be_removed.py",
    ),
    "index": Part(
        "index/*.py",
        "index dicomweb/test_search.py seams/test_sweeps.py faults/test_older_index.py faults/test_index_trouble.py",
    ),
    "uris": Part(
        "storage/uris.py matching.py names.py whole_numbers.py header_packs.py",
        "words/test_uris.py words/test_matching.py words/test_names.py words/test_whole_numbers.py "
        "words/test_header_packs.py dicomweb/test_search.py index/test_searching.py index/test_shared_packs.py "
        "corpus/test_wildcards.py",
    ),
    "access": Part("access/*.py", "access"),
    "api-auth": Part(
        "api/access.py api/attempts.py api/sessions.py api/origins.py api/grants.py api/forwarded.py api/tokens.py "
        "api/audit.py api/audit_file.py",
        "access/test_forwarded.py access/test_attempts.py access/test_cookies.py access/test_sign_in.py "
        "access/test_audit.py access/test_audit_loss.py access/test_tokens.py access/test_endpoint.py "
        "api/test_origins.py api/test_cross_origin.py iam hostile/test_browsers.py hostile/test_guessing.py",
    ),
    "api-body": Part(
        "api/body.py api/gunzip.py api/intake.py api/filters.py api/masks.py api/paging.py api/parameters.py "
        "api/field_selection.py api/log_filters.py api/messages.py api/ranges.py",
        "words/test_body.py words/test_log_filters.py words/test_messages.py words/test_filters.py "
        "words/test_masks.py words/test_paging.py api/test_field_selection.py "
        "api/test_bodies.py api/test_transport.py api/test_logs.py dicomweb/test_ranges.py api/test_bound_fields.py "
        "api/test_every_parameter.py api/test_streaming.py hostile/test_bodies_without_end.py",
    ),
    "multipart": Part(
        "api/multipart.py api/accept.py",
        "dicomweb/test_multipart.py dicomweb/test_accept.py dicomweb/test_store.py dicomweb/test_retrieve.py",
    ),
    "iam": Part(
        "iam/*.py api/iam.py",
        "words/test_policies.py iam/test_conditions.py iam/test_policies.py api/test_without_effect.py iam",
    ),
    "methods": Part(
        "api/methods.py api/method.py api/paths.py",
        "words/test_routes.py test_coverage.py iam/test_matrix.py api/test_paths.py "
        "api/test_discovery.py api/test_every_method.py",
    ),
}


def find_part(name: str) -> Part:
    """The part of that name, or of that file (``src/gantry/ingest.py``) alone. Raises KeyError."""
    if name in PARTS:
        return PARTS[name]
    path = name.removeprefix(f"{SOURCE}/")
    for part in PARTS.values():
        if SOURCE / path in part.list_files(Path()):
            return Part(path, part.tests)
    raise KeyError(name)


def _find(root: Path, below: Path, words: str) -> list[Path]:
    return [path.relative_to(root) for word in words.split() for path in sorted((root / below).glob(word))]
