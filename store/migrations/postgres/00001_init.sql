-- +goose Up

-- One row is one user's claim on one name. The row is also the schedule of its
-- checks, and holds the route so that a read of a domain is two point queries.
-- Times are Unix milliseconds, 0 means never; booleans are 0 and 1.
CREATE TABLE domain (
  id               BIGINT PRIMARY KEY,
  user_id          TEXT COLLATE "C" NOT NULL,
  name             TEXT COLLATE "C" NOT NULL,
  unicode          TEXT COLLATE "C" NOT NULL,
  organization_id  TEXT COLLATE "C" NOT NULL DEFAULT '',
  status           TEXT COLLATE "C" NOT NULL CHECK (status IN ('pending', 'active', 'failed')),
  inbound_ready    BIGINT NOT NULL DEFAULT 0 CHECK (inbound_ready IN (0, 1)),
  sending_ready    BIGINT NOT NULL DEFAULT 0 CHECK (sending_ready IN (0, 1)),
  degraded         BIGINT NOT NULL DEFAULT 0 CHECK (degraded IN (0, 1)),
  created_at       BIGINT NOT NULL,
  updated_at       BIGINT NOT NULL,
  verified_at      BIGINT NOT NULL DEFAULT 0,
  last_checked_at  BIGINT NOT NULL DEFAULT 0,
  deleted_at       BIGINT NOT NULL DEFAULT 0,

  -- Ownership: see owner.go.
  holder           BIGINT NOT NULL DEFAULT 0 CHECK (holder IN (0, 1)),
  proven           BIGINT NOT NULL DEFAULT 0 CHECK (proven IN (0, 1)),
  held_by_other    BIGINT NOT NULL DEFAULT 0 CHECK (held_by_other IN (0, 1)),
  contested_at     BIGINT NOT NULL DEFAULT 0,
  absent_first_at  BIGINT NOT NULL DEFAULT 0,
  absent_last_at   BIGINT NOT NULL DEFAULT 0,

  -- The schedule: lane 0 is not verified or degraded, 1 verified, 2 a bulk
  -- import, -1 none.
  lane             BIGINT NOT NULL DEFAULT 0,
  next_check_at    BIGINT NOT NULL DEFAULT 0,
  due_at           BIGINT NOT NULL DEFAULT 0,
  full_check_at    BIGINT NOT NULL DEFAULT 0,
  pending_since    BIGINT NOT NULL,
  bulk             BIGINT NOT NULL DEFAULT 0 CHECK (bulk IN (0, 1)),
  unknowns         BIGINT NOT NULL DEFAULT 0,
  epoch            BIGINT NOT NULL DEFAULT 0,
  degraded_at      BIGINT NOT NULL DEFAULT 0,
  held             BIGINT NOT NULL DEFAULT 0 CHECK (held IN (0, 1)),

  route_mode       TEXT COLLATE "C" NOT NULL DEFAULT 'store'
                   CHECK (route_mode IN ('store', 'webhook', 'webhook_then_store', 'forward_email')),
  route_url        TEXT COLLATE "C" NOT NULL DEFAULT '',
  route_forward_to TEXT COLLATE "C" NOT NULL DEFAULT '',
  route_secret     BYTEA,
  route_version    BIGINT NOT NULL DEFAULT 1,
  route_updated_at BIGINT NOT NULL,

  UNIQUE (user_id, name),
  CHECK (status <> 'active' OR holder = 1),
  CHECK (deleted_at = 0 OR (holder = 0 AND lane = -1))
);

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
  domain_id       BIGINT NOT NULL REFERENCES domain (id) ON DELETE CASCADE,
  seq             BIGINT NOT NULL,
  user_id         TEXT COLLATE "C" NOT NULL,
  id              BIGINT NOT NULL,
  type            TEXT COLLATE "C" NOT NULL CHECK (type IN ('MX', 'TXT')),
  purpose         TEXT COLLATE "C" NOT NULL CHECK (purpose IN ('mx', 'spf', 'dmarc', 'dkim')),
  host            TEXT COLLATE "C" NOT NULL,
  name            TEXT COLLATE "C" NOT NULL,
  value           TEXT COLLATE "C" NOT NULL,
  priority        BIGINT NOT NULL DEFAULT 0,
  ttl             BIGINT NOT NULL,
  required        BIGINT NOT NULL CHECK (required IN (0, 1)),
  status          TEXT COLLATE "C" NOT NULL CHECK (status IN ('pending', 'verified', 'failed', 'disabled')),
  override        BIGINT NOT NULL DEFAULT 0 CHECK (override IN (0, 1)),
  degraded        BIGINT NOT NULL DEFAULT 0 CHECK (degraded IN (0, 1)),
  code            TEXT COLLATE "C" NOT NULL DEFAULT '',
  detail          TEXT COLLATE "C" NOT NULL DEFAULT '',
  hint            TEXT COLLATE "C" NOT NULL DEFAULT '',
  observed        TEXT COLLATE "C" NOT NULL DEFAULT '',
  suggested       TEXT COLLATE "C" NOT NULL DEFAULT '',
  warnings        TEXT COLLATE "C" NOT NULL DEFAULT '',
  last_checked_at BIGINT NOT NULL DEFAULT 0,
  verified_at     BIGINT NOT NULL DEFAULT 0,

  -- The evidence against it: see status.go.
  pending_since   BIGINT NOT NULL,
  bad_count       BIGINT NOT NULL DEFAULT 0,
  bad_first_at    BIGINT NOT NULL DEFAULT 0,
  bad_last_at     BIGINT NOT NULL DEFAULT 0,
  suspect_at      BIGINT NOT NULL DEFAULT 0,
  suspect_ttl     BIGINT NOT NULL DEFAULT 0,
  match_ttl       BIGINT NOT NULL DEFAULT 0,
  bad_looks       BIGINT NOT NULL DEFAULT 0,
  situation       BIGINT NOT NULL DEFAULT 0,

  -- DKIM only: which key of a rotation it publishes, and the older values.
  key_state       TEXT COLLATE "C" NOT NULL DEFAULT '' CHECK (key_state IN ('', 'active', 'next', 'retired')),
  retired         TEXT COLLATE "C" NOT NULL DEFAULT '',
  PRIMARY KEY (domain_id, seq)
);

