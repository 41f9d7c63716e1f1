package session

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"isogate/extauthz/kv"
)

const (
	// redeemWithin is how long a grant waits for its first token: as long as an authorization code lives.
	redeemWithin = time.Minute

	// grantLife is how long a grant may live from its opening: the longest life of a stateless session and of its access token.
	grantLife = 24 * time.Hour

	// maxGrants is how many grants one session and client may have, so that somebody who confirms over and over fills no store. The oldest
	// gives way.
	maxGrants = 32
)

// Grant ties a session to one OAuth client. It is as alive as its session, and no more.
//
// Its id is no secret: it stands as sid in every federated token, and who knows it can do nothing with it. At the gateway and at the session
// resource it counts only inside a signed access token with a proof of possession, and only the owner may open the session socket. The
// store holds it as it is.
type Grant struct {
	ID      string    // 128 random bits, base64url
	Client  string    // client_id
	Session Session   // which lives
	Expiry  time.Time // when the session ends for commercial services if nothing more happens; a fresh sign-in or activity moves it
}

// OpenGrant opens a grant of a living session, or returns ErrNone where the policies admit none: for that client, for the person's e-mail
// domain, or at this age of the session. A grant that is not redeemed within 60 s ends. It is no activity.
func (s *Stored) OpenGrant(ctx context.Context, sessionID, client string, p Policies) (Grant, error) {
	if !wellFormed(sessionID, 16) {
		return Grant{}, ErrNone
	}
	t := tie{session: sessionID, opened: s.now(), client: client}
	opened, err := s.federated(ctx, random(16), t, p)
	if err != nil {
		return Grant{}, err
	}
	s.granting.Lock()
	defer s.granting.Unlock()
	if err := s.makeRoom(ctx, t); err != nil {
		return Grant{}, err
	}
	if err := s.writeGrant(ctx, opened.ID, t, redeemWithin); err != nil {
		return Grant{}, err
	}
	return opened, nil
}

// RedeemGrant keeps a living grant of a client for 24 h from its opening, since tokens are about to be made for it. Doing it again is no
// error; a grant that has ended stays ended and gives ErrNone.
func (s *Stored) RedeemGrant(ctx context.Context, id, client string, p Policies) (Grant, error) {
	s.granting.Lock()
	defer s.granting.Unlock()
	kept, t, err := s.granted(ctx, id, client, p)
	if err != nil {
		return Grant{}, err
	}
	if err := s.writeGrant(ctx, id, t, grantLife); err != nil {
		return Grant{}, err
	}
	return kept, nil
}

// Granted finds a client's grant if it and its session live under the policies of this moment, else it returns ErrNone: where the client is
// another or configured no more, where the session has ended or is over for commercial services, and where the person's e-mail domain is
// managed no more. It is no activity.
func (s *Stored) Granted(ctx context.Context, id, client string, p Policies) (Grant, error) {
	found, _, err := s.granted(ctx, id, client, p)
	return found, err
}

func (s *Stored) granted(ctx context.Context, id, client string, p Policies) (Grant, tie, error) {
	t, err := s.readGrant(ctx, id)
	if err != nil {
		return Grant{}, tie{}, err
	}
	if t.client != client {
		return Grant{}, tie{}, ErrNone
	}
	found, err := s.federated(ctx, id, t, p)
	return found, t, err
}

// federated is the one place that says whether a session may be known to a client.
func (s *Stored) federated(ctx context.Context, id string, t tie, p Policies) (Grant, error) {
	if !slices.Contains(p.Clients, t.client) {
		return Grant{}, ErrNone
	}
	session, err := s.ByID(ctx, t.session, p)
	if err != nil {
		return Grant{}, err
	}
	expiry := session.FederatedExpiry(p.For(session.Identity))
	if !p.IsManaged(session.Identity) || !s.now().Before(expiry) {
		return Grant{}, ErrNone
	}
	return Grant{ID: id, Client: t.client, Session: session, Expiry: expiry}, nil
}

