-- 0025
;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)
;
CREATE TABLE dataset (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	project TEXT NOT NULL,
	location TEXT NOT NULL,
	dataset TEXT NOT NULL,
	time_zone TEXT DEFAULT '' NOT NULL,
	kms_key_name TEXT DEFAULT '' NOT NULL, policy TEXT DEFAULT '' NOT NULL,
	CONSTRAINT dataset_name UNIQUE (project, location, dataset)
)
;
CREATE TABLE dicom_store (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	dataset_id INTEGER NOT NULL,
	store TEXT NOT NULL,
	settings TEXT NOT NULL,
	deleted BOOLEAN DEFAULT 0 NOT NULL
, policy TEXT DEFAULT '' NOT NULL, removed_from INTEGER)
;
CREATE UNIQUE INDEX dicom_store_name ON dicom_store (dataset_id, store) WHERE deleted = 0
;
CREATE TABLE study (
	id INTEGER NOT NULL,
	store_id INTEGER NOT NULL,
	study_instance_uid TEXT NOT NULL, patient_name TEXT DEFAULT '' NOT NULL, patient_id TEXT DEFAULT '' NOT NULL, accession_number TEXT DEFAULT '' NOT NULL, referring_physician_name TEXT DEFAULT '' NOT NULL, study_date TEXT DEFAULT '' NOT NULL, study_time TEXT DEFAULT '' NOT NULL, study_description TEXT DEFAULT '' NOT NULL, study_id TEXT DEFAULT '' NOT NULL, members TEXT DEFAULT '' NOT NULL, more_members TEXT DEFAULT '' NOT NULL, modalities TEXT DEFAULT '' NOT NULL, series_count BIGINT DEFAULT '0' NOT NULL, instance_count BIGINT DEFAULT '0' NOT NULL, described_by INTEGER DEFAULT '0' NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT study_uid UNIQUE (store_id, study_instance_uid),
	FOREIGN KEY(store_id) REFERENCES dicom_store (id)
)
;
CREATE TABLE instance (
	series_id INTEGER NOT NULL,
	sop_instance_uid TEXT NOT NULL,
	sop_class_uid TEXT NOT NULL,
	transfer_syntax_uid TEXT NOT NULL,
	blob_key TEXT NOT NULL,
	size BIGINT NOT NULL,
	storage_class TEXT NOT NULL,
	storage_class_update_time BIGINT NOT NULL,
	create_time BIGINT NOT NULL, structured_size BIGINT DEFAULT '0' NOT NULL, instance_number BIGINT, number_of_frames BIGINT, rows INTEGER, columns INTEGER, bits_allocated INTEGER, pack_number INTEGER, pack_id INTEGER, segment_id INTEGER, segment_offset BIGINT,
	PRIMARY KEY (series_id, sop_instance_uid),
	FOREIGN KEY(series_id) REFERENCES series (id)
)
 WITHOUT ROWID

;
CREATE TABLE operation (
	id BIGINT NOT NULL,
	dataset_id INTEGER NOT NULL,
	store_id INTEGER DEFAULT '0' NOT NULL,
	store TEXT DEFAULT '' NOT NULL,
	version TEXT NOT NULL,
	method TEXT NOT NULL,
	request TEXT NOT NULL,
	create_time BIGINT NOT NULL,
	end_time BIGINT,
	listed BIGINT DEFAULT '0' NOT NULL,
	success BIGINT DEFAULT '0' NOT NULL,
	failure BIGINT DEFAULT '0' NOT NULL,
	checkpoint BLOB NOT NULL,
	blob_prefix TEXT DEFAULT '' NOT NULL,
	runner TEXT DEFAULT '' NOT NULL,
	attempt INTEGER DEFAULT '0' NOT NULL,
	cancel_requested BOOLEAN DEFAULT 0 NOT NULL,
	error_code INTEGER,
	error_message TEXT, transferred_bytes BIGINT DEFAULT '0' NOT NULL, unchecked BIGINT DEFAULT '0' NOT NULL, error_reason TEXT DEFAULT '' NOT NULL, files BIGINT DEFAULT '0' NOT NULL,
	PRIMARY KEY (id)
)
;
CREATE INDEX operation_dataset ON operation (dataset_id, id)
;
CREATE INDEX operation_end_time ON operation (end_time) WHERE end_time IS NOT NULL
;
CREATE INDEX operation_open ON operation (id) WHERE end_time IS NULL
;
CREATE TABLE failure (
	operation_id BIGINT NOT NULL,
	seq BIGINT NOT NULL,
	time BIGINT NOT NULL,
	resource TEXT NOT NULL,
	code INTEGER NOT NULL,
	message TEXT NOT NULL, severity INTEGER DEFAULT '500' NOT NULL, reason TEXT DEFAULT '' NOT NULL,
	PRIMARY KEY (operation_id, seq)
)
 WITHOUT ROWID

