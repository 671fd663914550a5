-- +goose Up

-- One row is one event that waits to be sent to the operator, and the schedule
-- of its tries; it goes when it was accepted or given up. next_at 0 means that
-- an earlier event of the domain goes first. There is no reference to the
-- domain: the news of its end outlives it.
CREATE TABLE outbox (
  domain_id       BIGINT NOT NULL,
  event_id        BIGINT NOT NULL,
  user_id         TEXT COLLATE "C" NOT NULL,
  organization_id TEXT COLLATE "C" NOT NULL,
  domain          TEXT COLLATE "C" NOT NULL,
  type            TEXT COLLATE "C" NOT NULL,
  actor           TEXT COLLATE "C" NOT NULL,
  record_id       BIGINT NOT NULL,
  record_type     TEXT COLLATE "C" NOT NULL,
  record_purpose  TEXT COLLATE "C" NOT NULL,
  record_name     TEXT COLLATE "C" NOT NULL,
  from_value      TEXT COLLATE "C" NOT NULL,
  to_value        TEXT COLLATE "C" NOT NULL,
  detail          TEXT COLLATE "C" NOT NULL,
  at              BIGINT NOT NULL,
  next_at         BIGINT NOT NULL,
  tries           BIGINT NOT NULL DEFAULT 0,
  epoch           BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (domain_id, event_id)
);

CREATE INDEX outbox_due ON outbox (next_at) WHERE next_at > 0;
CREATE INDEX outbox_at ON outbox (at);

-- +goose Down
DROP TABLE outbox;
