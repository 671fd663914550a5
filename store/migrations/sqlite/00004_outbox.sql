-- +goose Up

-- One row is one event that waits to be sent to the operator, and the schedule
-- of its tries; it goes when it was accepted or given up. next_at 0 means that
-- an earlier event of the domain goes first. There is no reference to the
-- domain: the news of its end outlives it.
CREATE TABLE outbox (
  domain_id       INTEGER NOT NULL,
  event_id        INTEGER NOT NULL,
  user_id         TEXT    NOT NULL,
  organization_id TEXT    NOT NULL,
  domain          TEXT    NOT NULL,
  type            TEXT    NOT NULL,
  actor           TEXT    NOT NULL,
  record_id       INTEGER NOT NULL,
  record_type     TEXT    NOT NULL,
  record_purpose  TEXT    NOT NULL,
  record_name     TEXT    NOT NULL,
  from_value      TEXT    NOT NULL,
  to_value        TEXT    NOT NULL,
  detail          TEXT    NOT NULL,
  at              INTEGER NOT NULL,
  next_at         INTEGER NOT NULL,
  tries           INTEGER NOT NULL DEFAULT 0,
  epoch           INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (domain_id, event_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX outbox_due ON outbox (next_at) WHERE next_at > 0;
CREATE INDEX outbox_at ON outbox (at);

-- +goose Down
DROP TABLE outbox;
