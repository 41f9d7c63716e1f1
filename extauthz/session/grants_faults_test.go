package session

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"isogate/extauthz/kv"
)

// What has not the form of a grant or a session is looked up nowhere: the store would fail.
func TestAMalformedGrantIsNone(t *testing.T) {
	s := NewStored(broken{errors.New("asked")}, time.Now)
	good := random(16)
	for name, in := range map[string]string{
		"empty": "", "short": good[:21], "long": good + "A", "padded": good + "==", "standard alphabet": "+/" + good[2:], "key": "g/" + good,
		"spare bits": good[:21] + "_", "space": " " + good, "newline": good + "\n", "NUL": "\x00" + good[1:], "32 bytes": random(32),
		"huge": strings.Repeat("A", 1<<16), "up": "../" + good[3:],
	} {
		t.Run(name, func(t *testing.T) {
			_, opening := s.OpenGrant(t.Context(), in, platform, commerce())
			_, redeeming := s.RedeemGrant(t.Context(), in, platform, commerce())
			_, finding := s.Granted(t.Context(), in, platform, commerce())
			if opening != ErrNone || redeeming != ErrNone || finding != ErrNone {
				t.Errorf("%v, %v, %v", opening, redeeming, finding)
			}
			if err := s.EndGrant(t.Context(), in, platform); err != nil {
				t.Errorf("ending: %v", err)
			}
		})
	}
}

// A client that is not configured costs no look into the store.
func TestAnUnknownClientOpensNothing(t *testing.T) {
	s := NewStored(broken{errors.New("asked")}, time.Now)
	if _, err := s.OpenGrant(t.Context(), random(16), "nobody", commerce()); err != ErrNone {
		t.Errorf("%v", err)
	}
}

func TestAnUnknownGrantIsNone(t *testing.T) {
	w := newWorld(t)
	w.grant()
	if w.granted(random(16), platform, commerce()) {
		t.Error("a made-up grant lives")
	}
	if _, err := w.OpenGrant(t.Context(), random(16), platform, commerce()); err != ErrNone {
		t.Errorf("a grant of a made-up session: %v", err)
	}
}

// ailing fails at the calls that it names, by the first letter of the key.
type ailing struct {
	Records
	fails string // such as "get g"
}

var errAiling = errors.New("the disk is gone")

func (a *ailing) fault(call, key string) error {
	if a.fails == call+" "+key[:1] {
		return errAiling
	}
	return nil
}

func (a *ailing) Get(ctx context.Context, key string) ([]byte, error) {
	if err := a.fault("get", key); err != nil {
		return nil, err
	}
	return a.Records.Get(ctx, key)
}

func (a *ailing) Put(ctx context.Context, items ...kv.Item) error {
	if err := a.fault("put", items[0].Key); err != nil {
		return err
	}
	return a.Records.Put(ctx, items...)
}

func (a *ailing) Take(ctx context.Context, keys ...string) ([]byte, error) {
	if err := a.fault("take", keys[0]); err != nil {
		return nil, err
	}
	return a.Records.Take(ctx, keys...)
}

func (a *ailing) List(ctx context.Context, prefix string) ([]kv.Item, error) {
	if err := a.fault("list", prefix); err != nil {
		return nil, err
	}
	return a.Records.List(ctx, prefix)
}

// A store that does not answer must be read neither as "no grant" nor as one.
func TestAStoreThatFailsIsNotNoGrant(t *testing.T) {
	const calls = "open redeem find end"
	for fails, who := range map[string]string{
		"get g": "redeem find end", "get s": "open redeem find", "get a": "open redeem find",
		"list c": "open", "put g": "open redeem", "take g": "open end", "": "",
	} {
		t.Run(fails, func(t *testing.T) {
			w := newWorld(t)
			s, _ := w.open()
			for range 31 { // so that the call that opens one has to end another
				w.openGrant(s, platform)
			}
			w.time.add(time.Second)
			id := w.openGrant(s, platform)
			w.Stored = NewStored(&ailing{w.bolt, fails}, w.time.now)
			for _, call := range strings.Fields(calls) {
				got := w.call(call, s, id)
				if strings.Contains(who, call) {
					if !errors.Is(got, errAiling) || errors.Is(got, ErrNone) || !strings.HasPrefix(got.Error(), "session: ") {
						t.Errorf("%s: %v", call, got)
					}
				} else if got != nil {
					t.Errorf("%s: %v", call, got)
				}
			}
		})
	}
}

