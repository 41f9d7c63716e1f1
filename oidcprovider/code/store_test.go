package code

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"isogate/extauthz/dpop"
)

func TestRequest(t *testing.T) {
	w := newWorld(t)
	uri := w.push()
	w.add(RequestLifetime - time.Nanosecond)
	want := request
	want.Pushed = start
	for range 2 { // looking uses nothing up
		if got, err := w.Pushed(t.Context(), uri); err != nil || !cmp.Equal(got, want) {
			t.Errorf("pushed: %v, %s", err, cmp.Diff(want, got))
		}
	}
	if got, err := w.Answer(t.Context(), uri); err != nil || !cmp.Equal(got, want) {
		t.Errorf("answered: %v, %s", err, cmp.Diff(want, got))
	}
	wantNone(t, w, "answered before", uri)
}

func wantNone(t *testing.T, w *world, name, uri string) {
	t.Helper()
	if got, err := w.Pushed(t.Context(), uri); !errors.Is(err, ErrNone) || !cmp.Equal(got, Request{}) {
		t.Errorf("%s: pushed %v, %v", name, got, err)
	}
	if got, err := w.Answer(t.Context(), uri); !errors.Is(err, ErrNone) || !cmp.Equal(got, Request{}) {
		t.Errorf("%s: answered %v, %v", name, got, err)
	}
}

func TestRequestThatIsNot(t *testing.T) {
	w := newWorld(t)
	uri, code := w.push(), w.issue()
	for name, other := range map[string]string{
		"empty": "", "the prefix": uriPrefix, "without its prefix": strings.TrimPrefix(uri, uriPrefix), "a code": code,
		"a code as one": uriPrefix + code, "in capitals": strings.ToUpper(uri), "cut": uri[:len(uri)-1], "and more": uri + "A",
		"an address": "https://attacker.example/request", "its hash": uriPrefix + hash(uri), "long": uriPrefix + strings.Repeat("A", 1<<16),
	} {
		wantNone(t, w, name, other)
	}
	w.add(RequestLifetime)
	wantNone(t, w, "expired", uri)
}

func TestCode(t *testing.T) {
	w := newWorld(t)
	code := w.issue()
	w.add(CodeLifetime - time.Nanosecond)
	if got, err := w.Redeem(t.Context(), code); err != nil || !cmp.Equal(got, issued) {
		t.Errorf("%v, %s", err, cmp.Diff(issued, got))
	}
	wantUsed(t, w, "the second time", code)
	w.add(usedLifetime - CodeLifetime)
	wantUsed(t, w, "at the end of ten minutes", code)
	w.add(time.Nanosecond)
	if got, err := w.Redeem(t.Context(), code); !errors.Is(err, ErrNone) || !cmp.Equal(got, Code{}) {
		t.Errorf("after ten minutes: %v, %v", got, err)
	}
}

// wantUsed wants what ends the grant, and no more: nothing of the person comes back.
func wantUsed(t *testing.T, w *world, name, code string) {
	t.Helper()
	want := Code{Grant: "grant", Request: Request{Client: "acme"}}
	if got, err := w.Redeem(t.Context(), code); !errors.Is(err, ErrUsed) || !cmp.Equal(got, want) {
		t.Errorf("%s: %v, %s", name, err, cmp.Diff(want, got))
	}
}

func TestCodeThatIsNot(t *testing.T) {
	w := newWorld(t)
	code, uri := w.issue(), w.push()
	for name, other := range map[string]string{
		"empty": "", "a request": uri, "in capitals": strings.ToUpper(code), "cut": code[:42], "and more": code + "A", "its hash": hash(code),
	} {
		if got, err := w.Redeem(t.Context(), other); !errors.Is(err, ErrNone) || !cmp.Equal(got, Code{}) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	w.add(CodeLifetime)
	wantUsed(t, w, "not used in time", code)
}

func TestCodeThatStandsForNothing(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]Code{
		"nothing":      {},
		"no grant":     {Request: request, User: "ada"},
		"nobody":       {Request: request, Grant: "grant"},
		"no client":    {Request: Request{Challenge: "c"}, Grant: "grant", User: "ada"},
		"no challenge": {Request: Request{Client: "acme"}, Grant: "grant", User: "ada"},
	} {
		if code, err := w.Issue(t.Context(), c); err == nil || code != "" {
			t.Errorf("%s: %q, %v", name, code, err)
		}
	}
}

// Of many parallel uses exactly one gets it, and all others learn whose grant to end.
func TestParallel(t *testing.T) {
	w := newWorld(t)
	code, uri := w.issue(), w.push()
	var wg sync.WaitGroup
	var mu sync.Mutex
	codes, requests, marks := map[error]int{}, map[error]int{}, map[error]int{}
	for range 8 {
		wg.Go(func() {
			_, codeErr := w.Redeem(t.Context(), code)
			_, requestErr := w.Answer(t.Context(), uri)
			markErr := w.Once(t.Context(), "m", start.Add(time.Minute))
			mu.Lock()
			defer mu.Unlock()
			codes[codeErr]++
			requests[requestErr]++
			marks[markErr]++
		})
	}
	wg.Wait()
	if diff := cmp.Diff([]map[error]int{{nil: 1, ErrUsed: 7}, {nil: 1, ErrNone: 7}, {nil: 1, ErrUsed: 7}}, []map[error]int{codes, requests, marks}); diff != "" {
		t.Error(diff)
	}
}

