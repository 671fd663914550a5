-- +goose Up

-- The claims on a name, for the receiver.
CREATE INDEX domain_name ON domain (name) WHERE deleted_at = 0;

-- The secret before a rotation also signs until route_secret_until. The
-- endpoint of route_gone_version answered 410: an edited route is tried again.
ALTER TABLE domain ADD COLUMN route_secret_prev BYTEA;
ALTER TABLE domain ADD COLUMN route_secret_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE domain ADD COLUMN route_gone_version BIGINT NOT NULL DEFAULT 0;

-- One row is one accepted message: its envelope and its octets, which lie in
-- the spool where they are many. It belongs to nobody by itself; whose it is,
-- its deliveries say.
CREATE TABLE message (
  id          TEXT COLLATE "C" PRIMARY KEY,
  kind        TEXT COLLATE "C" NOT NULL CHECK (kind IN ('mail', 'notice', 'bounce')),
  mail_from   TEXT COLLATE "C" NOT NULL,
  helo        TEXT COLLATE "C" NOT NULL,
  remote_ip   TEXT COLLATE "C" NOT NULL,
  tls         TEXT COLLATE "C" NOT NULL,
  subject     TEXT COLLATE "C" NOT NULL,
  header_from TEXT COLLATE "C" NOT NULL,
  bytes       BIGINT NOT NULL,
  sha256      TEXT COLLATE "C" NOT NULL,
  received_at BIGINT NOT NULL,
  auth        TEXT COLLATE "C" NOT NULL DEFAULT '',
  raw         BYTEA
);

CREATE INDEX message_spooled ON message (sha256) WHERE raw IS NULL;

-- One row is one recipient, and the schedule of its delivery: next_at 0 means
-- never. There is no reference to the domain: mail outlives a deleted claim,
-- and finds the same user's next claim on the name.
CREATE TABLE delivery (
  id          TEXT COLLATE "C" PRIMARY KEY,
  message_id  TEXT COLLATE "C" NOT NULL REFERENCES message (id) ON DELETE CASCADE,
  domain_id   BIGINT NOT NULL,
  user_id     TEXT COLLATE "C" NOT NULL,
  domain      TEXT COLLATE "C" NOT NULL,
  lead        BIGINT NOT NULL CHECK (lead IN (0, 1)),
  rcpt_to     TEXT COLLATE "C" NOT NULL,
  target      TEXT COLLATE "C" NOT NULL DEFAULT '',
  mode        TEXT COLLATE "C" NOT NULL CHECK (mode IN ('store', 'webhook', 'webhook_then_store', 'forward_email')),
  state       TEXT COLLATE "C" NOT NULL CHECK (state IN ('queued', 'delivered', 'stored', 'held', 'dead', 'failed')),
  hold        TEXT COLLATE "C" NOT NULL DEFAULT '',
  next_at     BIGINT NOT NULL DEFAULT 0,
  epoch       BIGINT NOT NULL DEFAULT 0,
  tries       BIGINT NOT NULL DEFAULT 0,
  attempts    BIGINT NOT NULL DEFAULT 0,
  thin        BIGINT NOT NULL DEFAULT 0 CHECK (thin IN (0, 1)),
  forced      BIGINT NOT NULL DEFAULT 0 CHECK (forced IN (0, 1)),
  since       BIGINT NOT NULL,
  created_at  BIGINT NOT NULL,
  done_at     BIGINT NOT NULL DEFAULT 0,
  keep_until  BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX delivery_due ON delivery (next_at) WHERE next_at > 0;
CREATE INDEX delivery_message ON delivery (message_id);
CREATE INDEX delivery_domain ON delivery (domain_id, state, id);
CREATE INDEX delivery_lead ON delivery (domain_id, message_id) WHERE lead = 1;
CREATE INDEX delivery_keep ON delivery (keep_until) WHERE keep_until > 0;
CREATE INDEX delivery_user ON delivery (user_id, domain) WHERE state = 'held';

CREATE TABLE attempt (
  delivery_id TEXT COLLATE "C" NOT NULL REFERENCES delivery (id) ON DELETE CASCADE,
  n           BIGINT NOT NULL,
  at          BIGINT NOT NULL,
  ms          BIGINT NOT NULL,
  status      BIGINT NOT NULL,
  error       TEXT COLLATE "C" NOT NULL,
  answer      TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (delivery_id, n)
);

-- Signs links to mail and our return paths. Not sealed: whoever reads this
-- table reads the mail beside it.
CREATE TABLE mail_key (
  id     BIGINT PRIMARY KEY CHECK (id = 1),
  secret BYTEA    NOT NULL
);

-- +goose Down
DROP TABLE mail_key;
DROP TABLE attempt;
DROP TABLE delivery;
DROP TABLE message;
ALTER TABLE domain DROP COLUMN route_gone_version;
ALTER TABLE domain DROP COLUMN route_secret_until;
ALTER TABLE domain DROP COLUMN route_secret_prev;
DROP INDEX domain_name;
