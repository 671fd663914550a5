-- +goose Up

-- The claims on a name, for the receiver.
CREATE INDEX domain_name ON domain (name) WHERE deleted_at = 0;

-- The secret before a rotation also signs until route_secret_until. The
-- endpoint of route_gone_version answered 410: an edited route is tried again.
ALTER TABLE domain ADD COLUMN route_secret_prev BLOB;
ALTER TABLE domain ADD COLUMN route_secret_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE domain ADD COLUMN route_gone_version INTEGER NOT NULL DEFAULT 0;

-- One row is one accepted message: its envelope and its octets, which lie in
-- the spool where they are many. It belongs to nobody by itself; whose it is,
-- its deliveries say.
CREATE TABLE message (
  id          TEXT    PRIMARY KEY,
  kind        TEXT    NOT NULL CHECK (kind IN ('mail', 'notice', 'bounce')),
  mail_from   TEXT    NOT NULL,
  helo        TEXT    NOT NULL,
  remote_ip   TEXT    NOT NULL,
  tls         TEXT    NOT NULL,
  subject     TEXT    NOT NULL,
  header_from TEXT    NOT NULL,
  bytes       INTEGER NOT NULL,
  sha256      TEXT    NOT NULL,
  received_at INTEGER NOT NULL,
  auth        TEXT    NOT NULL DEFAULT '',
  raw         BLOB
) STRICT;

CREATE INDEX message_spooled ON message (sha256) WHERE raw IS NULL;

-- One row is one recipient, and the schedule of its delivery: next_at 0 means
-- never. There is no reference to the domain: mail outlives a deleted claim,
-- and finds the same user's next claim on the name.
CREATE TABLE delivery (
  id          TEXT    PRIMARY KEY,
  message_id  TEXT    NOT NULL REFERENCES message (id) ON DELETE CASCADE,
  domain_id   INTEGER NOT NULL,
  user_id     TEXT    NOT NULL,
  domain      TEXT    NOT NULL,
  lead        INTEGER NOT NULL CHECK (lead IN (0, 1)),
  rcpt_to     TEXT    NOT NULL,
  target      TEXT    NOT NULL DEFAULT '',
  mode        TEXT    NOT NULL CHECK (mode IN ('store', 'webhook', 'webhook_then_store', 'forward_email')),
  state       TEXT    NOT NULL CHECK (state IN ('queued', 'delivered', 'stored', 'held', 'dead', 'failed')),
  hold        TEXT    NOT NULL DEFAULT '',
  next_at     INTEGER NOT NULL DEFAULT 0,
  epoch       INTEGER NOT NULL DEFAULT 0,
  tries       INTEGER NOT NULL DEFAULT 0,
  attempts    INTEGER NOT NULL DEFAULT 0,
  thin        INTEGER NOT NULL DEFAULT 0 CHECK (thin IN (0, 1)),
  forced      INTEGER NOT NULL DEFAULT 0 CHECK (forced IN (0, 1)),
  since       INTEGER NOT NULL,
  created_at  INTEGER NOT NULL,
  done_at     INTEGER NOT NULL DEFAULT 0,
  keep_until  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX delivery_due ON delivery (next_at) WHERE next_at > 0;
CREATE INDEX delivery_message ON delivery (message_id);
CREATE INDEX delivery_domain ON delivery (domain_id, state, id);
CREATE INDEX delivery_lead ON delivery (domain_id, message_id) WHERE lead = 1;
CREATE INDEX delivery_keep ON delivery (keep_until) WHERE keep_until > 0;
CREATE INDEX delivery_user ON delivery (user_id, domain) WHERE state = 'held';

CREATE TABLE attempt (
  delivery_id TEXT    NOT NULL REFERENCES delivery (id) ON DELETE CASCADE,
  n           INTEGER NOT NULL,
  at          INTEGER NOT NULL,
  ms          INTEGER NOT NULL,
  status      INTEGER NOT NULL,
  error       TEXT    NOT NULL,
  answer      TEXT    NOT NULL,
  PRIMARY KEY (delivery_id, n)
) STRICT, WITHOUT ROWID;

-- Signs links to mail and our return paths. Not sealed: whoever reads this
-- table reads the mail beside it.
CREATE TABLE mail_key (
  id     INTEGER PRIMARY KEY CHECK (id = 1),
  secret BLOB    NOT NULL
) STRICT;

-- +goose Down
DROP TABLE mail_key;
DROP TABLE attempt;
DROP TABLE delivery;
DROP TABLE message;
ALTER TABLE domain DROP COLUMN route_gone_version;
ALTER TABLE domain DROP COLUMN route_secret_until;
ALTER TABLE domain DROP COLUMN route_secret_prev;
DROP INDEX domain_name;
