package profile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"isogate/extauthz/dpop"
	"isogate/extauthz/kv"
)

// How far a proof of possession may lie ahead of our clock, and how old it may be.
const (
	proofAhead  = 10 * time.Second
	proofBehind = 60 * time.Second
)

// proofLife is how long after this moment a mark that is made now may end: that of a proof from as far ahead as may be. The second is that of
// package dpop, which counts iat in whole ones.
const proofLife = proofAhead + proofBehind + proofAhead + time.Second

// maxMarks bounds each of the two halves of the marks. A mark is made only for who has a token that is good.
const maxMarks = 1 << 18

// MarkStore is what the marks need of a key-value store.
type MarkStore interface {
	Put(ctx context.Context, items ...kv.Item) error
	Take(ctx context.Context, keys ...string) ([]byte, error)
	List(ctx context.Context, prefix string) ([]kv.Item, error)
}

// The keys in the store: p/<mark> for each, and one that stands there while a process makes marks that are not written yet; or, with an end of its
// own, as long as those that were lost before that process may matter.
const (
	markPrefix = "p/"
	keyMarking = "m/marking"
)

var (
	errMarksLost = errors.New("profile: the last process ended without writing its marks: what it saw could pass again for some seconds")
	errMarksFull = errors.New("profile: too many proofs are remembered")
	errMarksOver = errors.New("profile: the process ends")
)

// Marks remember the proofs of possession that were used, so that each works once (RFC 9449 section 11.1). They are kept in memory: a write to
// disk for each call would cost more than all the rest of it.
//
// A process that ends as it should writes them to the store, and the next one reads them. After any other end nobody knows what was used, so
// until all that it may have seen is too old, no proof that could be among that is judged: that is some ten seconds.
type Marks struct {
	store MarkStore
	now   func() time.Time
	lost  time.Time // marks that end no later may have been made by a process that lost them

	mu            sync.Mutex
	latest        time.Time // that the clock ever said
	recent, older marksUntil
	marking       bool // the store knows that there are marks that it does not have
	over          bool
}

// marksUntil are marks and the moment at which the last of them has ended. They are dropped together, since a map never shrinks.
type marksUntil struct {
	of    map[string]mark
	until time.Time
}

// mark is the use of one proof.
type mark struct {
	request string // the request that used it, "" if it had no name
	until   time.Time
}

// OpenMarks reads what the last process wrote.
func OpenMarks(ctx context.Context, store MarkStore, now func() time.Time) (*Marks, error) {
	m := &Marks{store: store, now: now, recent: marksUntil{of: map[string]mark{}}}
	written, err := store.List(ctx, markPrefix)
	if err != nil {
		return nil, fmt.Errorf("profile: reading the marks of used proofs: %w", err)
	}
	for _, item := range written {
		m.recent.add(strings.TrimPrefix(item.Key, markPrefix), mark{string(item.Value), item.Expires})
	}
	marking, err := store.List(ctx, keyMarking)
	if err != nil {
		return nil, fmt.Errorf("profile: reading the marks of used proofs: %w", err)
	}
	for _, item := range marking { // one at most
		if m.marking, m.lost = item.Expires.IsZero(), item.Expires; m.marking {
			m.lost = now().Add(proofLife)
		}
	}
	return m, nil
}

// Lost is how long calls have to wait because the last process ended without writing its marks; 0 if it wrote them.
func (m *Marks) Lost() time.Duration {
	return max(0, m.lost.Add(-proofBehind-proofAhead).Sub(m.now()))
}

// For judges the proof of a request by its name. The same request may come again with its proof, since Envoy repeats a check when the
// connection to us broke; "" is no request's name, so that such a proof works once, whoever sends it.
func (m *Marks) For(request string) dpop.Verifier {
	return dpop.Verifier{Ahead: proofAhead, Behind: proofBehind, Now: m.clock, Replay: use{m, request}}
}

// clock never goes back: a step ahead may have dropped marks whose proofs would be young again after the step back.
func (m *Marks) clock() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tick()
}

func (m *Marks) tick() time.Time {
	if now := m.now(); now.After(m.latest) {
		m.latest = now
	}
	return m.latest
}

// use is the marks as one request sees them.
type use struct {
	marks   *Marks
	request string
}

// Add marks a proof as used by the request.
func (u use) Add(ctx context.Context, key string, until time.Time) error {
	m := u.marks
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.tick()
	if !now.Before(m.older.until) {
		m.older, m.recent = m.recent, marksUntil{of: map[string]mark{}}
	}
	if before, ok := m.find(key); ok && now.Before(before.until) {
		if u.request != "" && before.request == u.request {
			return nil
		}
		return dpop.ErrSeen
	}
	if err := m.mayAdd(ctx, until); err != nil {
		return err
	}
	m.recent.add(key, mark{strings.Clone(u.request), until}) // as it came, it is a piece of the whole question
	return nil
}

func (m *Marks) find(key string) (mark, bool) {
	if found, ok := m.recent.of[key]; ok {
		return found, true
	}
	found, ok := m.older.of[key]
	return found, ok
}

// mayAdd lets no mark be made that could not be kept, or that one of the last process may have been equal to.
func (m *Marks) mayAdd(ctx context.Context, until time.Time) error {
	switch {
	case m.over:
		return errMarksOver
	case !until.After(m.lost):
		return errMarksLost
	case len(m.recent.of) >= maxMarks:
		return errMarksFull
	case m.marking:
		return nil
	}
	if err := m.store.Put(ctx, kv.Item{Key: keyMarking, Value: []byte{1}}); err != nil {
		return err
	}
	m.marking = true
	return nil
}

func (m *marksUntil) add(key string, added mark) {
	m.of[key] = added
	if added.until.After(m.until) {
		m.until = added.until
	}
}

// Run waits for the end of the process and writes the marks then. Whoever judges proofs must have ended before.
func (m *Marks) Run(ctx context.Context) error {
	<-ctx.Done()
	return m.save(context.WithoutCancel(ctx))
}

// save writes the marks before it says that they are written: an end between the two is one of those that are not known to be good. Where marks
// were lost before, it leaves word of how long those may matter.
func (m *Marks) save(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = true
	if !m.marking {
		return nil
	}
	if items := m.living(); len(items) > 0 {
		if err := m.store.Put(ctx, items...); err != nil {
			return fmt.Errorf("profile: writing the marks of used proofs: %w", err)
		}
	}
	if m.now().Before(m.lost) {
		if err := m.store.Put(ctx, kv.Item{Key: keyMarking, Value: []byte{1}, Expires: m.lost}); err != nil {
			return fmt.Errorf("profile: writing how long lost marks may matter: %w", err)
		}
		return nil
	}
	if _, err := m.store.Take(ctx, keyMarking); err != nil && !errors.Is(err, kv.ErrNotFound) {
		return fmt.Errorf("profile: writing that the marks of used proofs are written: %w", err)
	}
	return nil
}

func (m *Marks) living() (items []kv.Item) {
	now := m.now()
	for _, half := range []marksUntil{m.older, m.recent} {
		for key, one := range half.of {
			if now.Before(one.until) {
				items = append(items, kv.Item{Key: markPrefix + key, Value: []byte(one.request), Expires: one.until})
			}
		}
	}
	return items
}
