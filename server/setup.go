package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/store"
)

// The setup page is for the customer's DNS admin, who has a link and no key.
// The link's token is in the path, and the path is in no log.

//go:embed setup/*.html setup/*.css setup/*.js setup/*.svg
var setupFS embed.FS

// setupPolicy lets the page use its own files and ask its own host.
const setupPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// setupRoute is where the pages are.
const setupRoute = "/setup/:token"

// setupFiles is what the page is made of.
type setupFiles struct {
	pages  *template.Template
	assets map[string][]byte // by a name that changes with the content
}

// newSetupFiles reads the embedded files.
func newSetupFiles() (*setupFiles, error) {
	f := &setupFiles{assets: map[string][]byte{}}
	names := map[string]string{}
	for _, file := range []string{"setup.css", "setup.js", "icon.svg"} {
		content, err := setupFS.ReadFile("setup/" + file)
		if err != nil {
			return nil, fmt.Errorf("read an embedded file: %w", err)
		}
		sum, ext := sha256.Sum256(content), path.Ext(file)
		names[file] = strings.TrimSuffix(file, ext) + "." + hex.EncodeToString(sum[:6]) + ext
		f.assets[names[file]] = content
	}
	var err error
	f.pages, err = template.New("").Funcs(template.FuncMap{
		"asset":   func(file string) string { return "assets/" + names[file] },
		"visible": visible,
	}).ParseFS(setupFS, "setup/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse the setup page: %w", err)
	}
	return f, nil
}

// render executes a template whole, so that a failure leaves no half page.
func (f *setupFiles) render(name string, data any) (string, error) {
	var b bytes.Buffer
	if err := f.pages.ExecuteTemplate(&b, name, data); err != nil {
		return "", fmt.Errorf("write the setup page: %w", err)
	}
	return b.String(), nil
}

func (s *Server) serveSetup(e *echo.Echo) {
	e.GET("/setup/assets/:file", s.setupAsset)
	e.GET(setupRoute, s.withLink(s.setupPage))
	e.GET(setupRoute+"/state", s.withLink(s.setupState))
	e.GET(setupRoute+"/zone", s.withLink(s.setupZone))
	e.POST(setupRoute+"/check", s.withLink(s.setupCheck))
}

func (s *Server) setupAsset(c echo.Context) error {
	content, ok := s.setup.assets[c.Param("file")]
	if !ok {
		return echo.ErrNotFound
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "public, max-age=31536000, immutable")
	return c.Blob(http.StatusOK, mime.TypeByExtension(path.Ext(c.Param("file"))), content)
}

// withLink opens the link of a call; the handler gets what it opens.
func (s *Server) withLink(next func(echo.Context, store.OpenLink) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set(echo.HeaderContentSecurityPolicy, setupPolicy)
		h.Set(echo.HeaderReferrerPolicy, "no-referrer")
		h.Set("X-Robots-Tag", "noindex, nofollow")
		l, err := s.cfg.Store.OpenSetupLink(c.Request().Context(), pathValue(c, "token"))
		if errors.Is(err, store.ErrNotFound) {
			if limited := s.limits.badLink(c.RealIP()); limited != nil {
				return limited
			}
		}
		if err != nil {
			return err
		}
		if err := s.limits.request("setup:"+l.Tenant.UserID+" "+l.Domain, h); err != nil {
			return err
		}
		return next(c, l)
	}
}

func (s *Server) setupPage(c echo.Context, l store.OpenLink) error {
	v, err := s.setupView(c.Request().Context(), l)
	if err != nil {
		return err
	}
	v.Token = pathValue(c, "token")
	html, err := s.setup.render("page.html", v)
	if err != nil {
		return err
	}
	return c.HTML(http.StatusOK, html)
}

// setupStateAnswer is what the page's script asks for: the parts of the page
// by name, each with the HTML that it has now.
type setupStateAnswer struct {
	Domain   string            `json:"domain"`
	Status   string            `json:"status"`
	Verified int               `json:"verified"`
	Total    int               `json:"total"`
	Title    string            `json:"title"`
	Announce string            `json:"announce"`
	Records  []setupRecord     `json:"records"`
	Parts    map[string]string `json:"parts"`
}

// setupRecord is a record's state, for programs.
type setupRecord struct {
	ID     int64  `json:"id"`
	Type   string `json:"type"`
	Name   string `json:"name"`
	Status string `json:"status"`
	Code   string `json:"code,omitempty"`
}

