package server_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/domaind/domaind/gen/client"
)

// rawRequest is a request that goes out as written, nothing normalised.
type rawRequest struct {
	Method     string          `json:"method"`
	Path       string          `json:"path"`
	Headers    [][]string      `json:"headers"`
	BodyJSON   json.RawMessage `json:"body_json"`
	BodyRaw    *string         `json:"body_raw"`
	BodyB64    string          `json:"body_b64"`
	BodyRepeat *struct {
		Prefix, Char, Suffix string
		Count                int
	} `json:"body_repeat"`
	NoKey             bool     `json:"no_key"`
	Omit              []string `json:"omit"`
	Chunked           bool     `json:"chunked"`
	HalfClose         bool     `json:"half_close"`
	Version           string   `json:"version"`
	HeaderRepeat      []any    `json:"header_repeat"`
	HeaderRepeatLines []any    `json:"header_repeat_lines"`
}

// answer is what came back; status 0 when nothing did.
type answer struct {
	status int
	header http.Header
	body   string
}

// placeholders holds what stands for the names of a row.
type placeholders map[string]string

func (p placeholders) fill(s string) string {
	for name, value := range p {
		s = strings.ReplaceAll(s, name, value)
	}
	return s
}

// placeholders prepares what the row's setup asks for.
func (h *harness) placeholders(setup []string) placeholders {
	h.t.Helper()
	p := placeholders{
		"{rand}": random(), "{key}": adminKey, "{key_cut}": adminKey[:len(adminKey)-1],
		"{key_swapcase}": strings.ToUpper(adminKey), "{mx_host}": service.MXHost,
	}
	for _, step := range setup {
		prefix, user := "", "u1"
		switch step {
		case "other":
			prefix = "other_"
		case "foreign":
			prefix, user = "foreign_", "u2"
		case "deleted":
			c := h.client(adminKey)
			must(c.DeleteDomainWithResponse(h.t.Context(), client.DeleteDomainRequest{Domain: p["{domain}"], UserID: "u1"}))
			continue
		case "mail":
			h.addMail(p, "", "u1")
			continue
		case "foreign_mail":
			h.addMail(p, "foreign_", "u2")
			continue
		}
		d := h.create(random()+".com", user)
		p["{"+prefix+"domain}"] = d.Domain.Domain
		p["{"+prefix+"record_id}"] = strconv.FormatInt(d.DNS[0].ID, 10)
		if prefix == "" {
			p["{DOMAIN}"] = strings.ToUpper(d.Domain.Domain)
		}
	}
	return p
}

// random returns ten letters and digits, a letter first.
func random() string { return "r" + strings.ToLower(rand.Text())[:9] }

func (h *harness) stillWorks() {
	h.t.Helper()
	name := random() + ".com"
	h.create(name, "u9")
	r := must(h.client(adminKey).GetDomainWithResponse(h.t.Context(), name, &client.GetDomainParams{UserID: "u9"}))
	if r.JSON200 == nil {
		h.t.Errorf("a good call fails afterwards: %s", r.Status())
	}
}

// body returns the octets of the body, and whether there is one.
func (r rawRequest) body(t *testing.T, p placeholders) ([]byte, bool) {
	switch {
	case r.BodyJSON != nil:
		var v any
		dec := json.NewDecoder(bytes.NewReader(r.BodyJSON))
		dec.UseNumber()
		ok(t, dec.Decode(&v))
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		ok(t, enc.Encode(v))
		text := strings.TrimSuffix(b.String(), "\n")
		for name, value := range p {
			if strings.HasSuffix(name, "record_id}") {
				text = strings.ReplaceAll(text, `"`+name+`"`, value)
			}
		}
		return []byte(p.fill(text)), true
	case r.BodyRaw != nil:
		return []byte(p.fill(*r.BodyRaw)), true
	case r.BodyB64 != "":
		b, err := base64.StdEncoding.DecodeString(r.BodyB64)
		ok(t, err)
		return []byte(p.fill(string(b))), true
	case r.BodyRepeat != nil:
		b := r.BodyRepeat
		return []byte(p.fill(b.Prefix) + strings.Repeat(b.Char, b.Count) + p.fill(b.Suffix)), true
	}
	return nil, false
}

// head writes the request line and the header fields.
func (r rawRequest) head(p placeholders, body []byte, hasBody bool) []byte {
	var b bytes.Buffer
	version := r.Version
	if version == "" {
		version = "HTTP/1.1"
	}
	fmt.Fprintf(&b, "%s %s %s\r\n", r.Method, p.fill(r.Path), version)
	given := map[string]bool{}
	for _, name := range r.Omit {
		given[strings.ToLower(name)] = true
	}
	for _, h := range r.Headers {
		line := h[0]
		if len(h) > 1 {
			line = h[0] + ": " + p.fill(h[1])
		}
		given[strings.ToLower(strings.TrimSpace(h[0]))] = true
		fmt.Fprintf(&b, "%s\r\n", line)
	}
	if n := r.HeaderRepeat; n != nil {
		fmt.Fprintf(&b, "%s: %s\r\n", n[0], strings.Repeat(n[1].(string), int(n[2].(float64))))
	}
	if n := r.HeaderRepeatLines; n != nil {
		b.WriteString(strings.Repeat(fmt.Sprintf("%s: %s\r\n", n[0], n[1]), int(n[2].(float64))))
	}
	add := func(when bool, name, value string) {
		if when && !given[strings.ToLower(name)] {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	add(true, "Host", "127.0.0.1")
	add(!r.NoKey, "x-api-key", adminKey)
	add(hasBody, "Content-Type", "application/json")
	add(r.Chunked, "Transfer-Encoding", "chunked")
	add(hasBody && !r.Chunked && !given["transfer-encoding"], "Content-Length", strconv.Itoa(len(body)))
	add(true, "Connection", "close")
	b.WriteString("\r\n")
	return b.Bytes()
}

// send writes the request on a connection of its own and reads the answer.
func (r rawRequest) send(t *testing.T, h *harness, p placeholders) answer {
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	ok(t, err)
	defer func() { _ = conn.Close() }()
	ok(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	body, hasBody := r.body(t, p)
	out := r.head(p, body, hasBody)
	if r.Chunked {
		for len(body) > 0 {
			n := min(len(body), 8192)
			out = fmt.Appendf(out, "%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		out = append(out, "0\r\n\r\n"...)
	} else {
		out = append(out, body...)
	}
	_, _ = conn.Write(out) // a server may answer and close before it is all written
	if r.HalfClose {
		ok(t, conn.(*net.TCPConn).CloseWrite())
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, &http.Request{Method: r.Method})
	for err == nil && resp.StatusCode == http.StatusContinue {
		resp, err = http.ReadResponse(in, &http.Request{Method: r.Method})
	}
	if err != nil {
		return answer{}
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	ok(t, err)
	return answer{resp.StatusCode, resp.Header, string(text)}
}
