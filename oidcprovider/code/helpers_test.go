package code

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"isogate/extauthz/kv"
)

var start = time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)

// world is a store over a real store file, and a clock that tests move.
type world struct {
	*Store
	t    testing.TB
	bolt *kv.Bolt
	file string

	mu sync.Mutex
	at time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, at: start, file: filepath.Join(t.TempDir(), "codes")}
	bolt, err := kv.OpenBolt(w.file, w.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bolt.Close() })
	w.bolt, w.Store = bolt, New(bolt, w.now)
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *world) add(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

func age(n int64) *int64 { return &n }

var (
	request = Request{
		Client: "acme", RedirectURI: "https://client.example/cb", State: "s", Nonce: "n", Challenge: "c", Thumbprint: "j",
		Prompt: "login", MaxAge: age(0), ACRs: []string{"b", "a"}, LoginHint: "ada@acme.example",
	}
	issued = Code{Request: request, Grant: "grant", User: "ada", AuthTime: 1, ACR: "b"}
)

func (w *world) push() string {
	w.t.Helper()
	uri, err := w.Push(w.t.Context(), request)
	if err != nil {
		w.t.Fatal(err)
	}
	return uri
}

func (w *world) issue() string {
	w.t.Helper()
	code, err := w.Issue(w.t.Context(), issued)
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

var errDown = errors.New("the store is down")

// broken is a store that cannot answer, or that answers nonsense.
type broken struct {
	value []byte
	err   error
}

func (b broken) Put(context.Context, ...kv.Item) error           { return b.err }
func (b broken) Add(context.Context, kv.Item) error              { return b.err }
func (b broken) Get(context.Context, string) ([]byte, error)     { return b.value, b.err }
func (b broken) Take(context.Context, ...string) ([]byte, error) { return b.value, b.err }
