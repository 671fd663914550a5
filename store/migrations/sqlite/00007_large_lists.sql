-- +goose Up

-- All claims on a name, the deleted too: a write locks them all where there are
-- several writers. Not under the old name: CockroachDB cannot use that again in
-- the same transaction.
CREATE INDEX domain_claims ON domain (name);
DROP INDEX domain_name;

-- The lists of an organization among very many domains of one user.
CREATE INDEX domain_organization ON domain (user_id, organization_id, name) WHERE organization_id <> '' AND deleted_at = 0;
CREATE INDEX domain_organization_status ON domain (user_id, organization_id, status, name) WHERE organization_id <> '' AND deleted_at = 0;

-- +goose Down
DROP INDEX domain_organization_status;
DROP INDEX domain_organization;
CREATE INDEX domain_name ON domain (name) WHERE deleted_at = 0;
DROP INDEX domain_claims;
