package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/domaind/domaind/gen/client"
	"github.com/domaind/domaind/store"
)

// everyMailCall goes through the life of a message.
func everyMailCall(t *testing.T, h *harness) {
	t.Helper()
	c, ctx, user, name := h.client(adminKey), t.Context(), "u1", "mail.customer.com"
	h.create(name, user)
	_, err := h.store.PutRoute(ctx, store.Tenant{UserID: user}, name,
		store.PutRoute{Mode: store.ForwardModeWebhookThenStore, WebhookURL: h.hook().url})
	ok(t, err)
	m := h.mail(user, name, letter)
	h.deliver()
	statuses := map[string]int{
		"list":       must(c.ListMessagesWithResponse(ctx, name, &client.ListMessagesParams{UserID: user})).StatusCode(),
		"get":        must(c.GetMessageWithResponse(ctx, name, m.message, &client.GetMessageParams{UserID: user})).StatusCode(),
		"raw":        must(c.GetMessageRawWithResponse(ctx, name, m.message, &client.GetMessageRawParams{UserID: &user})).StatusCode(),
		"attachment": must(c.GetMessageAttachmentWithResponse(ctx, name, m.message, 0, &client.GetMessageAttachmentParams{UserID: &user})).StatusCode(),
		"deliveries": must(c.ListDeliveriesWithResponse(ctx, name, &client.ListDeliveriesParams{UserID: user})).StatusCode(),
		"test":       must(c.TestRouteWithResponse(ctx, name, client.TestRouteRequest{UserID: user})).StatusCode(),
	}
	for call, status := range statuses {
		if status != http.StatusOK {
			t.Errorf("%s: status %d", call, status)
		}
	}
	if r := must(c.RetryDeliveryWithResponse(ctx, name, m.delivery, client.RetryDeliveryRequest{UserID: user})); r.JSON202 == nil {
		t.Errorf("retry: %s %s", r.Status(), r.Body)
	}
	if r := must(c.RetryDeliveriesWithResponse(ctx, name, client.RetryDeliveriesRequest{UserID: user})); r.JSON202 == nil {
		t.Errorf("retry all: %s %s", r.Status(), r.Body)
	}
	r := must(c.DeleteMessageWithResponse(ctx, name, m.message, &client.DeleteMessageParams{UserID: user}))
	if r.JSON200 == nil || !r.JSON200.Ok || r.JSON200.Deleted != m.message {
		t.Errorf("delete: %s %s", r.Status(), r.Body)
	}
}

func TestMessageList(t *testing.T) {
	h := start(t)
	h.create("customer.com", "u1")
	var ids []string
	for range 3 {
		ids = append(ids, h.mail("u1", "customer.com", letter).message)
	}
	slices.Sort(ids) // those of one millisecond are in any order
	c := h.client(adminKey)
	page := must(c.ListMessagesWithResponse(t.Context(), "customer.com", &client.ListMessagesParams{UserID: "u1", Limit: ptr(2)}))
	if page.JSON200 == nil || len(page.JSON200.Messages) != 2 || page.JSON200.NextCursor == nil {
		t.Fatalf("first page: %s %s", page.Status(), page.Body)
	}
	first := page.JSON200.Messages[0]
	if first.ID != ids[2] || first.Subject != "Grüße" || first.MailFrom != "ann@example.org" || first.RcptTo != "inbox@customer.com" ||
		len(first.Deliveries) != 1 || first.Deliveries[0].State != client.DeliveryStateStored || first.Bytes != int64(len(letter)) {
		t.Errorf("message: %+v", first)
	}
	rest := must(c.ListMessagesWithResponse(t.Context(), "customer.com",
		&client.ListMessagesParams{UserID: "u1", Limit: ptr(2), Cursor: page.JSON200.NextCursor}))
	if rest.JSON200 == nil || len(rest.JSON200.Messages) != 1 || rest.JSON200.Messages[0].ID != ids[0] || rest.JSON200.NextCursor != nil {
		t.Errorf("second page: %s %s", rest.Status(), rest.Body)
	}
	other := must(c.ListDeliveriesWithResponse(t.Context(), "customer.com",
		&client.ListDeliveriesParams{UserID: "u1", Cursor: page.JSON200.NextCursor}))
	if other.StatusCode() != http.StatusBadRequest {
		t.Errorf("a cursor of messages for deliveries: %s", other.Status())
	}
}

