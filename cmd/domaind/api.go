package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/domaind/domaind/client"
)

// apiFlags say which service a command calls, and for whom.
type apiFlags struct {
	Server string `env:"DOMAIND_SERVER" default:"http://127.0.0.1:3000" help:"URL of the service."`
	Key    string `env:"DOMAIND_API_KEY" placeholder:"KEY" help:"API key."`
	User   string `env:"DOMAIND_USER" placeholder:"USER" help:"User that the domain belongs to."`
	JSON   bool   `name:"json" help:"Print the answer as JSON."`
}

// client returns the service's client. An error names the variable.
func (f apiFlags) client() (*client.Client, error) {
	switch {
	case f.Key == "":
		return nil, errors.New("DOMAIND_API_KEY (--key) is required: a key of the service")
	case f.User == "":
		return nil, errors.New("DOMAIND_USER (--user) is required: the user that the domain belongs to")
	}
	c, err := client.New(f.Server, client.WithKey(f.Key), client.WithUser(f.User))
	if err != nil {
		return nil, fmt.Errorf("DOMAIND_SERVER (--server): %w", err)
	}
	return c, nil
}

// use runs f with the client. What the service refuses is an answer, no; what
// keeps it from answering is a failure.
func (f apiFlags) use(run func(*client.Client) error) error {
	c, err := f.client()
	if err != nil {
		return err
	}
	err = run(c)
	p, answered := errors.AsType[*client.Problem](err)
	_, unreached := errors.AsType[*url.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("DOMAIND_SERVER (--server): no service listens at %s: %w", f.Server, syscall.ECONNREFUSED)
	case errors.Is(err, context.Canceled):
		return err
	case unreached, answered && p.Code == "": // whoever that is, domaind gives a code
		return fmt.Errorf("DOMAIND_SERVER (--server): %w", err)
	case answered && p.Status/100 == 4 && p.Status != http.StatusTooManyRequests:
		return refusedError{err}
	}
	return err
}

// print writes an answer: as JSON when the flags say so, else by table.
func (f apiFlags) print(w io.Writer, answer any, table func(*tabwriter.Writer)) error {
	if f.JSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(answer)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	table(t)
	return t.Flush()
}

// refusedError is an answer no that comes with a reason.
type refusedError struct{ error }

// Is makes the exit code that of errNo.
func (refusedError) Is(target error) bool { return target == errNo }

func (e refusedError) Unwrap() error { return e.error }

// row writes one line of a table. What others wrote, such as the subject of a
// message, cannot reach the terminal's controls.
func row(t *tabwriter.Writer, cells ...string) {
	for i, cell := range cells {
		cells[i] = printable(firstOf(cell, "-"))
	}
	_, _ = fmt.Fprintln(t, strings.Join(cells, "\t"))
}

// printable replaces what is no visible character or space: controls, escapes,
// marks that turn the direction of text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// stampOf is stamp of a time that may be missing.
func stampOf(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return stamp(*t)
}

func valueOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