;
CREATE INDEX failure_time ON failure (time, operation_id, seq)
;
CREATE TABLE garbage (
	blob_key TEXT NOT NULL,
	PRIMARY KEY (blob_key)
)
 WITHOUT ROWID

;
CREATE TABLE selection (
	operation_id BIGINT NOT NULL,
	series_id BIGINT NOT NULL,
	sop_instance_uid TEXT NOT NULL,
	PRIMARY KEY (operation_id, series_id, sop_instance_uid)
)
 WITHOUT ROWID

;
CREATE TABLE "series" (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	study_id INTEGER NOT NULL,
	series_instance_uid TEXT NOT NULL,
	instance_count BIGINT DEFAULT '0' NOT NULL,
	blob_bytes BIGINT DEFAULT '0' NOT NULL,
	structured_bytes BIGINT DEFAULT '0' NOT NULL, modality TEXT DEFAULT '' NOT NULL, series_number TEXT DEFAULT '' NOT NULL, series_description TEXT DEFAULT '' NOT NULL, start_date TEXT DEFAULT '' NOT NULL, members TEXT DEFAULT '' NOT NULL, more_members TEXT DEFAULT '' NOT NULL, store_id INTEGER DEFAULT '0' NOT NULL, start_time TEXT DEFAULT '' NOT NULL,
	CONSTRAINT series_uid UNIQUE (study_id, series_instance_uid),
	FOREIGN KEY(study_id) REFERENCES study (id)
)
;
CREATE INDEX study_date ON study (store_id, study_date, id)
;
CREATE INDEX study_patient ON study (store_id, patient_id)
;
CREATE INDEX study_accession ON study (store_id, accession_number)
;
CREATE INDEX series_store_uid ON series (store_id, series_instance_uid)
;
CREATE INDEX series_modality ON series (store_id, modality, series_instance_uid)
;
CREATE INDEX instance_undescribed ON instance (series_id, sop_instance_uid) WHERE pack_number IS NULL
;
CREATE TABLE study_term (
	store_id INTEGER NOT NULL,
	kind INTEGER NOT NULL,
	term TEXT NOT NULL,
	study_id INTEGER NOT NULL,
	PRIMARY KEY (store_id, kind, term, study_id)
)
 WITHOUT ROWID

;
CREATE TABLE study_modality (
	store_id INTEGER NOT NULL,
	modality TEXT NOT NULL,
	study_date TEXT NOT NULL,
	study_id INTEGER NOT NULL,
	PRIMARY KEY (store_id, modality, study_date, study_id)
)
 WITHOUT ROWID

;
CREATE TABLE header_pack (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	series_id INTEGER NOT NULL,
	data BLOB NOT NULL
)
;
CREATE INDEX header_pack_series ON header_pack (series_id)
;
CREATE TABLE upload (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	store_id INTEGER NOT NULL
, server TEXT DEFAULT '' NOT NULL)
;
CREATE VIRTUAL TABLE study_text USING fts5(patient_name, patient_id, accession_number, referring_physician_name, study_description, tokenize = 'trigram case_sensitive 1')
;
CREATE TABLE project (
	project TEXT NOT NULL,
	policy TEXT NOT NULL,
	PRIMARY KEY (project)
)
;
CREATE TABLE session (
	"key" BLOB NOT NULL,
	name TEXT NOT NULL,
	members TEXT NOT NULL,
	credential TEXT NOT NULL,
	ends BIGINT NOT NULL,
	PRIMARY KEY ("key")
)
 WITHOUT ROWID

;
CREATE INDEX ix_session_ends ON session (ends)
;
CREATE TABLE tally (
	store_id INTEGER NOT NULL,
	storage_class TEXT NOT NULL,
	day INTEGER NOT NULL,
	instances BIGINT NOT NULL,
	blob_bytes BIGINT NOT NULL,
	PRIMARY KEY (store_id, storage_class, day)
)
 WITHOUT ROWID

;
CREATE TABLE progress (
	operation_id BIGINT NOT NULL,
	time BIGINT NOT NULL,
	done BIGINT NOT NULL,
	PRIMARY KEY (operation_id, time)
)
 WITHOUT ROWID

;
CREATE TABLE saved_search (
	store_id INTEGER NOT NULL,
	owner TEXT NOT NULL,
	name TEXT NOT NULL,
	"query" TEXT NOT NULL,
	PRIMARY KEY (store_id, owner, name)
)
 WITHOUT ROWID

