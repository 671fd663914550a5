package server_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/domaind/domaind/gen/api"
)

func TestDocsAreServedFromTheBinary(t *testing.T) {
	h := start(t)
	for path, want := range map[string]struct{ mediaType, part string }{
		"/docs":                      {"text/html", "/docs/swagger-ui-bundle.js"},
		"/docs/init.js":              {"text/javascript", "SwaggerUIBundle"},
		"/docs/swagger-ui-bundle.js": {"text/javascript", "SwaggerUIBundle"},
		"/docs/swagger-ui.css":       {"text/css", ".swagger-ui"},
		"/docs/favicon.png":          {"image/png", "PNG"},
		"/openapi.json":              {"application/json", `"openapi":"3.0.3"`},
	} {
		resp, body := h.do(http.MethodGet, path, "", "x-api-key", "")
		if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), want.mediaType) || !strings.Contains(body, want.part) {
			t.Errorf("%s: %d %s, %d octets", path, resp.StatusCode, resp.Header.Get("Content-Type"), len(body))
		}
	}
	_, page := h.do(http.MethodGet, "/docs", "")
	if strings.Contains(page, "http://") || strings.Contains(page, "https://") {
		t.Error("the page loads something from elsewhere")
	}
	plain, _ := h.do(http.MethodGet, "/docs/swagger-ui.css", "", "Accept-Encoding", "identity")
	if plain.StatusCode != http.StatusOK || plain.Header.Get("Content-Encoding") != "" {
		t.Errorf("without gzip: %d %v", plain.StatusCode, plain.Header)
	}
}

func TestTheContractIsServedAsItIsWritten(t *testing.T) {
	h := start(t)
	want, err := os.ReadFile("../openapi.yaml")
	ok(t, err)
	_, got := h.do(http.MethodGet, "/openapi.yaml", "")
	if !bytes.Equal(want, []byte(got)) {
		t.Error("/openapi.yaml is not openapi.yaml; run go generate ./gen")
	}
}

// TestProblemTypesResolve follows the type of a problem.
func TestProblemTypesResolve(t *testing.T) {
	h := start(t)
	for _, path := range []string{"/nosuch", "/v2/domains?x=1", "/v2/domains/com/info?user_id=u1"} {
		_, body := h.do(http.MethodGet, path, "")
		var p struct{ Type, Code string }
		ok(t, json.Unmarshal([]byte(body), &p))
		resp, page := h.do(http.MethodGet, p.Type, "")
		if resp.StatusCode != http.StatusOK || !strings.Contains(page, p.Code) {
			t.Errorf("%s: %d %s", p.Type, resp.StatusCode, page)
		}
	}
	if resp, _ := h.do(http.MethodGet, "/docs/problems/nosuch", ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown kind: %d", resp.StatusCode)
	}
}

// TestEveryCodeHasItsPage reads the codes where the contract lists them.
func TestEveryCodeHasItsPage(t *testing.T) {
	h := start(t)
	doc, err := api.GetSpec()
	ok(t, err)
	text := doc.Components.Schemas["Problem"].Value.Properties["code"].Value.Description
	codes := regexp.MustCompile("`([a-z-]+)`").FindAllStringSubmatch(text, -1)
	if len(codes) < 17 {
		t.Fatalf("the contract lists %d codes", len(codes))
	}
	for _, code := range codes {
		resp, page := h.do(http.MethodGet, "/docs/problems/"+code[1], "", "x-api-key", "")
		if resp.StatusCode != http.StatusOK || !strings.Contains(page, "<code>"+code[1]+"</code>") {
			t.Errorf("%s: %d %s", code[1], resp.StatusCode, page)
		}
		if !strings.Contains(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s has no policy", code[1])
		}
	}
}
