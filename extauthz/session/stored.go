package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"isogate/extauthz/kv"
)

// flushEvery is how long activity may stay in memory; at most this much and one write are lost in a crash.
const flushEvery = 10 * time.Second

// keep is how long a record outlives the absolute limit that held when it was written, so that a limit which is made longer while people
// are signed in reaches them too. What ends a session is always the limit of the moment, never this.
const keep = 24 * time.Hour

// Records is what this package needs of a key-value store.
type Records interface {
	Put(ctx context.Context, items ...kv.Item) error
	Get(ctx context.Context, key string) ([]byte, error)
	Take(ctx context.Context, keys ...string) ([]byte, error)
	List(ctx context.Context, prefix string) ([]kv.Item, error)
}

// Stored keeps sessions in a key-value store: s/<id> the record, h/<SHA-256 of a handle> the id of its session and its host with a space
// between them, a/<id> the last activity in Unix milliseconds; and grants, see tie.
type Stored struct {
	records Records
	now     func() time.Time

	decoded  decoded
	renewing sync.Mutex // a renewal reads and writes a record: an end between the two must not be undone
	granting sync.Mutex // likewise a redemption and the record of a grant

	mu     sync.Mutex
	active map[string]activity // not known to be written, by session id; bounded by the living sessions seen within flushEvery
}

type activity struct{ at, until time.Time }

// NewStored returns sessions over a store.
func NewStored(records Records, now func() time.Time) *Stored {
	return &Stored{records: records, now: now, active: map[string]activity{}}
}

// Open begins a session for a person who has just signed in.
func (s *Stored) Open(ctx context.Context, who Identity, l Limits) (Session, error) {
	now := s.now().UTC()
	opened := Session{ID: random(16), Identity: who, SignedIn: now, Active: now}
	return opened, s.write(ctx, opened, l)
}

// Renew puts a fresh sign-in of the same person into a living session, in place: what hangs on the session stays. It returns ErrNone
// where the session has ended in the meantime, by its limits too: what hung on it must not come back to life.
func (s *Stored) Renew(ctx context.Context, id string, who Identity, l Limits) (Session, error) {
	s.renewing.Lock()
	defer s.renewing.Unlock()
	old, err := s.read(ctx, id)
	if err != nil {
		return Session{}, err
	}
	if old.User != who.User {
		return Session{}, fmt.Errorf("session: renewing: the session is another person's")
	}
	now := s.now().UTC()
	if !now.Before(old.Expiry(l)) {
		return Session{}, ErrNone
	}
	renewed := Session{ID: id, Identity: who, SignedIn: now, Active: now}
	return renewed, s.write(ctx, renewed, l)
}

func (s *Stored) write(ctx context.Context, session Session, l Limits) error {
	record, err := json.Marshal(session)
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	until := session.SignedIn.Add(l.Absolute + keep)
	err = s.records.Put(ctx,
		kv.Item{Key: "s/" + session.ID, Value: record, Expires: until},
		kv.Item{Key: "a/" + session.ID, Value: millis(session.Active), Expires: until})
	if err != nil {
		return fmt.Errorf("session: writing a record: %w", err)
	}
	return nil
}

// Handle opens a handle to a session for one host. It works until its session ends or it is dropped.
func (s *Stored) Handle(ctx context.Context, session Session, host string, l Limits) (Handle, error) {
	h := Handle(random(32))
	item := kv.Item{Key: handleKey(h), Value: []byte(session.ID + " " + host), Expires: session.SignedIn.Add(l.Absolute + keep)}
	if err := s.records.Put(ctx, item); err != nil {
		return "", fmt.Errorf("session: writing a handle: %w", err)
	}
	return h, nil
}

var errHandle = errors.New("session: the record of a handle is damaged")

// Living finds the session that a host's handle names, if it lives under the policies of this moment, else ErrNone. It is no activity.
func (s *Stored) Living(ctx context.Context, host string, h Handle, p Policies) (Session, error) {
	if !h.well() {
		return Session{}, ErrNone
	}
	value, err := s.records.Get(ctx, handleKey(h))
	if err != nil {
		return Session{}, none(err)
	}
	id, opens, ok := strings.Cut(string(value), " ")
	if !ok {
		return Session{}, errHandle
	}
	if opens != host {
		return Session{}, ErrNone
	}
	return s.ByID(ctx, id, p)
}