func TestMessage(t *testing.T) {
	h := start(t)
	h.create("customer.com", "u1")
	m := h.mail("u1", "customer.com", letter)
	h.deliver() // judges the sender
	r := must(h.client(adminKey).GetMessageWithResponse(t.Context(), "customer.com", m.message, &client.GetMessageParams{UserID: "u1"}))
	if r.JSON200 == nil {
		t.Fatalf("%s %s", r.Status(), r.Body)
	}
	d := r.JSON200
	if !d.Parsed || strings.TrimSpace(d.Text.Content) != "Hello!" || d.Text.Truncated || len(d.Omitted) != 0 || d.Auth == nil ||
		d.From[0] != (client.MailAddress{Name: ptr("Ann"), Address: "ann@example.org"}) && d.From[0].Address != "ann@example.org" ||
		d.RfcMessageID == nil || *d.RfcMessageID != "1@example.org" || d.Headers[0][0] != "From" || d.Raw.ExpiresAt == nil {
		t.Errorf("%s", r.Body)
	}
	if len(d.Attachments) != 2 || d.Attachments[1].Filename != "a.pdf" || d.Attachments[1].Bytes != 5 ||
		d.Attachments[1].Sha256 != "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" {
		t.Errorf("attachments: %+v", d.Attachments)
	}
}

// TestMessageIsCutByName: what is left out is named, and in the raw message.
func TestMessageIsCutByName(t *testing.T) {
	h := start(t)
	h.create("customer.com", "u1")
	for cut, long := range map[string]string{
		"text":    "Subject: x\r\n\r\n" + strings.Repeat("long text\r\n", 40_000),
		"headers": "Subject: x\r\nX-Long: " + strings.Repeat("a", 200_000) + "\r\n\r\ntext\r\n",
	} {
		m := h.mail("u1", "customer.com", long)
		r := must(h.client(adminKey).GetMessageWithResponse(t.Context(), "customer.com", m.message, &client.GetMessageParams{UserID: "u1"}))
		if r.JSON200 == nil || r.JSON200.Text.Truncated != (cut == "text") || len(r.JSON200.Text.Content) > 256<<10 ||
			r.JSON200.Parsed == (cut == "headers") || strings.Join(r.JSON200.Omitted, " ") != cut {
			t.Fatalf("%s: %s %.300s", cut, r.Status(), r.Body)
		}
		_, raw := h.do(http.MethodGet, "/v2/domains/customer.com/messages/"+m.message+"/raw?user_id=u1", "")
		if raw != long {
			t.Errorf("%s: %d octets of %d", cut, len(raw), len(long))
		}
	}
}

// TestPoisonMessage: what cannot be read is there all the same.
func TestPoisonMessage(t *testing.T) {
	h := start(t)
	h.create("customer.com", "u1")
	m := h.mail("u1", "customer.com", "\x00\xff no header at all")
	path := "/v2/domains/customer.com/messages/" + m.message
	if resp, body := h.do(http.MethodGet, path+"?user_id=u1", ""); resp.StatusCode != 200 || !strings.Contains(body, `"parsed":false`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, body := h.do(http.MethodGet, path+"/raw?user_id=u1", ""); resp.StatusCode != 200 || body != "\x00\xff no header at all" {
		t.Errorf("raw: %d %q", resp.StatusCode, body)
	}
	if resp, _ := h.do(http.MethodGet, path+"/attachments/0?user_id=u1", ""); resp.StatusCode != 404 {
		t.Errorf("attachment: %d", resp.StatusCode)
	}
}

// TestDownloads: nothing that strangers wrote is a page.
func TestDownloads(t *testing.T) {
	h := start(t)
	h.create("customer.com", "u1")
	m := h.mail("u1", "customer.com", letter)
	path := "/v2/domains/customer.com/messages/" + m.message
	for _, tt := range []struct{ path, media, disposition, body string }{
		{"/raw", "message/rfc822", "attachment; filename=" + m.message + ".eml", letter},
		{"/attachments/0", "application/octet-stream", "attachment; filename*=utf-8''e%C3%BCvil.html", "<script>alert(1)</script>"},
		{"/attachments/1", "application/octet-stream", "attachment; filename=a.pdf", "hello"},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			resp, body := h.do(method, path+tt.path+"?user_id=u1", "")
			for header, want := range map[string]string{
				"Content-Type": tt.media, "Content-Disposition": tt.disposition, "X-Content-Type-Options": "nosniff",
				"Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'", "Cache-Control": "no-store",
			} {
				if got := resp.Header.Get(header); got != want {
					t.Errorf("%s %s: %s is %q, want %q", method, tt.path, header, got, want)
				}
			}
			if method == http.MethodHead && body != "" || method == http.MethodGet && strings.TrimSpace(body) != strings.TrimSpace(tt.body) {
				t.Errorf("%s %s: %q", method, tt.path, body)
			}
		}
	}
}

