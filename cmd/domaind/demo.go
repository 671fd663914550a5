package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/gen/client"
)

// demoCmd shows the whole journey on loopback: a DNS server, the service, a
// webhook and the generated client, all in this process, over real sockets.
type demoCmd struct {
	Keep bool `help:"Keep running afterwards, so that you can try Swagger UI; end it with Ctrl-C."`
}

const (
	demoKey    = "demo-key-that-opens-everything"
	demoUser   = "user_123"
	demoDomain = "customer.example"
	demoMX     = "mx.mail.example"
	demoIP     = "127.0.0.1"
	demoUnit   = time.Second
	demoWait   = 25 * time.Second
)

func (c demoCmd) Run(ctx context.Context, s streams) (err error) {
	dir, err := os.MkdirTemp("", "domaind-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	dns, err := dnstest.Start()
	if err != nil {
		return err
	}
	defer dns.Close()
	if err := dns.Set(demoMX+". 60 IN A "+demoIP, `sender.example. 60 IN TXT "v=spf1 ip4:`+demoIP+` -all"`); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	config, err := demoConfig(dir, dns.Addr())
	if err != nil {
		return err
	}
	service, err := newApp(ctx, config, logs{service: slog.New(slog.DiscardHandler), access: io.Discard})
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- service.run(ctx) }()
	defer func() {
		stop()
		err = errors.Join(err, <-served)
	}()

	d := demo{streams: s, dns: dns, url: "http://" + service.addr().String(), smtp: service.smtpAddresses()}
	if err := d.journey(ctx); err != nil {
		return err
	}
	if c.Keep {
		_, _ = fmt.Fprintf(s.out, "\nSwagger UI: %s/docs   x-api-key: %s   (Ctrl-C ends it)\n", d.url, demoKey)
		<-ctx.Done()
		return nil
	}
	_, err = fmt.Fprint(s.out, "\nTo try it by hand: `make run`, then open http://127.0.0.1:3000/docs (Swagger UI) with the key that it prints.\nThe demo's database and servers are gone again.\n")
	return err
}

func demoConfig(dir string, dns netip.AddrPort) (serveCmd, error) {
	var c serveCmd
	if err := kong.ApplyDefaults(&c); err != nil {
		return c, err
	}
	c.Listen = "127.0.0.1:0"
	c.Database = filepath.Join(dir, "domaind.db")
	c.APIKey = demoKey
	c.MXHost = demoMX
	c.DNSServers = serverList{dns}
	c.CheckMin = demoUnit
	c.DKIMPool = 1
	c.AllowSpecialUse = true
	c.SMTPListen = "127.0.0.1:0"
	c.AllowPrivateWebhooks = demoLoopback()
	return c, nil
}

func withKey(_ context.Context, r *http.Request) error {
	r.Header.Set("x-api-key", demoKey)
	return nil
}

// demo is one run of the journey.
type demo struct {
	streams
	dns       *dnstest.Server
	url, smtp string
}

func (d demo) journey(ctx context.Context) error {
	api, err := client.NewClientWithResponses(d.url, client.WithRequestEditorFn(withKey))
	if err != nil {
		return err
	}
	d.say("1. Create %s for %s: POST %s/v2/domain", demoDomain, demoUser, d.url)
	created, err := api.CreateDomainWithResponse(ctx, client.CreateDomainJSONRequestBody{Domain: demoDomain, UserID: demoUser})
	if err != nil {
		return err
	}
	if created.JSON201 == nil {
		return fmt.Errorf("create: %s: %s", created.Status(), created.Body)
	}
	d.table(created.JSON201.Domain.DNS)

	zone, err := api.GetZoneWithResponse(ctx, demoDomain, &client.GetZoneParams{UserID: demoUser})
	if err != nil {
		return err
	}
	d.say("\n2. The customer publishes them: the lines of GET /v2/domains/%s/zone, on a DNS server at %s", demoDomain, d.dns.Addr())
	var lines []string
	for _, line := range strings.Split(string(zone.Body), "\n") {
		if line != "" && !strings.HasPrefix(line, ";") {
			lines = append(lines, line)
		}
	}
	if err := d.dns.Set(lines...); err != nil {
		return err
	}

	d.say("\n3. The service sees them by itself; nobody calls verify:")
	started := time.Now()
	status, err := d.await(ctx, api)
	if err != nil {
		return err
	}
	d.say("   %s is %s after %.1f s", demoDomain, status, time.Since(started).Seconds())
	return d.mail(ctx, api)
}

// await follows the domain until it is active, printing each change.
func (d demo) await(ctx context.Context, api *client.ClientWithResponses) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, demoWait)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	last := ""
	for {
		info, err := api.GetDomainWithResponse(ctx, demoDomain, &client.GetDomainParams{UserID: demoUser})
		if err != nil {
			return "", err
		}
		if info.JSON200 == nil {
			return "", fmt.Errorf("get: %s: %s", info.Status(), info.Body)
		}
		state := []string{"domain " + string(info.JSON200.Domain.Status)}
		for _, r := range info.JSON200.DNS {
			state = append(state, string(r.Purpose)+" "+string(r.Status))
		}
		if now := strings.Join(state, ", "); now != last {
			d.say("   %s", now)
			last = now
		}
		if info.JSON200.Domain.Status == client.DomainStatusActive {
			return string(info.JSON200.Domain.Status), nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%s was not active in time: %w", demoDomain, ctx.Err())
		case <-tick.C:
		}
	}
}

func (d demo) table(records []client.DNSRecord) {
	table := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "   TYPE\tHOST\tVALUE\tSTATUS")
	for _, r := range records {
		_, _ = fmt.Fprintf(table, "   %s\t%s\t%s\t%s\n", r.RecordType, r.Host, short(r.ExpectedValue), r.Status)
	}
	_ = table.Flush()
}

func (d demo) say(format string, args ...any) {
	_, _ = fmt.Fprintf(d.out, format+"\n", args...)
}
