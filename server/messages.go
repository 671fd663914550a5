package server

import (
	"context"
	"errors"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/domaind/domaind/gen/api"
	"github.com/domaind/domaind/inbound/parse"
	"github.com/domaind/domaind/store"
)

// linkFor is how long the links of a message open without a key.
const linkFor = time.Hour

// maxParsing is how many messages are parsed at a time: each lies in memory,
// with all of its parts.
const maxParsing = 4

// ListMessages answers GET /v2/domains/{domain}/messages.
func (s *Server) ListMessages(ctx context.Context, r api.ListMessagesRequestObject) (api.ListMessagesResponseObject, error) {
	t, n, err := s.target(ctx, r.Domain, r.Params.UserID)
	if err != nil {
		return nil, err
	}
	list, next, err := s.cfg.Store.Messages(ctx, t, n, valueOr(r.Params.Limit, defaultLimit), value(r.Params.Cursor))
	if err != nil {
		return nil, err
	}
	return api.ListMessages200JSONResponse{Messages: each(list, toMessage), NextCursor: optional(next)}, nil
}

// GetMessage answers GET /v2/domains/{domain}/messages/{id}.
func (s *Server) GetMessage(ctx context.Context, r api.GetMessageRequestObject) (api.GetMessageResponseObject, error) {
	t, n, err := s.target(ctx, r.Domain, r.Params.UserID)
	if err != nil {
		return nil, err
	}
	m, err := s.cfg.Store.Message(ctx, t, n, r.ID)
	if err != nil {
		return nil, err
	}
	link, err := s.links(ctx, t, n, m.ID)
	if err != nil {
		return nil, err
	}
	var out api.MessageDetails
	err = s.parsing(ctx, t, n, m.ID, func(raw []byte) error {
		p, err := parse.Parse(raw)
		out = toMessageDetails(m, p, err == nil, link)
		if parse.TooLarge(raw) {
			out.Omitted = append(out.Omitted, "headers")
		}
		return nil //nolint:nilerr // the answer says that it could not be parsed
	})
	if err != nil {
		return nil, err
	}
	return api.GetMessage200JSONResponse(out), nil
}

// DeleteMessage answers DELETE /v2/domains/{domain}/messages/{id}.
func (s *Server) DeleteMessage(ctx context.Context, r api.DeleteMessageRequestObject) (api.DeleteMessageResponseObject, error) {
	t, n, err := s.target(ctx, r.Domain, r.Params.UserID)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Store.DeleteMessage(ctx, t, n, r.ID); err != nil {
		return nil, err
	}
	return api.DeleteMessage200JSONResponse{Ok: true, Deleted: r.ID}, nil
}

// GetMessageRaw answers GET /v2/domains/{domain}/messages/{id}/raw.
func (s *Server) GetMessageRaw(ctx context.Context, r api.GetMessageRawRequestObject) (api.GetMessageRawResponseObject, error) {
	t, n, err := s.linkTarget(ctx, r.Domain, r.Params.UserID)
	if err != nil {
		return nil, err
	}
	body, size, err := s.cfg.Store.MessageRaw(ctx, t, n, r.ID)
	if err != nil {
		return nil, err
	}
	return download{body: body, size: size, mediaType: "message/rfc822", filename: r.ID + ".eml"}, nil
}

// GetMessageAttachment answers GET /v2/domains/{domain}/messages/{id}/attachments/{index}.
func (s *Server) GetMessageAttachment(ctx context.Context, r api.GetMessageAttachmentRequestObject) (api.GetMessageAttachmentResponseObject, error) {
	t, n, err := s.linkTarget(ctx, r.Domain, r.Params.UserID)
	if err != nil {
		return nil, err
	}
	var part parse.Part
	err = s.parsing(ctx, t, n, r.ID, func(raw []byte) (err error) {
		part, err = parse.Attachment(raw, r.Index)
		return err
	})
	if err != nil {
		return nil, err
	}
	return attachmentDownload(r.ID, part), nil
}

// linkTarget is target for a call that a link may make: the link names the
// user, a key does not.
func (s *Server) linkTarget(ctx context.Context, domain string, userID *string) (store.Tenant, string, error) {
	if userID == nil && callFrom(ctx).link == nil {
		return store.Tenant{}, "", badParameter(fieldError{"/query/user_id", "missing", "this is required with an API key"})
	}
	return s.target(ctx, domain, value(userID))
}

// parsing reads a message for f, when there is room for it in memory.
func (s *Server) parsing(ctx context.Context, t store.Tenant, domain, id string, f func(raw []byte) error) error {
	ctx, cancel := context.WithTimeout(ctx, handleTimeout)
	defer cancel()
	select {
	case s.parsers <- struct{}{}:
		defer func() { <-s.parsers }()
	case <-ctx.Done():
		return ctx.Err()
	}
	r, size, err := s.cfg.Store.MessageRaw(ctx, t, domain, id)
	if err != nil {
		return err
	}
	raw := make([]byte, size)
	_, err = io.ReadFull(r, raw)
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	return f(raw)
}

// links are the addresses of a message's parts that open without a key.
type links struct {
	base, token string
	until       time.Time
}

func (s *Server) links(ctx context.Context, t store.Tenant, domain, id string) (links, error) {
	domainID, err := s.cfg.Store.DomainID(ctx, t, domain)
	if err != nil {
		return links{}, err
	}
	key, err := s.cfg.Store.MailKey(ctx)
	if err != nil {
		return links{}, err
	}
	until := s.cfg.Now().Add(linkFor).Truncate(time.Second)
	return links{
		base:  s.cfg.PublicURL + "/v2/domains/" + url.PathEscape(domain) + "/messages/" + id,
		token: store.MessageToken(key, domainID, id, until), until: until,
	}, nil
}

func (l links) raw() string { return l.base + "/raw?" + tokenParam + "=" + l.token }

func (l links) attachment(index int) string {
	return l.base + "/attachments/" + strconv.Itoa(index) + "?" + tokenParam + "=" + l.token
}
