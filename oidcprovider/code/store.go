package code

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"isogate/extauthz/dpop"
	"isogate/extauthz/kv"
)

const (
	uriPrefix         = "urn:ietf:params:oauth:request_uri:" // RFC 9126 section 2.2
	usedLifetime      = 10 * time.Minute                     // from the issue of a code: how long its second use is known for what it is
	confirmedLifetime = 24 * time.Hour
	stripes           = 64
)

// What the keys of the store begin with. What follows is a hash.
const (
	kindRequest   = "request/"
	kindCode      = "code/"
	kindUsed      = "used/"
	kindConfirmed = "confirmed/"
	kindOnce      = "once/"
)

// Store keeps them. Its methods may be called in parallel.
type Store struct {
	records Records
	now     func() time.Time
	locks   [stripes]chan struct{}
	shelf   *shelf
}

// New returns a store over records. now is the clock of the records' expiry too.
func New(records Records, now func() time.Time) *Store {
	s := &Store{records: records, now: now, shelf: newShelf()}
	for i := range s.locks {
		s.locks[i] = make(chan struct{}, 1)
	}
	return s
}

// Push keeps a request until RequestLifetime is over and returns its request_uri, with 256 random bits (RFC 9126 section 7.1). It sets
// Request.Pushed. Of a client that has pushed very many, an older one gives way.
func (s *Store) Push(ctx context.Context, r Request) (uri string, err error) {
	r.Pushed = s.now()
	value, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("code: pushing %w", err)
	}
	uri = uriPrefix + random()
	if err := s.records.Put(ctx, kv.Item{Key: kindRequest + hash(uri), Value: value, Expires: r.Pushed.Add(RequestLifetime)}); err != nil {
		return "", fmt.Errorf("code: pushing %w", err)
	}
	if gone := s.shelf.add(r.Client, kindRequest+hash(uri), r.Pushed); gone != "" {
		if _, err := s.records.Take(ctx, gone); err != nil && !errors.Is(err, kv.ErrNotFound) {
			return "", fmt.Errorf("code: making room for %w", err)
		}
	}
	return uri, nil
}

// Pushed looks at a request and leaves it there: people reload pages, and a request is only used up by its answer.
func (s *Store) Pushed(ctx context.Context, uri string) (Request, error) {
	if !strings.HasPrefix(uri, uriPrefix) {
		return Request{}, ErrNone
	}
	value, err := s.records.Get(ctx, kindRequest+hash(uri))
	r, err := read[Request](value, err)
	if err == nil {
		s.shelf.open(r.Client, kindRequest+hash(uri))
	}
	return r, err
}

// Answer takes a request. Of parallel calls one gets it.
func (s *Store) Answer(ctx context.Context, uri string) (Request, error) {
	if !strings.HasPrefix(uri, uriPrefix) {
		return Request{}, ErrNone
	}
	value, err := s.records.Take(ctx, kindRequest+hash(uri))
	r, err := read[Request](value, err)
	if err == nil {
		s.shelf.take(r.Client, kindRequest+hash(uri))
	}
	return r, err
}

// Issue makes an authorization code of 256 random bits, which can be redeemed once within CodeLifetime.
//
// Whose it is, it remembers for 10 minutes in a second record, which is made with the first: so there is no moment at which a code is used
// and nobody knows whose grant a second use must end.
func (s *Store) Issue(ctx context.Context, c Code) (string, error) {
	if c.Grant == "" || c.User == "" || c.Request.Client == "" || c.Request.Challenge == "" {
		return "", errors.New("code: issuing a code that stands for nothing")
	}
	value, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("code: issuing %w", err)
	}
	owner, err := json.Marshal(Code{Grant: c.Grant, Request: Request{Client: c.Request.Client}})
	if err != nil {
		return "", fmt.Errorf("code: issuing %w", err)
	}
	code, now := random(), s.now()
	err = s.records.Put(ctx,
		kv.Item{Key: kindCode + hash(code), Value: value, Expires: now.Add(CodeLifetime)},
		kv.Item{Key: kindUsed + hash(code), Value: owner, Expires: now.Add(usedLifetime)},
	)
	if err != nil {
		return "", fmt.Errorf("code: issuing %w", err)
	}
	return code, nil
}

