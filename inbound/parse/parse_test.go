package parse

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "\r\n", "Subject: x\r\n\r\nhi\r\n", "From: a@b\r\n c\r\n\r\n",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n",
		"Content-Type: text/plain; charset=\"x\xff\r\nContent-Transfer-Encoding: base64\r\n\r\n!!",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := Parse(raw)
		for _, s := range []string{m.Subject, m.Text, m.HTML, m.MessageID} {
			if !utf8.ValidString(s) {
				t.Errorf("not UTF-8: %q", s)
			}
		}
		for i, p := range m.Parts {
			if p.Index != i {
				t.Errorf("part %d has index %d", i, p.Index)
			}
		}
		if _, again := Parse(raw); (err == nil) != (again == nil) {
			t.Error("two parses differ:", err, again)
		}
	})
}

func TestFromDomain(t *testing.T) {
	for header, want := range map[string]string{
		"From: Ann <ann@Sender.Example>":                  "sender.example",
		"From: a@x.example, b@x.example":                  "x.example",
		"From: a@x.example, b@y.example":                  "",
		"From: a@x.example\r\nFrom: b@x.example":          "",
		"From: \"a@y.example\" <b@x.example>":             "x.example",
		"From: nobody":                                    "",
		"Subject: x":                                      "",
		"From: ann@sender.example.\r\nSubject: final dot": "sender.example",
	} {
		if got := ReadHeader([]byte(header + "\r\n\r\n")).FromDomain(); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}

func TestAttachment(t *testing.T) {
	raw := []byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n" +
		"--b\r\nContent-Disposition: attachment; filename=x.bin\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b--\r\n")
	p, err := Attachment(raw, 0)
	if err != nil || p.Filename != "x.bin" || string(p.Content) != "\x00\x01\x02" {
		t.Errorf("%+v %v", p, err)
	}
	for _, i := range []int{-1, 1, 99} {
		if _, err := Attachment(raw, i); !errors.Is(err, ErrNoAttachment) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// nested multiparts cost more with each level; unclosed ones twice as much.
func TestNesting(t *testing.T) {
	for _, c := range []struct {
		levels int
		closed bool
		fails  bool
	}{{3, true, false}, {3, false, false}, {30, true, false}, {30, false, true}, {2000, true, true}, {2000, false, true}} {
		text, tail := "Subject: deep\r\n", ""
		for i := range c.levels {
			text += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
			if c.closed {
				tail = fmt.Sprintf("\r\n--b%d--\r\n", i) + tail
			}
		}
		if _, err := Parse([]byte(text + "\r\nhi" + tail)); (err != nil) != c.fails {
			t.Errorf("%+v: %v", c, err)
		}
	}
	siblings := "Content-Type: multipart/digest; boundary=outer\r\n\r\n"
	for i := range 500 {
		siblings += fmt.Sprintf("--outer\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n\r\nhi\r\n--b%d--\r\n", i, i, i)
	}
	if _, err := Parse([]byte(siblings + "--outer--\r\n")); err != nil {
		t.Error("siblings:", err)
	}
}

// What a sender can make slow is not read to its end, and comes unparsed.
func TestHostileForms(t *testing.T) {
	parts := "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	for name, c := range map[string]struct {
		raw   string
		fails bool
	}{
		"a long field":       {"Subject: x\r\n" + strings.Repeat(" y\r\n", MaxHeader/4-10) + "\r\nhi", false},
		"a longer one":       {"Subject: x\r\n" + strings.Repeat(" \r\n", 5<<20) + "\r\nhi", true},
		"fields for ever":    {strings.Repeat("a:\r\n", 5<<20), true},
		"a part each octet":  {parts + strings.Repeat("--b\r\n\r\n", 2<<20) + "--b--\r\n", true},
		"thousands of texts": {parts + strings.Repeat("--b\r\n\r\n"+strings.Repeat("x", 2000)+"\r\n", maxParts/10) + "--b--\r\n", false},
	} {
		started := time.Now()
		m, err := Parse([]byte(c.raw))
		if took := time.Since(started); (err != nil) != c.fails || took > maxParse {
			t.Errorf("%s: %v after %v", name, err, took)
		}
		if len(m.Header) == 0 || m.Header[0].Name == "Subject" && !strings.HasPrefix(m.Header.Get("Subject"), "x ") {
			t.Errorf("%s: %.100q", name, m.Header)
		}
	}
}

func TestReadHeader(t *testing.T) {
	got := ReadHeader([]byte("junk\r\n folded junk\r\nA: b\r\n  c\t\r\njunk again\r\n\td\nB:\n\r\nC: d\r\n"))
	want := Header{{"A", "b c d"}, {"B", ""}}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestSlowParse(t *testing.T) {
	p := &patient{r: bytes.NewReader([]byte("x"))}
	defer func() {
		if recover() == nil {
			t.Error("read on")
		}
	}()
	_, _ = p.Read(make([]byte, 1))
}

func TestCut(t *testing.T) {
	for s, want := range map[string]string{"abc": "abc", "abcdef": "abcd", "abcé": "abc", "€€": "€"} {
		if got := Cut(s, 4); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
