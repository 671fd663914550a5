-- +goose Up

-- One row is one link to the setup page of a domain. Its token is not here,
-- only the token's SHA-256. A row outlives its link, so that a late visitor is
-- told from a guesser.
CREATE TABLE setup_link (
  token_hash BLOB    PRIMARY KEY,
  domain_id  INTEGER NOT NULL REFERENCES domain (id) ON DELETE CASCADE,
  user_id    TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  revoked_at INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX setup_link_domain ON setup_link (domain_id);
CREATE INDEX setup_link_expiry ON setup_link (expires_at);

-- +goose Down
DROP TABLE setup_link;