// Redeem takes a code. Of parallel calls one gets it. For 10 minutes after its issue a code that was used, or that was not used in time,
// is answered with ErrUsed and a Code that holds Grant and Request.Client alone, so that the caller can end the grant (RFC 6749 section
// 4.1.2). ErrNone says that it was never issued, or longer ago.
func (s *Store) Redeem(ctx context.Context, code string) (Code, error) {
	value, err := s.records.Take(ctx, kindCode+hash(code))
	if !errors.Is(err, kv.ErrNotFound) {
		return read[Code](value, err)
	}
	value, err = s.records.Get(ctx, kindUsed+hash(code))
	c, err := read[Code](value, err)
	if err != nil {
		return Code{}, err
	}
	return c, ErrUsed
}

// Lock keeps other holders of this code's lock in this process waiting until the returned function is called. Whoever redeems a code holds
// it until the grant is redeemed too: a second use then ends a grant that stands, and no grant outlives the second use of its code because
// the two crossed. Among several processes they may cross: the first use then finds no grant any more and fails as well.
func (s *Store) Lock(ctx context.Context, code string) (unlock func(), err error) {
	sum := sha256.Sum256([]byte(code))
	lock := s.locks[sum[0]%stripes]
	select {
	case lock <- struct{}{}:
		return func() { <-lock }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("code: waiting for another use of the code: %w", ctx.Err())
	}
}

// Confirm remembers for 24 hours that the person of a session agreed to be recognised by a client.
func (s *Store) Confirm(ctx context.Context, session, client string) error {
	key := kindConfirmed + hash(session, client)
	if err := s.records.Put(ctx, kv.Item{Key: key, Expires: s.now().Add(confirmedLifetime)}); err != nil {
		return fmt.Errorf("code: confirming %w", err)
	}
	return nil
}

// Confirmed tells whether the person agreed.
func (s *Store) Confirmed(ctx context.Context, session, client string) (bool, error) {
	_, err := s.records.Get(ctx, kindConfirmed+hash(session, client))
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("code: looking for a confirmation: %w", err)
	}
	return true, nil
}

// Once sets a mark that lives until the given time, and answers ErrUsed if it lives already. Of parallel calls one sets it.
func (s *Store) Once(ctx context.Context, key string, until time.Time) error {
	err := s.records.Add(ctx, kv.Item{Key: kindOnce + hash(key), Expires: until})
	if errors.Is(err, kv.ErrExists) {
		return ErrUsed
	}
	if err != nil {
		return fmt.Errorf("code: marking %w", err)
	}
	return nil
}

// Replay keeps the marks of DPoP proofs.
func (s *Store) Replay() dpop.Replay { return replay{s} }

type replay struct{ store *Store }

// Add answers dpop.ErrSeen if the mark lives.
func (r replay) Add(ctx context.Context, key string, expires time.Time) error {
	err := r.store.Once(ctx, "proof/"+key, expires)
	if errors.Is(err, ErrUsed) {
		return dpop.ErrSeen
	}
	return err
}

// read makes a record of what the store answered.
func read[T any](value []byte, err error) (record T, _ error) {
	if errors.Is(err, kv.ErrNotFound) {
		return record, ErrNone
	}
	if err != nil {
		return record, fmt.Errorf("code: reading %w", err)
	}
	if err := json.Unmarshal(value, &record); err != nil {
		return *new(T), fmt.Errorf("code: a damaged record: %w", err)
	}
	return record, nil
}

// random is 256 bits in base64url.
func random() string {
	var raw [32]byte
	rand.Read(raw[:]) // never fails: crypto/rand ends the program rather than give too little
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// hash prefixes each part with its length: ("ab", "c") and ("a", "bc") must differ.
func hash(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