func TestLock(t *testing.T) {
	w := newWorld(t)
	unlock, err := w.Lock(t.Context(), "a code")
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if again, err := w.Lock(short, "a code"); !errors.Is(err, context.DeadlineExceeded) || again != nil {
		t.Errorf("a second lock: %v", err)
	}
	unlock()
	again, err := w.Lock(t.Context(), "a code")
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestConfirmed(t *testing.T) {
	w := newWorld(t)
	want := func(session, client string, want bool) {
		t.Helper()
		if got, err := w.Confirmed(t.Context(), session, client); got != want || err != nil {
			t.Errorf("%s at %s: %v, %v", session, client, got, err)
		}
	}
	want("sess", "client", false)
	if err := w.Confirm(t.Context(), "sess", "client"); err != nil {
		t.Fatal(err)
	}
	want("sess", "client", true)
	want("sess", "other", false)
	want("other", "client", false)
	want("client", "sess", false)
	want("sessc", "lient", false)
	want("", "sessclient", false)
	w.add(confirmedLifetime - time.Nanosecond)
	want("sess", "client", true)
	w.add(time.Nanosecond)
	want("sess", "client", false)
}

func TestOnce(t *testing.T) {
	w := newWorld(t)
	until := start.Add(time.Minute)
	for _, test := range []struct {
		name string
		call func() error
		want error
	}{
		{"first", func() error { return w.Once(t.Context(), "key", until) }, nil},
		{"second", func() error { return w.Once(t.Context(), "key", until) }, ErrUsed},
		{"another key", func() error { return w.Once(t.Context(), "other", until) }, nil},
		{"a long key", func() error { return w.Once(t.Context(), strings.Repeat("k", 1<<16), until) }, nil},
		{"a proof of that key", func() error { return w.Replay().Add(t.Context(), "key", until) }, nil},
		{"the proof again", func() error { return w.Replay().Add(t.Context(), "key", until) }, dpop.ErrSeen},
		{"before its end", func() error { w.add(time.Minute - 1); return w.Once(t.Context(), "key", until) }, ErrUsed},
		{"at its end", func() error { w.add(1); return w.Once(t.Context(), "key", until.Add(time.Minute)) }, nil},
	} {
		if err := test.call(); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

func TestFormsAndNoTwoAlike(t *testing.T) {
	w := newWorld(t)
	seen := map[string]bool{}
	for range 8 {
		uri, code := w.push(), w.issue()
		secret, isURI := strings.CutPrefix(uri, "urn:ietf:params:oauth:request_uri:")
		for _, text := range []string{secret, code} {
			if raw, err := base64.RawURLEncoding.DecodeString(text); err != nil || len(raw) != 32 || seen[text] || !isURI {
				t.Errorf("%q, %q", uri, code)
			}
			seen[text] = true
		}
	}
}

// A stolen store file redeems nothing: what was given out is not in it, used or not.
func TestStoredUnderItsHash(t *testing.T) {
	w := newWorld(t)
	uri, code := w.push(), w.issue()
	if err := w.Once(t.Context(), "a-mark", start.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := w.Confirm(t.Context(), "a-session", "acme"); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{strings.TrimPrefix(uri, uriPrefix), code, "a-mark", "a-session"} {
		if bytes.Contains(file, []byte(secret)) {
			t.Errorf("%q stands in the file", secret)
		}
	}
	if !bytes.Contains(file, []byte(kindCode+hash(code))) {
		t.Error("not even the hash stands there: the test looks in the wrong place")
	}
}

// Whatever the store does wrong is neither an answer nor a sentinel.
func TestFaults(t *testing.T) {
	for name, records := range map[string]broken{"down": {err: errDown}, "nonsense": {value: []byte(`{"client":1,"grant":1}`)}, "empty": {}} {
		s := New(records, func() time.Time { return start })
		calls := map[string]error{}
		_, calls["Pushed"] = s.Pushed(t.Context(), uriPrefix+"x")
		_, calls["Answer"] = s.Answer(t.Context(), uriPrefix+"x")
		_, calls["Redeem"] = s.Redeem(t.Context(), "x")
		if records.err != nil {
			_, calls["Push"] = s.Push(t.Context(), request)
			_, calls["Issue"] = s.Issue(t.Context(), issued)
			_, calls["Confirmed"] = s.Confirmed(t.Context(), "s", "c")
			calls["Confirm"] = s.Confirm(t.Context(), "s", "c")
			calls["Once"] = s.Once(t.Context(), "k", start)
			calls["Replay"] = s.Replay().Add(t.Context(), "k", start)
		}
		for call, err := range calls {
			if err == nil || errors.Is(err, ErrNone) || errors.Is(err, ErrUsed) || errors.Is(err, dpop.ErrSeen) {
				t.Errorf("%s, %s: %v", name, call, err)
			}
		}
	}
}
