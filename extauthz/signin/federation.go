package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"isogate/envoy/topology"
	"isogate/extauthz/dpop"
	"isogate/extauthz/keys"
	"isogate/extauthz/session"
)

// Endpoints of an isolated cloud's OAuth server, below its issuer. They are fixed: nothing that a cloud answers leads anywhere else.
const (
	cloudPAR     = "/oauth2/par"
	cloudToken   = "/oauth2/token"
	cloudRevoke  = "/oauth2/revoke"
	cloudSession = "/oauth2/session"
	cloudJWKS    = "/oauth2/jwks"
)

// errCloud means that an isolated cloud does not answer or answers nonsense: nobody's fault here, and worth another try.
var errCloud = errors.New("signin: the isolated cloud cannot be used")

// ErrRefused means that an isolated cloud answers, and does not take a session's token or its proof, without a word of whether the session lives.
// Keys that changed there, or a clock, may be at fault: the session may live, and so do those of others.
var ErrRefused = errors.New("signin: the isolated cloud does not take the session's token")

// Federation is the client of one isolated cloud's OAuth server, in the FAPI 2.0 Security Profile: pushed requests (RFC 9126), PKCE
// (RFC 7636), private_key_jwt (RFC 7523), a key for each sign-in (DPoP, RFC 9449) and iss in each answer (RFC 9207).
//
// It believes nothing but its entry: who answers, with which keys and for which cloud. It stores nothing.
type Federation struct {
	Entry    topology.Directory
	signers  *keys.Signers
	client   *http.Client
	keys     *keys.Remote
	callback string
	now      func() time.Time
	turns    chan struct{} // of sign-ins
	revokes  chan struct{} // under way
}

// NewFederation asks nothing yet. client says how the cloud is reached and trusted; callback is our redirect URI, which the cloud has on file.
// What it remembers is worth keeping as long as the entry stays the same.
func NewFederation(entry topology.Directory, signers *keys.Signers, client *http.Client, callback string, now func() time.Time) *Federation {
	own := *client
	own.Timeout = cloudTimeout
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Federation{
		Entry: entry, signers: signers, client: &own, keys: keys.NewRemote(entry.Issuer+cloudJWKS, &own, now),
		callback: callback, now: now, turns: make(chan struct{}, maxTurns), revokes: make(chan struct{}, maxRevokes),
	}
}

// Run keeps the cloud's keys fresh until ctx ends, so that a withdrawn one dies in time although nobody signs in.
func (f *Federation) Run(ctx context.Context) error { return f.keys.Run(ctx) }

// attempt is what must be remembered of a sign-in until its answer comes, by nobody but whoever began it.
type attempt struct {
	Nonce    string `json:"n"`
	Verifier string `json:"c"` // PKCE
	Key      []byte `json:"k"` // the private key that the tokens will be bound to
}

func newAttempt() (attempt, error) {
	key, err := dpop.Generate()
	return attempt{Nonce: oauth2.GenerateVerifier(), Verifier: oauth2.GenerateVerifier(), Key: key.Marshal()}, err
}

// Begin pushes an authorization request (RFC 9126 section 2.1), and gives the address that a browser has to open. state comes back with the
// answer. The error is errCloud.
func (f *Federation) Begin(ctx context.Context, begun attempt, state string) (address string, err error) {
	key, err := dpop.ParseKey(begun.Key)
	if err != nil {
		return "", err
	}
	var pushed struct {
		URI string `json:"request_uri"`
	}
	err = inTurn(f.turns, func() error {
		answer, err := f.post(ctx, f.client, cloudPAR, url.Values{
			"response_type": {"code"}, "scope": {"openid"}, "redirect_uri": {f.callback}, "state": {state}, "nonce": {begun.Nonce},
			"code_challenge": {oauth2.S256ChallengeFromVerifier(begun.Verifier)}, "code_challenge_method": {"S256"},
			"dpop_jkt": {key.Thumbprint()}, // RFC 9449 section 10: the code is worth nothing without the key
		})
		if err != nil {
			return err
		}
		return answer.read(http.StatusCreated, &pushed, "request_uri")
	})
	if err != nil {
		return "", err
	}
	if pushed.URI == "" || len(pushed.URI) > maxRequestURI || !printable(pushed.URI) {
		return "", fmt.Errorf("%w: it gave no request_uri", errCloud)
	}
	return f.Entry.Issuer + PathAuthorize + "?" + url.Values{"client_id": {f.Entry.Client.ID}, "request_uri": {pushed.URI}}.Encode(), nil
}

