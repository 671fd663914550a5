-- +goose Up

-- One row is one user's claim on one name. The row is also the schedule of its
-- checks, and holds the route so that a read of a domain is two point queries.
-- Times are Unix milliseconds, 0 means never; booleans are 0 and 1.
CREATE TABLE domain (
  id               INTEGER PRIMARY KEY,
  user_id          TEXT    NOT NULL,
  name             TEXT    NOT NULL,
  unicode          TEXT    NOT NULL,
  organization_id  TEXT    NOT NULL DEFAULT '',
  status           TEXT    NOT NULL CHECK (status IN ('pending', 'active', 'failed')),
  inbound_ready    INTEGER NOT NULL DEFAULT 0 CHECK (inbound_ready IN (0, 1)),
  sending_ready    INTEGER NOT NULL DEFAULT 0 CHECK (sending_ready IN (0, 1)),
  degraded         INTEGER NOT NULL DEFAULT 0 CHECK (degraded IN (0, 1)),
  created_at       INTEGER NOT NULL,
  updated_at       INTEGER NOT NULL,
  verified_at      INTEGER NOT NULL DEFAULT 0,
  last_checked_at  INTEGER NOT NULL DEFAULT 0,
  deleted_at       INTEGER NOT NULL DEFAULT 0,

  -- Ownership: see owner.go.
  holder           INTEGER NOT NULL DEFAULT 0 CHECK (holder IN (0, 1)),
  proven           INTEGER NOT NULL DEFAULT 0 CHECK (proven IN (0, 1)),
  held_by_other    INTEGER NOT NULL DEFAULT 0 CHECK (held_by_other IN (0, 1)),
  contested_at     INTEGER NOT NULL DEFAULT 0,
  absent_first_at  INTEGER NOT NULL DEFAULT 0,
  absent_last_at   INTEGER NOT NULL DEFAULT 0,

  -- The schedule: lane 0 is not verified or degraded, 1 verified, 2 a bulk
  -- import, -1 none.
  lane             INTEGER NOT NULL DEFAULT 0,
  next_check_at    INTEGER NOT NULL DEFAULT 0,
  due_at           INTEGER NOT NULL DEFAULT 0,
  full_check_at    INTEGER NOT NULL DEFAULT 0,
  pending_since    INTEGER NOT NULL,
  bulk             INTEGER NOT NULL DEFAULT 0 CHECK (bulk IN (0, 1)),
  unknowns         INTEGER NOT NULL DEFAULT 0,
  epoch            INTEGER NOT NULL DEFAULT 0,
  degraded_at      INTEGER NOT NULL DEFAULT 0,
  held             INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)),

  route_mode       TEXT    NOT NULL DEFAULT 'store'
                   CHECK (route_mode IN ('store', 'webhook', 'webhook_then_store', 'forward_email')),
  route_url        TEXT    NOT NULL DEFAULT '',
  route_forward_to TEXT    NOT NULL DEFAULT '',
  route_secret     BLOB,
  route_version    INTEGER NOT NULL DEFAULT 1,
  route_updated_at INTEGER NOT NULL,

  UNIQUE (user_id, name),
  CHECK (status <> 'active' OR holder = 1),
  CHECK (deleted_at = 0 OR (holder = 0 AND lane = -1))
) STRICT;

-- At most one claim holds a name.
CREATE UNIQUE INDEX domain_holder ON domain (name) WHERE holder = 1;
CREATE INDEX domain_held_by_other ON domain (name) WHERE held_by_other = 1;
CREATE INDEX domain_due ON domain (lane, next_check_at);
CREATE INDEX domain_status ON domain (status, deleted_at);
CREATE INDEX domain_user_status ON domain (user_id, status, name);
CREATE INDEX domain_degraded ON domain (degraded_at) WHERE degraded_at > 0;
CREATE INDEX domain_held ON domain (id) WHERE held = 1;
CREATE INDEX domain_deleted ON domain (deleted_at) WHERE deleted_at > 0;