func (s *Server) setupState(c echo.Context, l store.OpenLink) error {
	v, err := s.setupView(c.Request().Context(), l)
	if err != nil {
		return err
	}
	v.Token = pathValue(c, "token")
	out := setupStateAnswer{
		Domain: v.Domain, Status: v.Status, Verified: v.Done, Total: v.Total,
		Title: v.Title, Announce: v.Announce, Parts: map[string]string{},
	}
	if out.Parts["summary"], err = s.setup.render("summary", v); err != nil {
		return err
	}
	for _, r := range v.Records {
		out.Records = append(out.Records, setupRecord{ID: r.ID, Type: r.Type, Name: r.Name, Status: r.Status, Code: r.Code})
		if out.Parts[r.Part], err = s.setup.render("record", r); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, out)
}

// setupZone gives the records as a zone file: those values that the page says
// to enter.
func (s *Server) setupZone(c echo.Context, l store.OpenLink) error {
	d, err := s.cfg.Store.Domain(c.Request().Context(), l.Tenant, l.Domain)
	if err != nil {
		return err
	}
	for i, r := range d.Records {
		d.Records[i].Value = toEnter(r)
	}
	zone := dnscheck.Zone(toPublish(d.Records))
	c.Response().Header().Set(echo.HeaderXContentTypeOptions, "nosniff")
	return download{
		body: io.NopCloser(strings.NewReader(zone)), size: int64(len(zone)),
		mediaType: "text/dns", filename: l.Domain + ".zone",
	}.write(c.Response())
}

// setupCheck checks now. A form comes back to the page, a script gets the state.
func (s *Server) setupCheck(c echo.Context, l store.OpenLink) error {
	if err := s.sameSite(c.Request()); err != nil {
		return err
	}
	if err := s.checkLinked(c.Request().Context(), l); err != nil {
		return err
	}
	if wantsData(c) {
		return s.setupState(c, l)
	}
	return c.Redirect(http.StatusSeeOther, "../"+url.PathEscape(pathValue(c, "token")))
}

// checkLinked checks the domain of a link. One that took too long has changed
// nothing, and is no failure.
func (s *Server) checkLinked(ctx context.Context, l store.OpenLink) error {
	if s.cfg.CheckNow == nil {
		return newProblem(codeUnavailable)
	}
	id, err := s.cfg.Store.DomainID(ctx, l.Tenant, l.Domain)
	if err != nil {
		return err
	}
	if err := s.limits.setupCheck(id); err != nil {
		return err
	}
	_, err = s.cfg.CheckNow(ctx, id, func(ctx context.Context) (dnscheck.Job, error) {
		return s.cfg.Store.ClaimDomain(ctx, l.Tenant, l.Domain)
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil
	}
	return err
}

// sameSite refuses a form that another site made. The token in the path is what
// really keeps it out: no other site knows it. A page without a referrer gives
// its own forms the origin "null" (Fetch standard, "append a request Origin
// header"), which only a browser without Sec-Fetch-Site leaves to be judged.
func (s *Server) sameSite(r *http.Request) error {
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "null" {
		return nil
	}
	guard := http.NewCrossOriginProtection()
	if u, err := url.Parse(s.cfg.PublicURL); err == nil && u.Host != "" {
		_ = guard.AddTrustedOrigin(u.Scheme + "://" + u.Host) // a URL that links start with has both
	}
	if guard.Check(r) != nil {
		return badParameter(fieldError{"/header/origin", "cross-site", "this form is sent from the page itself"})
	}
	return nil
}

// wantsData reports whether a script asks, rather than a person's browser.
func wantsData(c echo.Context) bool {
	return strings.Contains(c.Request().Header.Get(echo.HeaderAccept), echo.MIMEApplicationJSON)
}

// wantsPage reports whether a problem is said in a page: to whoever opened a
// link. One that never was is an unknown path, as any other, unless a browser
// asks.
func wantsPage(c echo.Context, p *problem) bool {
	if !strings.HasPrefix(c.Path(), setupRoute) || strings.HasSuffix(c.Path(), "/state") || wantsData(c) {
		return false
	}
	return p.code != codeNotFound || strings.Contains(c.Request().Header.Get(echo.HeaderAccept), echo.MIMETextHTML)
}

// writeProblemPage says in plain words what is wrong, and what to do.
func (s *Server) writeProblemPage(c echo.Context, p *problem) {
	back := ""
	if p.status == http.StatusTooManyRequests && c.Path() != setupRoute {
		back = "../" + url.PathEscape(pathValue(c, "token"))
	}
	html, err := s.setup.render("problem.html", map[string]any{
		"Base": base(c), "Code": p.code, "Status": p.status, "Wait": p.headers["Retry-After"], "Back": back,
		"Request": callFrom(c.Request().Context()).id,
	})
	if err != nil { // cannot be: a test renders every kind
		html = template.HTMLEscapeString(p.title)
	}
	_ = c.HTML(p.status, html) // a client that is gone
}

// base is the way from a page to the place of its files.
func base(c echo.Context) string {
	if c.Path() == setupRoute {
		return ""
	}
	return "../"
}