// TestLinks: a link opens its own message for a while, and nothing else.
func TestLinks(t *testing.T) {
	h := start(t)
	h.create("customer.com", "u1")
	h.create("foreign.com", "u2")
	m, other, foreign := h.mail("u1", "customer.com", letter), h.mail("u1", "customer.com", letter), h.mail("u2", "foreign.com", letter)
	r := must(h.client(adminKey).GetMessageWithResponse(t.Context(), "customer.com", m.message, &client.GetMessageParams{UserID: "u1"}))
	raw := h.path(r.JSON200.Raw.URL)
	_, token, _ := strings.Cut(raw, "token=")
	base := h.url + "/v2/domains/customer.com/messages/"
	key, err := h.store.MailKey(t.Context())
	ok(t, err)
	id, err := h.store.DomainID(t.Context(), store.Tenant{UserID: "u1"}, "customer.com")
	ok(t, err)
	old := store.MessageToken(key, id, m.message, time.Now().Add(-time.Second))
	for _, tt := range []struct {
		name, url string
		status    int
	}{
		{"raw", raw, 200},
		{"its user", raw + "&user_id=u1", 200},
		{"attachment", h.path(r.JSON200.Attachments[0].URL), 200},
		{"no such attachment", base + m.message + "/attachments/9?token=" + token, 404},
		{"another user", raw + "&user_id=u2", 403},
		{"another message", base + other.message + "/raw?token=" + token, 401},
		{"another domain", h.url + "/v2/domains/foreign.com/messages/" + foreign.message + "/raw?token=" + token, 401},
		{"expired", base + m.message + "/raw?token=" + old, 401},
		{"cut", raw[:len(raw)-1], 401},
		{"empty", base + m.message + "/raw?token=", 401},
		{"none", base + m.message + "/raw", 401},
		{"twice", raw + "&token=" + token, 400},
		{"the parsed message", base + m.message + "?user_id=u1&token=" + token, 401},
		{"the list", h.url + "/v2/domains/customer.com/messages?user_id=u1&token=" + token, 401},
	} {
		resp, body, err := get(t.Context(), tt.url)
		ok(t, err)
		if resp.StatusCode != tt.status {
			t.Errorf("%s: %d, want %d: %.200s", tt.name, resp.StatusCode, tt.status, body)
		}
	}
	ok(t, h.store.DeleteDomain(t.Context(), store.Tenant{UserID: "u1"}, "customer.com"))
	if resp, _, err := get(t.Context(), raw); err != nil || resp.StatusCode != 401 {
		t.Errorf("a link of a deleted domain: %d %v", resp.StatusCode, err)
	}
	if strings.Contains(h.logs.String(), token) {
		t.Error("the log has a token")
	}
}

// TestPayloadLinks opens the addresses that a webhook got.
func TestPayloadLinks(t *testing.T) {
	h := start(t)
	h.create("customer.com", "u1")
	k := h.hook()
	_, err := h.store.PutRoute(t.Context(), store.Tenant{UserID: "u1"}, "customer.com",
		store.PutRoute{Mode: store.ForwardModeWebhook, WebhookURL: k.url})
	ok(t, err)
	h.mail("u1", "customer.com", letter)
	h.deliver()
	var payload struct {
		Data struct {
			Raw         struct{ URL string }
			Attachments []struct{ URL string }
		}
	}
	ok(t, json.Unmarshal(k.all()[0].body, &payload))
	for url, want := range map[string]string{payload.Data.Raw.URL: letter, payload.Data.Attachments[1].URL: "hello"} {
		resp, body, err := get(t.Context(), h.path(url))
		ok(t, err)
		if resp.StatusCode != 200 || body != want {
			t.Errorf("%s: %d %.100s", url, resp.StatusCode, body)
		}
	}
}

func TestDeleteMessage(t *testing.T) {
	h := start(t)
	h.create("customer.com", "u1")
	m, kept := h.mail("u1", "customer.com", letter), h.mail("u1", "customer.com", letter)
	path := "/v2/domains/customer.com/messages/" + m.message
	for i, want := range []int{200, 404} {
		if resp, body := h.do(http.MethodDelete, path+"?user_id=u1", ""); resp.StatusCode != want {
			t.Errorf("delete %d: %d %s", i, resp.StatusCode, body)
		}
	}
	for _, what := range []string{"", "/raw", "/attachments/0"} {
		if resp, _ := h.do(http.MethodGet, path+what+"?user_id=u1", ""); resp.StatusCode != 404 {
			t.Errorf("%s after the delete: %d", what, resp.StatusCode)
		}
	}
	list := must(h.client(adminKey).ListDeliveriesWithResponse(t.Context(), "customer.com", &client.ListDeliveriesParams{UserID: "u1"}))
	if list.JSON200 == nil || len(list.JSON200.Deliveries) != 1 || list.JSON200.Deliveries[0].MessageID != kept.message {
		t.Errorf("deliveries: %s", list.Body)
	}
	if r, _, err := h.store.MessageRaw(t.Context(), store.Tenant{UserID: "u1"}, "customer.com", kept.message); err != nil {
		t.Error(err)
	} else if b, err := io.ReadAll(r); err != nil || string(b) != letter || r.Close() != nil {
		t.Errorf("the other message: %v", err)
	}
}
