package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/domaind/domaind/client"
	gen "github.com/domaind/domaind/gen/client"
)

// messageCmd groups what a user of the service does with the mail that came.
type messageCmd struct {
	List messageListCmd `cmd:"" help:"List a domain's mail, the newest first."`
	Show messageShowCmd `cmd:"" help:"Show one message."`
}

type messageListCmd struct {
	Domain string `arg:"" help:"Name of the domain."`

	Limit int `default:"50" help:"How many to list; 0 lists all."`

	apiFlags
}

func (c messageListCmd) Run(ctx context.Context, s streams) error {
	return c.use(func(api *client.Client) error {
		all := gen.MessageList{Messages: []client.Message{}}
		for m, err := range api.Messages(ctx, c.Domain) {
			if err != nil {
				return err
			}
			all.Messages = append(all.Messages, m)
			if len(all.Messages) == c.Limit {
				break
			}
		}
		return c.print(s.out, all, func(t *tabwriter.Writer) {
			row(t, "ID", "RECEIVED", "FROM", "TO", "SUBJECT", "BYTES", "DMARC", "DELIVERIES")
			for _, m := range all.Messages {
				row(t, m.ID, stamp(m.ReceivedAt), short(m.HeaderFrom), short(m.RcptTo), short(m.Subject), fmt.Sprint(m.Bytes),
					dmarcOf(m.Auth), states(m.Deliveries))
			}
		})
	})
}

type messageShowCmd struct {
	Domain string `arg:"" help:"Name of the domain."`
	ID     string `arg:"" help:"ID of the message."`

	Raw bool `help:"Print the message's octets as they came."`

	apiFlags
}

func (c messageShowCmd) Run(ctx context.Context, s streams) error {
	return c.use(func(api *client.Client) error {
		if c.Raw {
			raw, err := api.RawMessage(ctx, c.Domain, c.ID)
			if err != nil {
				return err
			}
			_, err = s.out.Write(raw)
			return err
		}
		m, err := api.Message(ctx, c.Domain, c.ID)
		if err != nil {
			return err
		}
		return c.print(s.out, m, func(t *tabwriter.Writer) { messageTable(t, m) })
	})
}

// messageTable shows a message as a mail program would, its text below.
func messageTable(t *tabwriter.Writer, m gen.MessageDetails) {
	row(t, "Received", stamp(m.ReceivedAt)+" from "+m.RemoteIP+" ("+m.Helo+")")
	row(t, "Envelope", "<"+m.MailFrom+"> to <"+m.RcptTo+">")
	row(t, "From", m.HeaderFrom)
	row(t, "Subject", m.Subject)
	row(t, "DMARC", dmarcOf(m.Auth))
	for _, d := range m.Deliveries {
		row(t, "Delivery", d.ID+" to "+d.RcptTo+": "+string(d.Mode)+", "+string(d.State))
	}
	for _, a := range m.Attachments {
		row(t, "Attachment", fmt.Sprintf("%d: %s, %s, %d bytes", a.Index, a.Filename, a.ContentType, a.Bytes))
	}
	_, _ = fmt.Fprintln(t)
	_ = t.Flush() // the text has tabs of its own
	text := m.Text.Content
	if text == "" && m.HTML.Content != "" {
		text = "(HTML only; --json or --raw has it)"
	}
	for line := range strings.Lines(text) {
		_, _ = fmt.Fprintln(t, printable(strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\t", "    ")))
	}
}

func dmarcOf(a *gen.MessageAuth) string {
	if a == nil {
		return ""
	}
	return a.DMARC.Result
}

// states is what became of each recipient's mail.
func states(deliveries []client.Delivery) string {
	var parts []string
	for _, d := range deliveries {
		parts = append(parts, string(d.State))
	}
	return strings.Join(parts, ", ")
}