;
CREATE INDEX study_described_by ON study (described_by, id)
;
CREATE TABLE series_tally (
	series_id INTEGER NOT NULL,
	storage_class TEXT NOT NULL,
	instances BIGINT NOT NULL,
	blob_bytes BIGINT NOT NULL,
	PRIMARY KEY (series_id, storage_class)
)
 WITHOUT ROWID

;
CREATE TABLE segment (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	store_id INTEGER NOT NULL,
	"key" TEXT NOT NULL,
	bytes BIGINT DEFAULT '0' NOT NULL,
	live_instances BIGINT DEFAULT '0' NOT NULL,
	live_bytes BIGINT DEFAULT '0' NOT NULL,
	sealed BOOLEAN DEFAULT 0 NOT NULL,
	CONSTRAINT segment_key UNIQUE ("key")
)
;
CREATE INDEX segment_store ON segment (store_id)
;
CREATE TABLE generation (
	id INTEGER NOT NULL,
	mark TEXT NOT NULL,
	commits BIGINT DEFAULT '0' NOT NULL,
	rebuilding BOOLEAN DEFAULT 0 NOT NULL,
	PRIMARY KEY (id)
)
;
CREATE TABLE generation_place (
	place TEXT NOT NULL,
	PRIMARY KEY (place)
)
 WITHOUT ROWID

;
CREATE TABLE trail (
	id INTEGER NOT NULL,
	time BIGINT NOT NULL,
	PRIMARY KEY (id)
)
;
CREATE TABLE series_request (
	series_id INTEGER NOT NULL,
	scheduled_step_id TEXT NOT NULL,
	requested_procedure_id TEXT NOT NULL,
	store_id INTEGER NOT NULL,
	PRIMARY KEY (series_id, scheduled_step_id, requested_procedure_id)
)
 WITHOUT ROWID

;
CREATE INDEX series_start ON series (store_id, start_date, start_time) WHERE start_date || start_time <> ''
;
CREATE INDEX request_scheduled_step ON series_request (store_id, scheduled_step_id)
;
CREATE INDEX request_procedure ON series_request (store_id, requested_procedure_id)
;
CREATE TABLE server (
	id TEXT NOT NULL,
	home TEXT NOT NULL,
	name TEXT NOT NULL,
	runs BOOLEAN NOT NULL,
	place BIGINT NOT NULL,
	beats BIGINT DEFAULT '0' NOT NULL,
	state TEXT DEFAULT '{}' NOT NULL,
	PRIMARY KEY (id)
)
 WITHOUT ROWID

;
CREATE TABLE account_key (
	id TEXT NOT NULL,
	email TEXT NOT NULL,
	public_key TEXT NOT NULL,
	created BIGINT NOT NULL,
	PRIMARY KEY (id)
)
 WITHOUT ROWID

;
CREATE TABLE token_secret (
	id INTEGER NOT NULL,
	secret BLOB NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT token_secret_once UNIQUE (secret)
)
;
CREATE TABLE change_pack (
	store_id INTEGER NOT NULL,
	number BIGINT NOT NULL,
	part INTEGER NOT NULL,
	time BIGINT NOT NULL,
	pending INTEGER,
	data BLOB NOT NULL,
	PRIMARY KEY (store_id, number, part)
)
;
CREATE INDEX change_pending ON change_pack (store_id, number) WHERE pending IS NOT NULL
;
CREATE TABLE change_start (
	store_id INTEGER NOT NULL,
	number BIGINT NOT NULL,
	part INTEGER NOT NULL,
	checksum BIGINT NOT NULL,
	PRIMARY KEY (store_id)
)
 WITHOUT ROWID

;
CREATE TABLE change_feed (
	id INTEGER NOT NULL,
	era TEXT NOT NULL, receivers BIGINT DEFAULT '0' NOT NULL,
	PRIMARY KEY (id)
)
;
CREATE TABLE delivery (
	store_id INTEGER NOT NULL,
	receiver TEXT NOT NULL,
	number BIGINT NOT NULL,
	part INTEGER NOT NULL,
	"offset" INTEGER NOT NULL,
	"check" BIGINT NOT NULL, era TEXT DEFAULT '' NOT NULL, planned BIGINT DEFAULT '0' NOT NULL, added BIGINT DEFAULT '0' NOT NULL, planned_key TEXT DEFAULT '' NOT NULL, end_number BIGINT DEFAULT '0' NOT NULL, end_part BIGINT DEFAULT '0' NOT NULL, end_offset BIGINT DEFAULT '0' NOT NULL, end_check BIGINT DEFAULT '0' NOT NULL,
	PRIMARY KEY (store_id, receiver)
)
 WITHOUT ROWID

;
