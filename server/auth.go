package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"

	"github.com/labstack/echo/v4"

	"github.com/domaind/domaind/gen/api"
	"github.com/domaind/domaind/store"
)

// keyHeader carries the API key.
const keyHeader = "X-Api-Key"

// maxKey is longer than any key of ours; what is longer is not looked up.
const maxKey = 256

// bootstrapID is the id of the key that the service was started with.
const bootstrapID = "bootstrap"

// rank orders the scopes: each may do what the ones before it may.
var rank = map[store.Scope]int{store.ScopeRead: 1, store.ScopeWrite: 2, store.ScopeAdmin: 3}

// linkScheme is the security scheme of operations that links may call, and
// tokenParam the query parameter that it is about.
const (
	linkScheme = "messageToken"
	tokenParam = "token"
)

// authenticate lets a call through for a valid key of at least the scope or,
// where the operation takes links, for a valid token. It stands before
// anything reads the body.
func (s *Server) authenticate(scope store.Scope, links bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if tokens := c.QueryParams()[tokenParam]; links && len(tokens) > 0 {
				if err := s.openLink(c, tokens[0]); err != nil {
					return err
				}
				return next(c)
			}
			sent := r.Header[keyHeader]
			if len(sent) > 1 {
				return badParameter(fieldError{"/header/x-api-key", "repeated-header", "send one API key"})
			}
			secret := ""
			if len(sent) == 1 {
				secret = sent[0]
			}
			key, err := s.key(r.Context(), secret)
			if errors.Is(err, store.ErrNotFound) {
				return s.unauthorized(c)
			}
			if err != nil {
				return err
			}
			callFrom(r.Context()).key = key
			if err := s.limits.request(key.ID, c.Response().Header()); err != nil {
				return err
			}
			if rank[key.Scope] < rank[scope] {
				return newProblem(codeInsufficientScope).with("This call needs an API key of scope " + string(scope) + ".")
			}
			return next(c)
		}
	}
}

// openLink checks the token of a link: it is for one message of one domain,
// and speaks for the user that has the domain.
func (s *Server) openLink(c echo.Context, token string) error {
	ctx, id := c.Request().Context(), pathValue(c, "id")
	n, fault := validDomain("/path/domain", pathValue(c, "domain"), s.cfg.Policy)
	if fault != nil {
		return badParameter(*fault)
	}
	t, err := s.cfg.Store.TokenTenant(ctx, n.ASCII, id, token)
	if errors.Is(err, store.ErrToken) {
		if err := s.limits.badKey(c.RealIP()); err != nil {
			return err
		}
		return newProblem(codeInvalidAPIKey, api.FieldError{
			Pointer: "/query/" + tokenParam, Code: "invalid-token", Detail: "the token is not of this message, or has expired",
		}).with("The link is not valid, or not any more; read the message for a fresh one.")
	}
	if err != nil {
		return err
	}
	callFrom(ctx).link = &t
	return s.limits.request("link:"+id, c.Response().Header())
}

// unauthorized gives one answer for every key that is not valid, so that it
// tells nothing about keys; an address that keeps trying is slowed down.
func (s *Server) unauthorized(c echo.Context) error {
	if err := s.limits.badKey(c.RealIP()); err != nil {
		return err
	}
	entry := api.FieldError{Pointer: "/header/x-api-key", Code: "missing-api-key", Detail: "no valid key was sent"}
	return newProblem(codeInvalidAPIKey, entry).header(echo.HeaderWWWAuthenticate, "ApiKey")
}

// key finds the key of a secret; store.ErrNotFound when it is not valid now.
func (s *Server) key(ctx context.Context, secret string) (store.Key, error) {
	if secret == "" || len(secret) > maxKey {
		return store.Key{}, store.ErrNotFound
	}
	if s.bootstrap != nil {
		sum := sha256.Sum256([]byte(secret))
		if subtle.ConstantTimeCompare(sum[:], s.bootstrap[:]) == 1 {
			return store.Key{ID: bootstrapID, Scope: store.ScopeAdmin}, nil
		}
	}
	return s.cfg.Store.KeyBySecret(ctx, secret)
}

// tenant says on whose behalf the call is made. A key that is bound to a user
// speaks for no other. Without a checked key or link there is no tenant: a handler
// that were ever reached past authenticate would get no further.
func tenant(ctx context.Context, userID string) (store.Tenant, error) {
	if link := callFrom(ctx).link; link != nil {
		if userID != "" && userID != link.UserID {
			return store.Tenant{}, newProblem(codeUserMismatch)
		}
		return *link, nil
	}
	k := callFrom(ctx).key
	if k.ID == "" {
		return store.Tenant{}, newProblem(codeInvalidAPIKey)
	}
	if k.UserID != "" && k.UserID != userID {
		return store.Tenant{}, newProblem(codeUserMismatch)
	}
	return store.Tenant{UserID: userID, OrganizationID: k.OrganizationID, Actor: "key:" + k.ID}, nil
}

// mayUseOrganization refuses an organization other than the key's. Where the
// caller names none, the key's is meant.
func mayUseOrganization(t store.Tenant, organizationID string) error {
	if t.OrganizationID != "" && organizationID != "" && t.OrganizationID != organizationID {
		return newProblem(codeUserMismatch)
	}
	return nil
}