// EndGrant ends a client's grant, for good. Ending one that is not there is no error, and neither is another client's, which goes on
// (RFC 7009 sections 2.1 and 2.2).
func (s *Stored) EndGrant(ctx context.Context, id, client string) error {
	s.granting.Lock()
	defer s.granting.Unlock()
	t, err := s.readGrant(ctx, id)
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	if t.client != client {
		return nil
	}
	return s.dropGrants(ctx, grantKey(id), t.index(id))
}

// makeRoom ends grants of a session and client until one more fits: those that were not redeemed yet, then the oldest. Whoever makes a browser
// open many must not end by it what a service holds.
func (s *Stored) makeRoom(ctx context.Context, t tie) error {
	items, err := s.records.List(ctx, t.prefix())
	if err != nil {
		return fmt.Errorf("session: listing grants: %w", err)
	}
	soon := s.now().Add(redeemWithin)
	var waiting, kept []kv.Item // oldest first
	for _, item := range items {
		if item.Expires.After(soon) {
			kept = append(kept, item)
		} else {
			waiting = append(waiting, item)
		}
	}
	items = append(waiting, kept...)
	var keys []string
	for _, item := range items[:max(0, len(items)-maxGrants+1)] {
		keys = append(keys, grantKey(string(item.Value)), item.Key)
	}
	if len(keys) == 0 {
		return nil
	}
	return s.dropGrants(ctx, keys...)
}

func (s *Stored) dropGrants(ctx context.Context, keys ...string) error {
	if _, err := s.records.Take(ctx, keys...); err != nil && !errors.Is(err, kv.ErrNotFound) {
		return fmt.Errorf("session: ending a grant: %w", err)
	}
	return nil
}

func (s *Stored) writeGrant(ctx context.Context, id string, t tie, life time.Duration) error {
	until := t.opened.Add(life)
	err := s.records.Put(ctx,
		kv.Item{Key: grantKey(id), Value: t.record(), Expires: until},
		kv.Item{Key: t.index(id), Value: []byte(id), Expires: until})
	if err != nil {
		return fmt.Errorf("session: writing a grant: %w", err)
	}
	return nil
}

// readGrant does not say whether the session lives.
func (s *Stored) readGrant(ctx context.Context, id string) (tie, error) {
	if !wellFormed(id, 16) {
		return tie{}, ErrNone
	}
	record, err := s.records.Get(ctx, grantKey(id))
	if err != nil {
		return tie{}, none(err)
	}
	return parseTie(string(record))
}

// tie is what the store holds of a grant: g/<grant> the record, and c/<session>/<client>/<opening><grant> its id. The second lists the
// grants of a session and client, the oldest first.
type tie struct {
	session string
	opened  time.Time
	client  string
}

// The record is plain text, since each call at the gateway reads one. The client stands last: whatever its id holds, it ends nothing early.
func (t tie) record() []byte {
	return fmt.Appendf(nil, "%s %s %s", t.session, t.moment(), t.client)
}

var errGrant = errors.New("session: the record of a grant is damaged")

func parseTie(record string) (tie, error) {
	session, rest, _ := strings.Cut(record, " ")
	moment, client, ok := strings.Cut(rest, " ")
	nanoseconds, err := strconv.ParseInt(moment, 16, 64)
	if !ok || err != nil || !wellFormed(session, 16) || client == "" {
		return tie{}, errGrant
	}
	return tie{session: session, opened: time.Unix(0, nanoseconds), client: client}, nil
}

// moment is of one length, so that the order of bytes is the order of time.
func (t tie) moment() string { return fmt.Sprintf("%016x", t.opened.UnixNano()) }

// prefix encodes the client, so that no client's id is the beginning of another's.
func (t tie) prefix() string {
	return "c/" + t.session + "/" + base64.RawURLEncoding.EncodeToString([]byte(t.client)) + "/"
}

func (t tie) index(id string) string { return t.prefix() + t.moment() + id }

func grantKey(id string) string { return "g/" + id }