// ByID finds a living session by its id.
func (s *Stored) ByID(ctx context.Context, id string, p Policies) (Session, error) {
	session, err := s.read(ctx, id)
	if err != nil {
		return Session{}, err
	}
	if !p.admits(session.Identity) || !s.now().Before(session.Expiry(p.For(session.Identity))) {
		return Session{}, ErrNone
	}
	return session, nil
}

func (s *Stored) read(ctx context.Context, id string) (Session, error) {
	record, err := s.records.Get(ctx, "s/"+id)
	if err != nil {
		return Session{}, none(err)
	}
	session, err := s.decoded.read(id, record)
	if err != nil {
		return Session{}, fmt.Errorf("session: reading a record: %w", err)
	}
	written, err := s.lastActive(ctx, id)
	if err != nil {
		return Session{}, err
	}
	session.Active = later(session.SignedIn, written)
	return session, nil
}

// lastActive is the latest activity that was noted. What waits here to be written is never older than what was written before.
func (s *Stored) lastActive(ctx context.Context, id string) (time.Time, error) {
	if at, waits := s.waiting(id); waits {
		return at, nil
	}
	written, err := s.records.Get(ctx, "a/"+id)
	switch {
	case err == nil && len(written) == 8:
		return time.UnixMilli(int64(binary.BigEndian.Uint64(written))), nil
	case err != nil && !errors.Is(err, kv.ErrNotFound):
		return time.Time{}, fmt.Errorf("session: reading activity: %w", err)
	}
	return time.Time{}, nil
}

func (s *Stored) waiting(id string) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.active[id]
	return a.at, ok
}

// Touch notes a request of the person's browser. It is written within flushEvery.
func (s *Stored) Touch(session Session, l Limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active[session.ID] = activity{at: s.now(), until: session.SignedIn.Add(l.Absolute + keep)}
}

// End ends a session everywhere, for good. Ending one that is not there is no error.
func (s *Stored) End(ctx context.Context, id string) error {
	s.renewing.Lock()
	defer s.renewing.Unlock()
	s.mu.Lock()
	delete(s.active, id)
	s.mu.Unlock()
	if _, err := s.records.Take(ctx, "s/"+id, "a/"+id); err != nil && !errors.Is(err, kv.ErrNotFound) {
		return fmt.Errorf("session: ending: %w", err)
	}
	return nil
}

// Drop makes one handle worthless; its session goes on. What is no handle of ours is worthless already.
func (s *Stored) Drop(ctx context.Context, h Handle) error {
	if !h.well() {
		return nil
	}
	if _, err := s.records.Take(ctx, handleKey(h)); err != nil && !errors.Is(err, kv.ErrNotFound) {
		return fmt.Errorf("session: dropping a handle: %w", err)
	}
	return nil
}

// Flush writes the activity that is still in memory. It stays there until it is written, so that no reader in between takes an active session
// for an idle one, and a flush that fails is made up for by the next.
func (s *Stored) Flush(ctx context.Context) error {
	s.mu.Lock()
	pending := maps.Clone(s.active)
	s.mu.Unlock()
	items := make([]kv.Item, 0, len(pending))
	for id, a := range pending {
		items = append(items, kv.Item{Key: "a/" + id, Value: millis(a.at), Expires: a.until})
	}
	if len(items) == 0 {
		return nil
	}
	if err := s.records.Put(ctx, items...); err != nil {
		return fmt.Errorf("session: writing activity: %w", err)
	}
	s.forget(pending)
	return nil
}

// forget lets go of what was written, unless there was more activity since.
func (s *Stored) forget(written map[string]activity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, a := range written {
		if s.active[id] == a {
			delete(s.active, id)
		}
	}
}

// Run flushes until the context ends, and once more then. A flush that fails is tried again with the next one; failed is told.
func (s *Stored) Run(ctx context.Context, failed func(error)) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.Flush(context.WithoutCancel(ctx))
		case <-tick.C:
			if err := s.Flush(ctx); err != nil {
				failed(err)
			}
		}
	}
}

// none turns the store's "not found" into ours and leaves every other error what it is.
func none(err error) error {
	if errors.Is(err, kv.ErrNotFound) {
		return ErrNone
	}
	return fmt.Errorf("session: %w", err)
}

func handleKey(h Handle) string {
	sum := sha256.Sum256([]byte(h))
	return "h/" + base64.RawURLEncoding.EncodeToString(sum[:])
}

func millis(t time.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(t.UnixMilli()))
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func random(n int) string {
	raw := make([]byte, n)
	rand.Read(raw) // it never returns an error: without randomness the process ends
	return base64.RawURLEncoding.EncodeToString(raw)
}