CREATE TABLE dkim_key (
  domain_id    BIGINT NOT NULL REFERENCES domain (id) ON DELETE CASCADE,
  selector     TEXT COLLATE "C" NOT NULL,
  user_id      TEXT COLLATE "C" NOT NULL,
  state        TEXT COLLATE "C" NOT NULL CHECK (state IN ('active', 'next', 'retired')),
  public       TEXT COLLATE "C" NOT NULL,
  sealed       BYTEA    NOT NULL,
  created_at   BIGINT NOT NULL,
  activated_at BIGINT NOT NULL DEFAULT 0,
  retired_at   BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (domain_id, selector)
);

-- No selector is ever given to two users.
CREATE UNIQUE INDEX dkim_key_selector ON dkim_key (selector);
CREATE INDEX dkim_key_retired ON dkim_key (retired_at) WHERE retired_at > 0;

CREATE TABLE event (
  domain_id  BIGINT NOT NULL REFERENCES domain (id) ON DELETE CASCADE,
  id         BIGINT NOT NULL,
  user_id    TEXT COLLATE "C" NOT NULL,
  type       TEXT COLLATE "C" NOT NULL,
  actor      TEXT COLLATE "C" NOT NULL,
  record_id  BIGINT NOT NULL DEFAULT 0,
  from_value TEXT COLLATE "C" NOT NULL DEFAULT '',
  to_value   TEXT COLLATE "C" NOT NULL DEFAULT '',
  detail     TEXT COLLATE "C" NOT NULL DEFAULT '',
  at         BIGINT NOT NULL,
  PRIMARY KEY (domain_id, id)
);

-- How far ahead of the clock one user's creates have run.
CREATE TABLE pace (
  user_id TEXT COLLATE "C" PRIMARY KEY,
  free_at BIGINT NOT NULL
);

CREATE TABLE api_key (
  id              TEXT COLLATE "C" PRIMARY KEY,
  hash            BYTEA    NOT NULL UNIQUE,
  name            TEXT COLLATE "C" NOT NULL DEFAULT '',
  scope           TEXT COLLATE "C" NOT NULL CHECK (scope IN ('read', 'write', 'admin')),
  user_id         TEXT COLLATE "C" NOT NULL DEFAULT '',
  organization_id TEXT COLLATE "C" NOT NULL DEFAULT '',
  created_at      BIGINT NOT NULL,
  expires_at      BIGINT NOT NULL DEFAULT 0,
  revoked_at      BIGINT NOT NULL DEFAULT 0,
  last_used_at    BIGINT NOT NULL DEFAULT 0
);

-- The master keys in use, each with a value that only it can open.
CREATE TABLE master_key (
  id         TEXT COLLATE "C" PRIMARY KEY,
  canary     BYTEA    NOT NULL,
  current    BIGINT NOT NULL CHECK (current IN (0, 1)),
  created_at BIGINT NOT NULL
);

CREATE TABLE setting (
  name  TEXT COLLATE "C" PRIMARY KEY,
  value BIGINT NOT NULL
);

-- +goose Down
DROP TABLE setting;
DROP TABLE master_key;
DROP TABLE api_key;
DROP TABLE pace;
DROP TABLE event;
DROP TABLE dkim_key;
DROP TABLE record;
DROP TABLE domain;