-- The records of a domain lie beside each other, in the order they are shown.
CREATE TABLE record (
  domain_id       INTEGER NOT NULL REFERENCES domain (id) ON DELETE CASCADE,
  seq             INTEGER NOT NULL,
  user_id         TEXT    NOT NULL,
  id              INTEGER NOT NULL,
  type            TEXT    NOT NULL CHECK (type IN ('MX', 'TXT')),
  purpose         TEXT    NOT NULL CHECK (purpose IN ('mx', 'spf', 'dmarc', 'dkim')),
  host            TEXT    NOT NULL,
  name            TEXT    NOT NULL,
  value           TEXT    NOT NULL,
  priority        INTEGER NOT NULL DEFAULT 0,
  ttl             INTEGER NOT NULL,
  required        INTEGER NOT NULL CHECK (required IN (0, 1)),
  status          TEXT    NOT NULL CHECK (status IN ('pending', 'verified', 'failed', 'disabled')),
  override        INTEGER NOT NULL DEFAULT 0 CHECK (override IN (0, 1)),
  degraded        INTEGER NOT NULL DEFAULT 0 CHECK (degraded IN (0, 1)),
  code            TEXT    NOT NULL DEFAULT '',
  detail          TEXT    NOT NULL DEFAULT '',
  hint            TEXT    NOT NULL DEFAULT '',
  observed        TEXT    NOT NULL DEFAULT '',
  suggested       TEXT    NOT NULL DEFAULT '',
  warnings        TEXT    NOT NULL DEFAULT '',
  last_checked_at INTEGER NOT NULL DEFAULT 0,
  verified_at     INTEGER NOT NULL DEFAULT 0,

  -- The evidence against it: see status.go.
  pending_since   INTEGER NOT NULL,
  bad_count       INTEGER NOT NULL DEFAULT 0,
  bad_first_at    INTEGER NOT NULL DEFAULT 0,
  bad_last_at     INTEGER NOT NULL DEFAULT 0,
  suspect_at      INTEGER NOT NULL DEFAULT 0,
  suspect_ttl     INTEGER NOT NULL DEFAULT 0,
  match_ttl       INTEGER NOT NULL DEFAULT 0,
  bad_looks       INTEGER NOT NULL DEFAULT 0,
  situation       INTEGER NOT NULL DEFAULT 0,

  -- DKIM only: which key of a rotation it publishes, and the older values.
  key_state       TEXT    NOT NULL DEFAULT '' CHECK (key_state IN ('', 'active', 'next', 'retired')),
  retired         TEXT    NOT NULL DEFAULT '',
  PRIMARY KEY (domain_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE dkim_key (
  domain_id    INTEGER NOT NULL REFERENCES domain (id) ON DELETE CASCADE,
  selector     TEXT    NOT NULL,
  user_id      TEXT    NOT NULL,
  state        TEXT    NOT NULL CHECK (state IN ('active', 'next', 'retired')),
  public       TEXT    NOT NULL,
  sealed       BLOB    NOT NULL,
  created_at   INTEGER NOT NULL,
  activated_at INTEGER NOT NULL DEFAULT 0,
  retired_at   INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (domain_id, selector)
) STRICT, WITHOUT ROWID;

-- No selector is ever given to two users.
CREATE UNIQUE INDEX dkim_key_selector ON dkim_key (selector);
CREATE INDEX dkim_key_retired ON dkim_key (retired_at) WHERE retired_at > 0;

CREATE TABLE event (
  domain_id  INTEGER NOT NULL REFERENCES domain (id) ON DELETE CASCADE,
  id         INTEGER NOT NULL,
  user_id    TEXT    NOT NULL,
  type       TEXT    NOT NULL,
  actor      TEXT    NOT NULL,
  record_id  INTEGER NOT NULL DEFAULT 0,
  from_value TEXT    NOT NULL DEFAULT '',
  to_value   TEXT    NOT NULL DEFAULT '',
  detail     TEXT    NOT NULL DEFAULT '',
  at         INTEGER NOT NULL,
  PRIMARY KEY (domain_id, id)
) STRICT, WITHOUT ROWID;

-- How far ahead of the clock one user's creates have run.
CREATE TABLE pace (
  user_id TEXT PRIMARY KEY,
  free_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_key (
  id              TEXT PRIMARY KEY,
  hash            BLOB    NOT NULL UNIQUE,
  name            TEXT    NOT NULL DEFAULT '',
  scope           TEXT    NOT NULL CHECK (scope IN ('read', 'write', 'admin')),
  user_id         TEXT    NOT NULL DEFAULT '',
  organization_id TEXT    NOT NULL DEFAULT '',
  created_at      INTEGER NOT NULL,
  expires_at      INTEGER NOT NULL DEFAULT 0,
  revoked_at      INTEGER NOT NULL DEFAULT 0,
  last_used_at    INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The master keys in use, each with a value that only it can open.
CREATE TABLE master_key (
  id         TEXT PRIMARY KEY,
  canary     BLOB    NOT NULL,
  current    INTEGER NOT NULL CHECK (current IN (0, 1)),
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE setting (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE setting;
DROP TABLE master_key;
DROP TABLE api_key;
DROP TABLE pace;
DROP TABLE event;
DROP TABLE dkim_key;
DROP TABLE record;
DROP TABLE domain;
