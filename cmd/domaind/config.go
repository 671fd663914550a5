package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/dmarc"
	"github.com/domaind/domaind/dnscheck/name"
	"github.com/domaind/domaind/dnscheck/spf"
)

// The flags are grouped by what they are about, so that each command takes
// the groups that it needs. Every flag has an environment variable; kong names
// both in its error when a value does not parse.

// expectFlags say what a managed domain must publish.
type expectFlags struct {
	MXHost        string   `env:"DOMAIND_MX_HOST" placeholder:"HOST" help:"Host that takes inbound mail; serve requires it."`
	MXPriority    uint16   `env:"DOMAIND_MX_PRIORITY" default:"10" help:"MX preference to publish."`
	SPF           string   `name:"spf" env:"DOMAIND_SPF" default:"v=spf1 mx ~all" help:"SPF record to publish."`
	DMARC         string   `name:"dmarc" env:"DOMAIND_DMARC" default:"v=DMARC1; p=none;" help:"DMARC record to publish."`
	DMARCRequired bool     `name:"dmarc-required" env:"DOMAIND_DMARC_REQUIRED" default:"true" negatable:"" help:"A domain needs its DMARC record to become active."`
	SendingIPs    addrList `name:"sending-ips" env:"DOMAIND_SENDING_IPS" placeholder:"IP,…" help:"Addresses that SPF must let through (default: those of the MX host)."`
}

// dnsFlags say how DNS is asked.
type dnsFlags struct {
	DNSServers      serverList    `name:"dns-servers" env:"DOMAIND_DNS_SERVERS" placeholder:"IP:PORT,…" help:"Recursive resolvers (default: from /etc/resolv.conf)."`
	DNSDirect       bool          `name:"dns-direct" env:"DOMAIND_DNS_DIRECT" default:"true" negatable:"" help:"Ask the zone's own servers for check-now, and before a bad look counts."`
	AllowPrivateDNS prefixList    `name:"allow-private-dns" env:"DOMAIND_ALLOW_PRIVATE_DNS" placeholder:"CIDR,…" help:"Non-global addresses where a zone's own servers may be, for laboratories."`
	CheckMin        time.Duration `env:"DOMAIND_CHECK_MIN" default:"1m" help:"Unit of the check schedules; all steps scale with it."`
	Concurrency     int           `name:"check-concurrency" env:"DOMAIND_CHECK_CONCURRENCY" default:"32" help:"Domains checked at the same time."`
}

// storeFlags say where the rows are.
type storeFlags struct {
	Database      string `env:"DOMAIND_DATABASE" default:"domaind.db" help:"SQLite file, or postgres://… URL."`
	MasterKeyFile string `env:"DOMAIND_MASTER_KEY_FILE" placeholder:"FILE" help:"Key that seals secrets (default: master.key beside the SQLite file, made on the first start)."`
}

// logFlags say how the service logs.
type logFlags struct {
	LogFormat string `env:"DOMAIND_LOG_FORMAT" default:"auto" help:"text, json, or auto: text on a terminal, else json."`
	LogLevel  string `env:"DOMAIND_LOG_LEVEL" default:"info" help:"Lowest level that is logged: debug, info, warn or error."`
}

// service returns what the flags say a domain must publish.
func (f expectFlags) service() (dnscheck.Service, error) {
	host, err := f.host()
	switch {
	case err != nil:
		return dnscheck.Service{}, err
	case host == "":
		return dnscheck.Service{}, errors.New("DOMAIND_MX_HOST (--mx-host) is required: the host that takes inbound mail")
	}
	if err := f.validate(); err != nil {
		return dnscheck.Service{}, err
	}
	s := dnscheck.Service{MXHost: host, MXPriority: f.MXPriority, SPF: f.SPF, DMARC: f.DMARC, DMARCRequired: f.DMARCRequired}
	return s, s.Validate()
}

