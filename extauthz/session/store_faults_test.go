package session

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"isogate/extauthz/kv"
)

// broken fails at everything.
type broken struct{ err error }

func (b broken) Put(context.Context, ...kv.Item) error           { return b.err }
func (b broken) Get(context.Context, string) ([]byte, error)     { return nil, b.err }
func (b broken) Take(context.Context, ...string) ([]byte, error) { return nil, b.err }
func (b broken) List(context.Context, string) ([]kv.Item, error) { return nil, b.err }

// A store that does not answer must be read neither as "nobody" nor as "somebody": both open something.
func TestAStoreThatFailsIsNotNobody(t *testing.T) {
	disk := errors.New("the disk is gone")
	s := NewStored(broken{disk}, time.Now)
	h := Handle(random(32))
	for name, act := range map[string]func(context.Context) error{
		"living": func(ctx context.Context) error { _, err := s.Living(ctx, issues, h, usual); return err },
		"by id":  func(ctx context.Context) error { _, err := s.ByID(ctx, "x", usual); return err },
		"open":   func(ctx context.Context) error { _, err := s.Open(ctx, ada, limits); return err },
		"renew":  func(ctx context.Context) error { _, err := s.Renew(ctx, "x", ada, limits); return err },
		"handle": func(ctx context.Context) error { _, err := s.Handle(ctx, Session{ID: "x"}, issues, limits); return err },
		"end":    func(ctx context.Context) error { return s.End(ctx, "x") },
		"drop":   func(ctx context.Context) error { return s.Drop(ctx, h) },
	} {
		t.Run(name, func(t *testing.T) {
			err := act(t.Context())
			if !errors.Is(err, disk) || errors.Is(err, ErrNone) || !strings.HasPrefix(err.Error(), "session: ") {
				t.Errorf("%v", err)
			}
		})
	}
}

// answers gives values by the first letter of the key; what it has none for is not found.
type answers map[byte]any

func (a answers) Put(context.Context, ...kv.Item) error           { return nil }
func (a answers) Take(context.Context, ...string) ([]byte, error) { return nil, kv.ErrNotFound }
func (a answers) List(context.Context, string) ([]kv.Item, error) { return nil, nil }
func (a answers) Get(_ context.Context, key string) ([]byte, error) {
	switch v := a[key[0]].(type) {
	case string:
		return []byte(v), nil
	case error:
		return nil, v
	}
	return nil, kv.ErrNotFound
}

func TestDamagedRecordsAreErrors(t *testing.T) {
	const (
		handle = "x " + issues
		record = `{"id":"x","user":"ada","provider":"main","email":"ada@acme.example","signed_in":"2027-01-02T03:04:05Z"}`
	)
	disk := errors.New("the disk is gone")
	tests := []struct {
		name  string
		in    answers
		alive bool
		none  bool
	}{
		{"whole", answers{'h': handle, 's': record, 'a': string(millis(start))}, true, false},
		{"no activity yet", answers{'h': handle, 's': record}, true, false},
		{"no handle", answers{'s': record}, false, true},
		{"no record", answers{'h': handle, 'a': string(millis(start))}, false, true},
		{"handle damaged", answers{'h': "{}", 's': record}, false, false},
		{"handle empty", answers{'h': "", 's': record}, false, false},
		{"handle of no session", answers{'h': " " + issues}, false, true},
		{"record damaged", answers{'h': handle, 's': `{"id":`}, false, false},
		{"record of no time", answers{'h': handle, 's': `{"id":"x"}`}, false, true},
		{"activity fails", answers{'h': handle, 's': record, 'a': disk}, false, false},
		{"record fails", answers{'h': handle, 's': disk}, false, false},
		{"handle fails", answers{'h': disk}, false, false},
		{"activity of another length counts as none", answers{'h': handle, 's': record, 'a': "now"}, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := NewStored(tt.in, (&clock{at: start}).now)
			_, err := s.Living(t.Context(), issues, Handle(random(32)), usual)
			if (err == nil) != tt.alive || (err == ErrNone) != tt.none {
				t.Errorf("%v", err)
			}
		})
	}
}
