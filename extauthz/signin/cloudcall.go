package signin

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"isogate/extauthz/dpop"
	"isogate/extauthz/keys"
)

// Bounds of a call to an isolated cloud.
const (
	cloudTimeout      = 3 * time.Second  // a repeated request included
	maxTurns          = 64               // sign-ins that wait for one cloud at a time
	maxRevokes        = 64               // revocations that wait for one cloud at a time
	maxCloudAnswer    = 32 << 10         // bytes
	assertionLifetime = 60 * time.Second // of a client assertion
	maxCause          = 300              // bytes of an error that may repeat what a cloud sent
)

// inTurn keeps calls that strangers can cause from piling up before a cloud that is slow.
func inTurn(turns chan struct{}, call func() error) error {
	select {
	case turns <- struct{}{}:
		defer func() { <-turns }()
		return call()
	default:
		return fmt.Errorf("%w: %d calls wait for it already", errCloud, cap(turns))
	}
}

// cloudFault is errCloud with a cause that may repeat what the cloud sent: package net/http quotes a header that it cannot read, however long it
// is, and a cloud could fill the log with it, or forge lines of it. So it is cut, and what is no printable ASCII is a question mark.
func cloudFault(what string, cause error) error {
	text := cause.Error()
	if len(text) > maxCause {
		text = text[:maxCause] + "..."
	}
	shown := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	return fmt.Errorf("%w: %s: %s", errCloud, what, shown)
}

// proving is a client whose requests prove that we hold a session's key.
func (f *Federation) proving(scalar []byte) (*http.Client, error) {
	key, err := dpop.ParseKey(scalar)
	if err != nil {
		return nil, err
	}
	own := *f.client
	own.Transport = &dpop.Transport{Base: f.client.Transport, Key: key, Now: f.now}
	return &own, nil
}

// cloudAnswer is an answer that was read whole.
type cloudAnswer struct {
	status int
	body   []byte
}

// post sends a form with a client authentication (RFC 7523 section 2.2). An assertion works once, so a form that is sent again, for a fresh
// nonce of the server or over a connection that was lost, gets another.
func (f *Federation) post(ctx context.Context, client *http.Client, path string, form url.Values) (cloudAnswer, error) {
	form.Set("client_id", f.Entry.Client.ID)
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	body := func() (io.ReadCloser, error) {
		assertion, err := f.assertion()
		if err != nil {
			return nil, err
		}
		return io.NopCloser(strings.NewReader(form.Encode() + "&client_assertion=" + url.QueryEscape(assertion))), nil
	}
	first, err := body()
	if err != nil {
		return cloudAnswer{}, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.Entry.Issuer+path, first)
	if err != nil {
		return cloudAnswer{}, fmt.Errorf("signin: %w", err)
	}
	r.GetBody, r.ContentLength = body, -1
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return send(client, r)
}

// assertion authenticates us once (RFC 7523 section 3; the audience is the issuer alone, FAPI 2.0 Security Profile section 5.3.3).
func (f *Federation) assertion() (string, error) {
	now, id := f.now(), f.Entry.Client.ID
	claims, err := json.Marshal(struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		IssuedAt int64  `json:"iat"`
		Expires  int64  `json:"exp"`
		ID       string `json:"jti"`
	}{id, id, f.Entry.Issuer, now.Unix(), now.Add(assertionLifetime).Unix(), rand.Text()})
	if err != nil {
		return "", fmt.Errorf("signin: %w", err)
	}
	return f.signers.Sign("client-authentication+jwt", claims)
}

// get asks a resource with an access token (RFC 9449 section 7.1).
func (f *Federation) get(ctx context.Context, client *http.Client, path, token string) (cloudAnswer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.Entry.Issuer+path, nil)
	if err != nil {
		return cloudAnswer{}, fmt.Errorf("signin: %w", err)
	}
	r.Header.Set("Authorization", "DPoP "+token)
	return send(client, r)
}

// send asks, and once more where no answer came over a connection that was kept: it may be gone because an Envoy on the way was replaced, which says
// nothing of the cloud. A code that the cloud took before the connection was lost is refused the second time: the sign-in fails either way.
func send(client *http.Client, r *http.Request) (cloudAnswer, error) {
	ctx, cancel := context.WithTimeout(r.Context(), client.Timeout)
	defer cancel()
	var kept atomic.Bool
	r = r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(c httptrace.GotConnInfo) { kept.Store(c.Reused) },
	}))
	r.Header.Set("Accept", "application/json")
	answer, err := client.Do(r)
	if err != nil && kept.Load() && ctx.Err() == nil {
		answer, err = sendAgain(client, r)
	}
	if err != nil {
		return cloudAnswer{}, cloudFault("no answer", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxCloudAnswer+1))
	if err != nil {
		return cloudAnswer{}, cloudFault("no whole answer", err)
	}
	if len(body) > maxCloudAnswer {
		return cloudAnswer{}, fmt.Errorf("%w: %s answered more than %d bytes", errCloud, r.URL.Path, maxCloudAnswer)
	}
	return cloudAnswer{answer.StatusCode, body}, nil
}

func sendAgain(client *http.Client, r *http.Request) (*http.Response, error) {
	again := r.Clone(r.Context())
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		again.Body = body
	}
	return client.Do(again)
}

// read takes the members of an answer with the status that it must have. Each stands once, in its own spelling: encoding/json would believe
// the last of several. Its errors hold nothing of the body.
func (a cloudAnswer) read(status int, into any, members ...string) error {
	if a.status != status {
		return a.unexpected()
	}
	if err := errors.Join(keys.Exact(a.body, members...), json.Unmarshal(a.body, into)); err != nil {
		return fmt.Errorf("%w: it answered %d with a body that cannot be read", errCloud, a.status)
	}
	return nil
}

func (a cloudAnswer) unexpected() error {
	return fmt.Errorf("%w: it answered %d %q", errCloud, a.status, a.word())
}

// word is the error code of an answer (RFC 6749 section 5.2), if it looks like one: all other text may repeat what we sent.
func (a cloudAnswer) word() string {
	var refused struct {
		Error string `json:"error"`
	}
	strange := func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }
	if json.Unmarshal(a.body, &refused) != nil || len(refused.Error) > 64 || strings.ContainsFunc(refused.Error, strange) {
		return ""
	}
	return refused.Error
}
