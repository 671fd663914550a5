-- +goose Up

-- One row is what a check of a domain looks for: its live records, packed into
-- one text that expectation.go reads. It repeats columns of record, so that a
-- claim gets all it needs in one row.
CREATE TABLE expectation (
  domain_id INTEGER PRIMARY KEY REFERENCES domain (id) ON DELETE CASCADE,
  records   TEXT    NOT NULL
) STRICT;

INSERT INTO expectation (domain_id, records)
SELECT domain.id, COALESCE((SELECT string_agg(concat_ws(char(31), id, purpose, name, value, priority,
    CASE WHEN status = 'verified' THEN 1 ELSE 0 END, bad_looks, situation, retired), char(30) ORDER BY seq)
  FROM record WHERE domain_id = domain.id AND status <> 'disabled' AND key_state <> 'retired'), '')
FROM domain;

-- +goose Down
DROP TABLE expectation;