// host returns the MX host in its canonical form, "" when there is none.
func (f expectFlags) host() (string, error) {
	if f.MXHost == "" {
		return "", nil
	}
	host, err := name.Host(f.MXHost)
	if err != nil {
		return "", fmt.Errorf("DOMAIND_MX_HOST (--mx-host): %w", err)
	}
	return host, nil
}

// validate says what parsing alone cannot; the error names the variable.
func (f expectFlags) validate() error {
	if _, err := spf.Parse(f.SPF); err != nil {
		return fmt.Errorf("DOMAIND_SPF (--spf): %w", err)
	}
	if _, err := dmarc.Parse(f.DMARC); err != nil {
		return fmt.Errorf("DOMAIND_DMARC (--dmarc): %w", err)
	}
	if strings.ContainsFunc(f.DMARC, unicode.IsControl) { // the records are packed with some of them
		return errors.New("DOMAIND_DMARC (--dmarc): must be without control characters")
	}
	return nil
}

// validate says what parsing alone cannot; the error names the variable.
func (f dnsFlags) validate() error {
	switch {
	case f.CheckMin <= 0:
		return errors.New("DOMAIND_CHECK_MIN (--check-min): must be above zero")
	case f.Concurrency < 1 || f.Concurrency > 10_000:
		return errors.New("DOMAIND_CHECK_CONCURRENCY (--check-concurrency): must be 1 to 10000")
	}
	return nil
}

// validate says what parsing alone cannot; the error names the variable.
func (f logFlags) validate() error {
	if !slices.Contains([]string{"auto", "text", "json"}, f.LogFormat) {
		return fmt.Errorf("DOMAIND_LOG_FORMAT (--log-format): %q is not auto, text or json", f.LogFormat)
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, f.LogLevel) {
		return fmt.Errorf("DOMAIND_LOG_LEVEL (--log-level): %q is not debug, info, warn or error", f.LogLevel)
	}
	return nil
}

// logger returns the logger that the flags ask for, writing to standard error.
func (f logFlags) logger() *slog.Logger { return slog.New(f.handler(os.Stderr)) }

// handler returns the log's form on w; whether it is for a person is judged by
// standard error, where all of the log ends.
func (f logFlags) handler(w io.Writer) slog.Handler {
	var level slog.Level
	_ = level.UnmarshalText([]byte(f.LogLevel)) // validate has checked it
	options := &slog.HandlerOptions{Level: level}
	if f.LogFormat == "text" || f.LogFormat == "auto" && term.IsTerminal(int(os.Stderr.Fd())) {
		return slog.NewTextHandler(w, options)
	}
	return slog.NewJSONHandler(w, options)
}

// listOf parses a comma-separated list, one item at a time.
func listOf[T any](text []byte, parse func(string) (T, error)) ([]T, error) {
	var list []T
	for _, s := range strings.Split(string(text), ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		v, err := parse(s)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

type addrList []netip.Addr

func (l *addrList) UnmarshalText(text []byte) (err error) {
	*l, err = listOf(text, netip.ParseAddr)
	return err
}

type prefixList []netip.Prefix

func (l *prefixList) UnmarshalText(text []byte) (err error) {
	*l, err = listOf(text, netip.ParsePrefix)
	return err
}

// serverList holds resolvers; a missing port is 53.
type serverList []netip.AddrPort

func (l *serverList) UnmarshalText(text []byte) (err error) {
	*l, err = listOf(text, func(s string) (netip.AddrPort, error) {
		if a, err := netip.ParseAddr(s); err == nil {
			return netip.AddrPortFrom(a, 53), nil
		}
		return netip.ParseAddrPort(s)
	})
	return err
}

// listenAddr checks a TCP address to listen on; the host may be empty.
func listenAddr(variable, addr string) error {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return fmt.Errorf("%s: %w", variable, err)
	}
	return nil
}

// validPublicURL checks the URL that links start with.
func validPublicURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("DOMAIND_PUBLIC_URL (--public-url): %q is no http or https URL", s)
	}
	return nil
}
