package server

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"html/template"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/domaind/domaind/gen/api"
)

// swagger holds Swagger UI (swagger-ui-dist 5.35.0, Apache-2.0), the two large
// files gzipped, and a page of ours around it.
//
//go:embed swagger/index.html swagger/init.js swagger/favicon.png swagger/*.gz
var swagger embed.FS

// docsPolicy lets the page run its own scripts and ask its own host, nothing
// else. Swagger UI sets inline styles and has its icons as data URLs.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// serveDocs adds the documentation: Swagger UI, the contract in both spellings,
// and a page for each kind of problem, which is where their type points.
func (s *Server) serveDocs(e *echo.Echo) error {
	spec, err := api.GetSpecJSON()
	if err != nil {
		return fmt.Errorf("read the embedded openapi.yaml: %w", err)
	}
	e.GET("/openapi.yaml", document("application/yaml", api.SpecYAML))
	e.GET("/openapi.json", document(echo.MIMEApplicationJSON, spec))
	e.GET("/docs", page)
	e.GET("/docs/problems/:code", problemPage)
	for file, url := range map[string]string{
		"init.js":                 "/docs/init.js",
		"favicon.png":             "/docs/favicon.png",
		"swagger-ui.css.gz":       "/docs/swagger-ui.css",
		"swagger-ui-bundle.js.gz": "/docs/swagger-ui-bundle.js",
	} {
		h, err := asset(file, path.Ext(url))
		if err != nil {
			return err
		}
		e.GET(url, h)
	}
	return nil
}

func document(mediaType string, body []byte) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderCacheControl, "no-cache")
		return c.Blob(http.StatusOK, mediaType, body)
	}
}

func page(c echo.Context) error {
	index, err := swagger.ReadFile("swagger/index.html")
	if err != nil {
		return fmt.Errorf("read the page: %w", err)
	}
	h := c.Response().Header()
	h.Set(echo.HeaderContentSecurityPolicy, docsPolicy)
	h.Set(echo.HeaderReferrerPolicy, "no-referrer")
	return c.HTMLBlob(http.StatusOK, index)
}

// asset serves an embedded file, a gzipped one as it is to whoever takes that.
func asset(file, ext string) (echo.HandlerFunc, error) {
	content, err := swagger.ReadFile("swagger/" + file)
	if err != nil {
		return nil, fmt.Errorf("read an embedded file: %w", err)
	}
	packed := strings.HasSuffix(file, ".gz")
	mediaType := mime.TypeByExtension(ext)
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set(echo.HeaderCacheControl, "public, max-age=86400")
		if !packed {
			return c.Blob(http.StatusOK, mediaType, content)
		}
		h.Set(echo.HeaderVary, echo.HeaderAcceptEncoding)
		if strings.Contains(c.Request().Header.Get(echo.HeaderAcceptEncoding), "gzip") {
			h.Set(echo.HeaderContentEncoding, "gzip")
			return c.Blob(http.StatusOK, mediaType, content)
		}
		plain, err := gzip.NewReader(bytes.NewReader(content))
		if err != nil {
			return fmt.Errorf("unpack an embedded file: %w", err)
		}
		all, err := io.ReadAll(plain)
		if err != nil {
			return fmt.Errorf("unpack an embedded file: %w", err)
		}
		return c.Blob(http.StatusOK, mediaType, all)
	}, nil
}

var problemTemplate = template.Must(template.New("problem").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<link rel="icon" href="/docs/favicon.png">
</head>
<body>
<h1>{{.Title}}</h1>
<p><code>{{.Code}}</code>, HTTP status {{.Status}}.</p>
<p>{{.Detail}}</p>
<p><a href="/docs">API reference</a></p>
</body>
</html>
`))

// problemPage says what a kind of problem means.
func problemPage(c echo.Context) error {
	for _, k := range kinds {
		if k.code != c.Param("code") {
			continue
		}
		var b bytes.Buffer
		err := problemTemplate.Execute(&b, map[string]any{"Code": k.code, "Title": k.title, "Status": k.status, "Detail": k.detail})
		if err != nil {
			return fmt.Errorf("write the problem's page: %w", err)
		}
		c.Response().Header().Set(echo.HeaderContentSecurityPolicy, docsPolicy)
		return c.HTMLBlob(http.StatusOK, b.Bytes())
	}
	return echo.ErrNotFound
}
