package api

import _ "embed"

// SpecYAML is openapi.yaml as it stands in the repository, comments and all.
//
//go:embed openapi.yaml
var SpecYAML []byte
