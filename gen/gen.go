// Package gen holds what is generated from openapi.yaml: the server's half in
// api, the Go client in client. Run `go generate ./gen` after a change there.
package gen

//go:generate go tool oapi-codegen -config api/config.yaml ../openapi.yaml
//go:generate go tool oapi-codegen -config client/config.yaml ../openapi.yaml
//go:generate cp ../openapi.yaml api/openapi.yaml