// maxRequestURI bounds what becomes part of an address, in bytes.
const maxRequestURI = 512

// Finish takes the parameters of an answer that belongs to the attempt, and makes a session of it. The error is errAnswer, a Refusal or
// errCloud.
func (f *Federation) Finish(ctx context.Context, answer map[string]string, begun attempt) (session.Outside, error) {
	// RFC 9207 section 2.4, and RFC 9700 section 4.4: another cloud's answer would give us its code, to be taken to this one.
	if answer["iss"] != f.Entry.Issuer {
		return session.Outside{}, errAnswer
	}
	if word, refused := answer["error"]; refused {
		return session.Outside{}, refusalOf(word)
	}
	if answer["code"] == "" {
		return session.Outside{}, errAnswer
	}
	var made session.Outside
	err := inTurn(f.turns, func() error {
		given, err := f.exchange(ctx, answer["code"], begun)
		if err == nil {
			made, err = f.judge(ctx, given, begun)
		}
		return err
	})
	return made, err
}

// refusalOf is what an error in an answer means (RFC 6749 section 4.1.2.1, OpenID Connect Core 1.0 section 3.1.2.6). Its description is not
// for people: whoever wrote the address may have written it.
func refusalOf(word string) error {
	switch word {
	case "access_denied":
		return Refusal{"sign-in-cancelled"}
	case "temporarily_unavailable", "server_error":
		return fmt.Errorf("%w: it says %s", errCloud, word)
	}
	return errAnswer
}

// tokens is what the token endpoint gives.
type tokens struct {
	Access string `json:"access_token"`
	Type   string `json:"token_type"`
	ID     string `json:"id_token"`
}

// exchange redeems a code (RFC 6749 section 4.1.3, RFC 9449 section 5).
func (f *Federation) exchange(ctx context.Context, code string, begun attempt) (given tokens, err error) {
	client, err := f.proving(begun.Key)
	if err != nil {
		return given, err
	}
	answer, err := f.post(ctx, client, cloudToken, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {f.callback}, "code_verifier": {begun.Verifier},
	})
	if err != nil {
		return given, err
	}
	if answer.status == http.StatusBadRequest && answer.word() == "invalid_grant" { // used, expired, or another's
		return given, errAnswer
	}
	if err := answer.read(http.StatusOK, &given, "access_token", "token_type", "id_token"); err != nil {
		return given, err
	}
	// RFC 9449 section 5: a token that anybody can use is none that we ask for. The type has no case (RFC 6749 section 5.1).
	if !strings.EqualFold(given.Type, "DPoP") || given.Access == "" || !printable(given.Access) {
		return given, fmt.Errorf("%w: it gave no token that is bound to our key", errCloud)
	}
	return given, nil
}

// whose are the claims of an ID token that we read, beside those that keys.Verify does.
type whose struct {
	Subject string `json:"sub"`
	Nonce   string `json:"nonce"`
	CloudID string `json:"isolated_cloud_id"`
	Grant   string `json:"sid"`
	Ends    int64  `json:"session_expiry"` // Unix seconds
}

// maxName bounds sub and sid, in bytes (OpenID Connect Core 1.0 section 2).
const maxName = 255