func (w *world) call(name string, s Session, id string) error {
	var err error
	switch name {
	case "open":
		_, err = w.OpenGrant(w.t.Context(), s.ID, platform, commerce())
	case "redeem":
		_, err = w.RedeemGrant(w.t.Context(), id, platform, commerce())
	case "find":
		_, err = w.Granted(w.t.Context(), id, platform, commerce())
	case "end":
		err = w.EndGrant(w.t.Context(), id, platform)
	}
	return err
}

func TestADamagedGrantIsAnError(t *testing.T) {
	s := random(16)
	const record = `{"id":"x","user":"ada","provider":"main","email":"ada@acme.example","signed_in":"2027-01-02T03:04:05Z"}`
	whole := string(tie{session: s, opened: start, client: platform}.record())
	tests := []struct {
		name, in string
		want     error
	}{
		{"whole", whole, nil},
		{"empty", "", errGrant},
		{"cut in the session", whole[:10], errGrant},
		{"cut in the time", whole[:30], errGrant},
		{"without its client", whole[:39], errGrant},
		{"client is empty", whole[:40], errGrant},
		{"time is none", s + " now " + platform, errGrant},
		{"session is none", "x" + whole[22:], errGrant},
		{"JSON", `{"session": "x", "client": "y"}`, errGrant},
		{"of another client", string(tie{session: s, opened: start, client: partner}.record()), ErrNone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stored := NewStored(answers{'g': tt.in, 's': record}, (&clock{at: start}).now)
			if _, err := stored.Granted(t.Context(), random(16), platform, commerce()); err != tt.want {
				t.Errorf("%v", err)
			}
			if err := stored.EndGrant(t.Context(), random(16), platform); (err == errGrant) != (tt.want == errGrant) {
				t.Errorf("ending: %v", err)
			}
		})
	}
}

// Whatever redeems and ends a grant at once: after the end it is gone.
func TestEndBeatsAConcurrentRedeem(t *testing.T) {
	w := newWorld(t)
	s, _ := w.open()
	for range 40 {
		id := w.openGrant(s, platform)
		w.atOnce(
			func() error { return w.EndGrant(t.Context(), id, platform) },
			func() error { return w.call("redeem", s, id) },
			func() error { return w.call("redeem", s, id) },
			func() error { return w.call("find", s, id) },
		)
		if w.granted(id, platform, commerce()) || w.count("c/") != 0 {
			t.Fatal("a grant that was ended lives on")
		}
	}
}

// However many are opened at once, their number holds, and the one that is redeemed stays.
func TestOpeningAtOnceKeepsTheBound(t *testing.T) {
	w := newWorld(t)
	s, first := w.grant()
	w.time.add(time.Second)
	var acts []func() error
	for range 36 {
		acts = append(acts, func() error { return w.call("open", s, "") }, func() error { return w.call("redeem", s, first) })
	}
	w.atOnce(acts...)
	if !w.granted(first, platform, commerce()) || w.count("g/") != 32 || w.count("c/") != 32 {
		t.Errorf("%d records and %d entries, the oldest one lives: %v", w.count("g/"), w.count("c/"), w.granted(first, platform, commerce()))
	}
}

// Whoever makes a person's browser open grants, and never redeems one, ends nothing that a service holds.
func TestGrantsThatNobodyRedeemsGiveWayFirst(t *testing.T) {
	w := newWorld(t)
	s, held := w.grant()
	var opened []string
	for range 100 {
		w.time.add(100 * time.Millisecond)
		opened = append(opened, w.openGrant(s, platform))
	}
	if !w.granted(held, platform, commerce()) || w.granted(opened[68], platform, commerce()) || !w.granted(opened[69], platform, commerce()) || w.count("g/") != 32 {
		t.Errorf("held: %v, %d grants", w.granted(held, platform, commerce()), w.count("g/"))
	}
}

// atOnce lets everything begin together; that there is no session or grant is no fault.
func (w *world) atOnce(acts ...func() error) {
	w.t.Helper()
	var all sync.WaitGroup
	begin := make(chan struct{})
	for _, act := range acts {
		all.Go(func() {
			<-begin
			if err := act(); err != nil && err != ErrNone {
				w.t.Error(err)
			}
		})
	}
	close(begin)
	all.Wait()
}

// A sign-out while a grant is being opened or redeemed ends it too.
func TestASignOutEndsAGrantThatIsJustBeingOpened(t *testing.T) {
	w := newWorld(t)
	s, _ := w.open()
	hooked := &hook{Records: w.bolt}
	w.Stored = NewStored(hooked, w.time.now)
	hooked.put = func() { hooked.put = nil; w.must(w.End(t.Context(), s.ID)) }
	id := w.openGrant(s, platform)
	if w.granted(id, platform, commerce()) || w.call("redeem", s, id) != ErrNone {
		t.Error("the grant outlives its session")
	}
}
