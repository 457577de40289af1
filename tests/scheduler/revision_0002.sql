-- A scheduler's database as revision 0002 left it: the tables as its migrations made them then
-- (SQLite's own text of them), and rows written by hand. Never changed: databases like it exist.
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE attempt (
	id TEXT NOT NULL,
	unit TEXT NOT NULL,
	number INTEGER NOT NULL,
	token TEXT NOT NULL,
	worker TEXT NOT NULL,
	state TEXT NOT NULL,
	reason TEXT NOT NULL,
	why TEXT NOT NULL,
	leased_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	statement TEXT,
	report TEXT,
	values_digest TEXT,
	capsules INTEGER NOT NULL,
	contributors INTEGER NOT NULL, sealed BLOB,
	PRIMARY KEY (id),
	CONSTRAINT accepted_has_statement CHECK (state <> 'accepted' OR statement IS NOT NULL),
	CONSTRAINT state_name CHECK (state IN ('leased', 'reported', 'accepted', 'rejected', 'expired', 'abandoned', 'cancelled')),
	FOREIGN KEY(unit) REFERENCES unit (id),
	FOREIGN KEY(worker) REFERENCES worker (name),
	UNIQUE (report),
	CONSTRAINT attempt_number UNIQUE (unit, number)
);
CREATE TABLE authorisation (
	id TEXT NOT NULL,
	bundle TEXT NOT NULL,
	digest TEXT NOT NULL,
	title TEXT NOT NULL,
	purpose TEXT NOT NULL,
	campaigns INTEGER NOT NULL,
	not_before BIGINT NOT NULL,
	not_after BIGINT NOT NULL,
	received_at BIGINT NOT NULL,
	suspended_at BIGINT,
	suspended_because TEXT,
	PRIMARY KEY (id),
	CONSTRAINT suspended_has_reason CHECK ((suspended_at IS NULL) = (suspended_because IS NULL)),
	FOREIGN KEY(bundle) REFERENCES bundle (digest),
	UNIQUE (digest)
);
CREATE TABLE blob (
	digest TEXT NOT NULL,
	size INTEGER NOT NULL,
	public BOOLEAN NOT NULL,
	giver TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (digest)
);
CREATE TABLE bundle (
	digest TEXT NOT NULL,
	statement TEXT NOT NULL,
	manifest TEXT NOT NULL,
	name TEXT NOT NULL,
	version TEXT NOT NULL,
	author TEXT NOT NULL,
	submitted_at BIGINT NOT NULL,
	PRIMARY KEY (digest)
);
CREATE TABLE campaign (
	id TEXT NOT NULL,
	bundle TEXT NOT NULL,
	authorisation TEXT NOT NULL,
	parameters TEXT NOT NULL,
	started_by TEXT NOT NULL,
	request TEXT NOT NULL,
	state TEXT NOT NULL,
	reason TEXT NOT NULL,
	why TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	plan_before BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	updated_by TEXT NOT NULL,
	release TEXT, helper TEXT, destroyed TEXT, epoch TEXT, retired TEXT,
	PRIMARY KEY (id),
	CONSTRAINT released_has_release CHECK ((state = 'released') = (release IS NOT NULL)),
	CONSTRAINT state_name CHECK (state IN ('draft', 'running', 'concluding', 'released', 'failed', 'cancelled')),
	FOREIGN KEY(authorisation) REFERENCES authorisation (id),
	FOREIGN KEY(bundle) REFERENCES bundle (digest),
	CONSTRAINT request_once UNIQUE (started_by, request)
);
CREATE TABLE capsule (
	id TEXT NOT NULL,
	owner TEXT NOT NULL,
	PRIMARY KEY (id)
);
CREATE TABLE commitment (
	digest TEXT NOT NULL,
	kind TEXT NOT NULL,
	campaign TEXT,
	leaves BLOB NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (digest)
);
CREATE TABLE consent (
	capsule TEXT NOT NULL,
	target TEXT NOT NULL,
	worker TEXT NOT NULL,
	serial INTEGER NOT NULL,
	decision TEXT NOT NULL,
	tables TEXT NOT NULL,
	expires_at BIGINT NOT NULL,
	received_at BIGINT NOT NULL,
	digest TEXT NOT NULL,
	delivered BOOLEAN NOT NULL,
	delivering INTEGER NOT NULL,
	PRIMARY KEY (capsule, target),
	CONSTRAINT decision_name CHECK (decision IN ('grant', 'revoke')),
	FOREIGN KEY(capsule) REFERENCES capsule (id),
	FOREIGN KEY(digest) REFERENCES restricted (digest)
);
CREATE TABLE exchange (
	worker TEXT NOT NULL,
	sequence INTEGER NOT NULL,
	request TEXT NOT NULL,
	acknowledgements BLOB NOT NULL,
	answer BLOB,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (worker, sequence),
	FOREIGN KEY(worker) REFERENCES worker (name)
);
CREATE TABLE installation (
	id INTEGER NOT NULL,
	territory TEXT NOT NULL,
	clock_mark BIGINT NOT NULL,
	clock_held BOOLEAN NOT NULL,
	PRIMARY KEY (id)
);
CREATE TABLE log_entry (
	id INTEGER NOT NULL,
	kind TEXT NOT NULL,
	digest TEXT NOT NULL,
	campaign TEXT,
	position INTEGER,
	proof TEXT,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT kind_name CHECK (kind IN ('root', 'authorisation', 'suspension', 'plan', 'orders', 'opening', 'release', 'consents', 'enrolment', 'key-event', 'helper-key', 'key-destroyed', 'batch', 'share', 'refusal', 'trustee-key', 'epoch-key', 'share-request', 'trustee-share', 'opened', 'epoch-retired')),
	CONSTRAINT proof_has_position CHECK (proof IS NULL OR position IS NOT NULL),
	CONSTRAINT logged_once UNIQUE (kind, digest)
);
CREATE TABLE member (
	name TEXT NOT NULL,
	role TEXT NOT NULL,
	"key" TEXT NOT NULL,
	hpke BLOB NOT NULL,
	operator TEXT NOT NULL,
	site TEXT NOT NULL,
	enrolled_at BIGINT NOT NULL,
	enrolment TEXT,
	banned_at BIGINT,
	banned_because TEXT,
	PRIMARY KEY (name),
	UNIQUE ("key")
);
CREATE TABLE restricted (
	digest TEXT NOT NULL,
	kind TEXT NOT NULL,
	campaign TEXT,
	envelope BLOB NOT NULL,
	salt BLOB NOT NULL,
	commitment TEXT,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (digest),
	CONSTRAINT kind_name CHECK (kind IN ('orders', 'partials', 'consents'))
);
CREATE TABLE round (
	campaign TEXT NOT NULL,
	number INTEGER NOT NULL,
	state TEXT NOT NULL,
	"plan" TEXT NOT NULL,
	issued_at BIGINT NOT NULL,
	deadline BIGINT NOT NULL,
	capsules INTEGER NOT NULL,
	reason TEXT NOT NULL,
	why TEXT NOT NULL,
	batch TEXT,
	aggregate TEXT,
	opening TEXT,
	contributors INTEGER NOT NULL, examined TEXT, leader TEXT, helper TEXT, ciphertext BLOB, masks BLOB, accepted TEXT, commitment TEXT,
	PRIMARY KEY (campaign, number),
	CONSTRAINT opened_has_opening CHECK ((state = 'opened') = (opening IS NOT NULL)),
	CONSTRAINT prepared_has_batch CHECK (state = 'open' OR state = 'aborted' OR batch IS NOT NULL),
	CONSTRAINT state_name CHECK (state IN ('open', 'preparing', 'opened', 'aborted')),
	FOREIGN KEY(campaign) REFERENCES campaign (id),
	UNIQUE (opening)
);
CREATE TABLE token (
	digest TEXT NOT NULL,
	role TEXT NOT NULL,
	operator TEXT NOT NULL,
	site TEXT NOT NULL,
	expires_at BIGINT NOT NULL,
	used_by TEXT,
	used_key TEXT,
	PRIMARY KEY (digest)
);
CREATE TABLE unit (
	id TEXT NOT NULL,
	campaign TEXT NOT NULL,
	round INTEGER NOT NULL,
	kind TEXT NOT NULL,
	worker TEXT,
	state TEXT NOT NULL,
	reason TEXT NOT NULL,
	why TEXT NOT NULL,
	capsules INTEGER NOT NULL,
	deadline BIGINT NOT NULL,
	not_before BIGINT,
	maximum_attempts INTEGER NOT NULL,
	lease_seconds INTEGER NOT NULL,
	needs TEXT NOT NULL,
	done INTEGER NOT NULL,
	updated_at BIGINT NOT NULL,
	updated_by TEXT NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT kind_name CHECK (kind IN ('contribute', 'conclude')),
	CONSTRAINT state_name CHECK (state IN ('waiting', 'ready', 'leased', 'satisfied', 'failed', 'cancelled')),
	FOREIGN KEY(campaign) REFERENCES campaign (id),
	CONSTRAINT one_unit_per_worker UNIQUE (campaign, round, kind, worker)
);
CREATE TABLE worker (
	name TEXT NOT NULL,
	last_seen BIGINT,
	sequence INTEGER NOT NULL,
	slots INTEGER NOT NULL,
	level TEXT NOT NULL,
	image TEXT,
	libraries TEXT NOT NULL,
	contributes BOOLEAN NOT NULL,
	concludes BOOLEAN NOT NULL,
	draining BOOLEAN NOT NULL,
	quota_daily INTEGER NOT NULL,
	quota_used INTEGER NOT NULL,
	quota_day INTEGER NOT NULL,
	PRIMARY KEY (name),
	FOREIGN KEY(name) REFERENCES member (name)
);
CREATE INDEX restricted_to_commit ON restricted (kind, campaign) WHERE commitment IS NULL;
CREATE INDEX ix_authorisation_bundle ON authorisation (bundle);
CREATE INDEX consent_of_worker ON consent (worker, target);
CREATE INDEX consent_to_deliver ON consent (worker) WHERE NOT delivered;
CREATE INDEX campaign_moving ON campaign (state) WHERE state IN ('draft', 'running', 'concluding');
CREATE INDEX ix_unit_campaign ON unit (campaign);
CREATE INDEX unit_moving ON unit (deadline) WHERE state IN ('waiting', 'ready', 'leased');
CREATE INDEX unit_to_lease ON unit (worker, kind) WHERE state = 'ready';
CREATE INDEX attempt_expiry ON attempt (expires_at) WHERE state IN ('leased', 'reported');
CREATE UNIQUE INDEX attempt_live ON attempt (unit) WHERE state IN ('leased', 'reported');
CREATE INDEX attempt_of_worker ON attempt (worker) WHERE state IN ('leased', 'reported');
CREATE INDEX ix_attempt_unit ON attempt (unit);
CREATE INDEX ix_log_entry_digest ON log_entry (digest);
CREATE INDEX log_to_do ON log_entry (id) WHERE proof IS NULL;

-- Rows of every state and table. Moments are microseconds since 1970.
INSERT INTO installation VALUES (1, 'old.example', 1795348800000000, 0);
INSERT INTO token VALUES
  ('sha256:token-used', 'worker', 'ville', 'mairie', 1795300000000000, 'wrk_a', 'ed25519:a'),
  ('sha256:token-open', 'operator', 'ville', 'mairie', 1795399999000000, NULL, NULL);
INSERT INTO member VALUES
  ('wrk_a', 'worker', 'ed25519:a', x'0a', 'ville', 'mairie', 1795000000000001, 'sha256:enrolled-a', NULL, NULL),
  ('wrk_b', 'worker', 'ed25519:b', x'0b', 'departement', 'college', 1795000000000002, NULL, NULL, NULL),
  ('wrk_c', 'worker', 'ed25519:c', x'0c', 'ville', 'salle', 1795000000000003, NULL, NULL, NULL),
  ('wrk_x', 'worker', 'ed25519:x', x'', 'inconnu', 'x', 1795000000000004, NULL, 1795100000000000, 'it lied'),
  ('ana', 'operator', 'ed25519:ana', x'', 'ana', 'mairie', 1795000000000005, NULL, NULL, NULL);
INSERT INTO worker VALUES
  ('wrk_a', 1795348700000000, 17, 2, 'L3', 'sha256:image', 'numpy', 1, 0, 0, 64, 3, 20779),
  ('wrk_b', NULL, 0, 0, '', NULL, '', 0, 0, 0, 64, 0, 0),
  ('wrk_c', 1795348600000000, 4, 1, 'L3', 'sha256:image', 'numpy torch', 0, 1, 1, 32, 1, 20779);
INSERT INTO exchange VALUES
  ('wrk_a', 16, 'sha256:batch-16', x'5b5d', x'00ff00', 1795348690000000),
  ('wrk_a', 17, 'sha256:batch-17', x'5b317d', NULL, 1795348700000000);
INSERT INTO blob VALUES
  ('sha256:settings', 2, 1, '', 1795000000000000),
  ('sha256:values', 4096, 0, 'wrk_a', 1795348000000000);
INSERT INTO bundle VALUES
  ('sha256:bundle', 'sha256:statement', 'sha256:manifest', 'counts', '1.0.0', 'ed25519:author', 1795000000000000);
INSERT INTO authorisation VALUES
  ('auth_valid', 'sha256:bundle', 'sha256:vote', 'Counts', 'tests', 10, 1794000000000000, 1799000000000000, 1795000000000000, NULL, NULL),
  ('auth_ended', 'sha256:bundle', 'sha256:vote-2', 'Counts', 'tests', 1, 1794000000000000, 1799000000000000, 1795000000000001, 1795200000000000, 'a doubt');
INSERT INTO restricted VALUES
  ('sha256:consent-1', 'consents', NULL, x'7b7d', x'01', 'sha256:commitment', 1795000000000000),
  ('sha256:partial-a', 'partials', 'camp_released', x'7b317d', x'02', NULL, 1795348000000000);
INSERT INTO commitment VALUES
  ('sha256:commitment', 'consents', NULL, x'0102', 1795000100000000);
INSERT INTO capsule VALUES ('cap_1', 'ed25519:owner-1');
INSERT INTO consent VALUES
  ('cap_1', 'sha256:bundle', 'wrk_a', 3, 'grant', 'commute numbers', 1799000000000000, 1795000000000000, 'sha256:consent-1', 1, 16);
INSERT INTO campaign VALUES
  ('camp_draft', 'sha256:bundle', 'auth_valid', 'sha256:settings', 'ana', 'one', 'draft', 'waiting-for-consents', 'waiting for consents: 2 missing', 1795348000000000, 1795351600000000, 1795348000000000, 'start-campaign', NULL, NULL, NULL, NULL, NULL),
  ('camp_running', 'sha256:bundle', 'auth_valid', 'sha256:settings-2', 'ana', 'two', 'running', '', '', 1795347000000000, 1795350600000000, 1795348000000000, 'plan-round', NULL, 'sha256:helper-key', NULL, NULL, NULL),
  ('camp_concluding', 'sha256:bundle', 'auth_valid', 'sha256:settings', 'ana', 'three', 'concluding', '', '', 1795346000000000, 1795349600000000, 1795347000000000, 'open-round', NULL, NULL, NULL, 'sha256:epoch', NULL),
  ('camp_released', 'sha256:bundle', 'auth_ended', 'sha256:settings', 'ana', 'four', 'released', '', '', 1795100000000000, 1795103600000000, 1795101000000000, 'release', 'sha256:release', 'sha256:helper-key-2', 'sha256:destroyed', NULL, NULL),
  ('camp_failed', 'sha256:bundle', 'auth_ended', 'sha256:settings', 'ana', 'five', 'failed', 'no-quorum', 'no quorum', 1795100000000000, 1795103600000000, 1795102000000000, 'close-round', NULL, NULL, NULL, NULL, NULL),
  ('camp_cancelled', 'sha256:bundle', 'auth_ended', 'sha256:settings', 'ana', 'six', 'cancelled', 'cancelled', 'cancelled: no', 1795100000000000, 1795103600000000, 1795103000000000, 'cancel-campaign', NULL, NULL, NULL, NULL, NULL);
INSERT INTO round VALUES
  ('camp_running', 1, 'open', 'sha256:plan-running', 1795348000000000, 1795348600000000, 8, 'waiting-for-partials', 'waiting for partials: 1 of 2', NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  ('camp_concluding', 1, 'opened', 'sha256:plan-concluding', 1795346100000000, 1795346700000000, 8, '', '', 'sha256:lines', 'sha256:aggregate', 'sha256:opening', 8, 'sha256:examined', NULL, NULL, x'c1', x'c2', NULL, NULL),
  ('camp_released', 1, 'opened', 'sha256:plan-released', 1795100100000000, 1795100700000000, 7, '', '', 'sha256:lines-2', 'sha256:aggregate-2', 'sha256:opening-2', 7, NULL, 'sha256:leader', 'sha256:helper', NULL, NULL, 'sha256:accepted', 'sha256:commit'),
  ('camp_failed', 1, 'aborted', 'sha256:plan-failed', 1795100100000000, 1795100700000000, 7, 'no-quorum', 'no quorum', NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO unit VALUES
  ('unit_ra', 'camp_running', 1, 'contribute', 'wrk_a', 'satisfied', '', '', 4, 1795348600000000, NULL, 5, 900, 'sha256:plan-running', 4, 1795348100000000, 'accept-report'),
  ('unit_rb', 'camp_running', 1, 'contribute', 'wrk_b', 'leased', '', '', 4, 1795348600000000, 1795348050000000, 5, 900, 'sha256:plan-running', 1, 1795348200000000, 'lease'),
  ('unit_cc', 'camp_concluding', 1, 'conclude', NULL, 'ready', '', '', 0, 1795350200000000, NULL, 5, 300, 'sha256:opening', 0, 1795346800000000, 'open-round'),
  ('unit_ca', 'camp_concluding', 1, 'contribute', 'wrk_a', 'satisfied', '', '', 8, 1795346700000000, NULL, 5, 900, 'sha256:plan-concluding', 8, 1795346500000000, 'accept-report'),
  ('unit_la', 'camp_released', 1, 'contribute', 'wrk_a', 'satisfied', '', '', 4, 1795100700000000, NULL, 5, 900, 'sha256:plan-released', 4, 1795100500000000, 'accept-report'),
  ('unit_lb', 'camp_released', 1, 'contribute', 'wrk_b', 'satisfied', '', '', 3, 1795100700000000, NULL, 5, 900, 'sha256:plan-released', 3, 1795100500000000, 'accept-report'),
  ('unit_lc', 'camp_released', 1, 'conclude', 'wrk_c', 'satisfied', '', '', 0, 1795104000000000, NULL, 5, 300, 'sha256:opening-2', 0, 1795101000000000, 'accept-report'),
  ('unit_fa', 'camp_failed', 1, 'contribute', 'wrk_a', 'failed', 'out-of-attempts', 'no attempt is left', 4, 1795100700000000, NULL, 5, 900, 'sha256:plan-failed', 0, 1795100600000000, 'let-time-pass');
INSERT INTO attempt VALUES
  ('att_1', 'unit_ra', 1, 'token-1', 'wrk_a', 'expired', 'lease-expired', 'the lease ended', 1795348000000000, 1795348010000000, NULL, NULL, NULL, 0, 0, NULL),
  ('att_2', 'unit_ra', 2, 'token-2', 'wrk_a', 'accepted', '', '', 1795348020000000, 1795348920000000, 'sha256:partial-r', 'rep_1', 'sha256:values', 4, 4, x'5ea1ed'),
  ('att_3', 'unit_rb', 1, 'token-3', 'wrk_b', 'leased', '', '', 1795348060000000, 1795348960000000, NULL, NULL, NULL, 0, 0, NULL),
  ('att_4', 'unit_la', 1, 'token-4', 'wrk_a', 'accepted', '', '', 1795100200000000, 1795101100000000, 'sha256:partial-a', 'rep_2', 'sha256:values', 4, 4, NULL);
INSERT INTO log_entry VALUES
  (1, 'root', 'sha256:root', NULL, 0, 'c2sp.org/tlog-proof@v1', 1795000000000000),
  (2, 'authorisation', 'sha256:vote', NULL, 1, 'c2sp.org/tlog-proof@v1', 1795000000000000),
  (3, 'helper-key', 'sha256:helper-key', 'camp_running', 2, NULL, 1795347000000000),
  (7, 'plan', 'sha256:plan-running', 'camp_running', NULL, NULL, 1795348000000000);
