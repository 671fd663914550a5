-- +goose Up

-- How often a claim was written, its records with it: a read that takes both in
-- two statements sees whether a write came between them.
ALTER TABLE domain ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE domain DROP COLUMN revision;