// judge verifies the ID token (OpenID Connect Core 1.0 section 3.1.3.7) and makes a session of it.
func (f *Federation) judge(ctx context.Context, given tokens, begun attempt) (session.Outside, error) {
	ctx, cancel := context.WithTimeout(ctx, f.client.Timeout)
	defer cancel()
	raw, err := keys.Verify(ctx, given.ID, f.keys, keys.Expect{
		Type: "JWT", Issuer: f.Entry.Issuer, Audience: f.Entry.Client.ID, Now: f.now, Skew: skew,
	})
	if err != nil {
		return session.Outside{}, cloudFault("the ID token", err)
	}
	var who whose
	if err := errors.Join(keys.Exact(raw, "sub", "nonce", "isolated_cloud_id", "sid", "session_expiry"), json.Unmarshal(raw, &who)); err != nil {
		return session.Outside{}, fmt.Errorf("%w: the ID token's claims", errCloud)
	}
	now := f.now().Truncate(time.Second)
	made := session.Outside{
		Cloud: f.Entry.ID, Subject: who.Subject, Grant: who.Grant, Token: given.Access, Key: begun.Key, Start: now, Checked: now,
	}.Until(time.Unix(who.Ends, 0))
	switch {
	case who.Nonce != begun.Nonce:
		return session.Outside{}, errAnswer
	case who.CloudID != f.Entry.ID: // one issuer must not speak for another cloud's people
		return session.Outside{}, fmt.Errorf("%w: the ID token is of another cloud", errCloud)
	case who.Subject == "" || who.Grant == "" || len(who.Subject) > maxName || len(who.Grant) > maxName:
		return session.Outside{}, fmt.Errorf("%w: the ID token names nobody", errCloud)
	case !made.Ends.After(now):
		return session.Outside{}, errAnswer // the session inside ended meanwhile
	}
	return made, nil
}

// Check asks until when a session lives. session.ErrNone means that the cloud says it is over; ErrRefused, that it does not take the token; any
// other error, that nothing is known.
func (f *Federation) Check(ctx context.Context, o session.Outside) (expiry time.Time, err error) {
	client, err := f.proving(o.Key)
	if err != nil {
		return time.Time{}, err
	}
	answer, err := f.get(ctx, client, cloudSession, o.Token)
	if err != nil {
		return time.Time{}, err
	}
	var said struct {
		Active  *bool  `json:"active"`
		Subject string `json:"sub"`
		CloudID string `json:"isolated_cloud_id"`
		Expiry  int64  `json:"session_expiry"` // Unix seconds
	}
	if answer.status == http.StatusUnauthorized {
		if answer.read(answer.status, &said, "active") == nil && said.Active != nil && !*said.Active {
			return time.Time{}, session.ErrNone
		}
		if answer.word() == "invalid_token" {
			return time.Time{}, fmt.Errorf("%w: %q", ErrRefused, answer.word())
		}
		return time.Time{}, answer.unexpected() // a proof that was refused says more about our clock than about the session
	}
	if err := answer.read(http.StatusOK, &said, "active", "sub", "isolated_cloud_id", "session_expiry"); err != nil {
		return time.Time{}, err
	}
	if said.Active == nil || !*said.Active || said.Subject != o.Subject || said.CloudID != f.Entry.ID {
		return time.Time{}, fmt.Errorf("%w: it answered about another session", errCloud)
	}
	return time.Unix(said.Expiry, 0), nil
}

// Revoke ends a session's grant (RFC 7009). Somebody who signs in and out all the time must not pile up revocations before a cloud that is slow.
func (f *Federation) Revoke(ctx context.Context, o session.Outside) error {
	return inTurn(f.revokes, func() error {
		answer, err := f.post(ctx, f.client, cloudRevoke, url.Values{"token": {o.Token}})
		if err != nil {
			return err
		}
		if answer.status != http.StatusOK { // RFC 7009 section 2.2: whatever became of the token
			return answer.unexpected()
		}
		return nil
	})
}
