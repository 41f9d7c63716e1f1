package signin

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"
)

// newHang holds requests until the test releases it, at the latest when it ends.
func newHang(t *testing.T, during func()) (h *hang, release func()) {
	t.Helper()
	h = &hang{release: make(chan struct{}), during: during}
	release = sync.OnceFunc(func() { close(h.release) })
	t.Cleanup(release)
	return h, release
}

// crowd is n strangers who begin a sign-in at the same moment; statuses counts what they are answered, all within a time or the test fails.
func crowd(t *testing.T, r *rig, n int, within time.Duration) (statuses map[int]int) {
	t.Helper()
	answers := make(chan int, n)
	for range n {
		go func() { answers <- r.browser().do(t.Context(), http.MethodGet, atAuth+PathSignIn, nil).status }()
	}
	statuses = map[int]int{}
	for end := time.After(within); n > 0; n-- {
		select {
		case status := <-answers:
			statuses[status]++
		case <-end:
			t.Fatalf("after %s %d strangers still wait", within, n)
		}
	}
	return statuses
}

// eventually waits for what has no event to wait for.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never came to this: " + what)
		}
	}
}

// Strangers cost nothing to send. At a provider that takes connections and says nothing, each would wait, and if each asked in turn, the last
// of them would wait for hours, with all that a request holds.
func TestStrangersAtAHangingProvider(t *testing.T) {
	const strangers, patience = 300, 400 * time.Millisecond
	r := newRig(t, "honest")
	f := r.idps["honest"]
	f.Client().Timeout = patience
	h, release := newHang(t, func() { r.clock.advance(time.Minute) }) // while it hangs, time passes
	f.behave(conduct{hang: h})
	before := runtime.NumGoroutine()

	for window := 1; window <= 3; window++ {
		if statuses := crowd(t, r, strangers, 20*patience); statuses[http.StatusServiceUnavailable] != strangers {
			t.Fatalf("window %d: answered %v, want %d times 503", window, statuses, strangers)
		}
		r.clock.advance(retryAfter - 1)
		if got := r.browser().get(atAuth + PathSignIn); got.reason() != "provider-unavailable" {
			t.Errorf("window %d: who comes later in it reads %d %q", window, got.status, got.reason())
		}
		if got := f.timesAsked(); got < 1 || got > window { // less where patience ended before the connection stood
			t.Fatalf("the provider was asked %d times in %d windows", got, window)
		}
		eventually(t, "the goroutines are gone", func() bool { return runtime.NumGoroutine() <= before+10 })
		r.clock.advance(1)
	}

	asked := f.timesAsked()
	f.behave(conduct{})
	f.Client().Timeout = 10 * time.Second
	release()
	if statuses := crowd(t, r, strangers, 20*patience); statuses[http.StatusFound] != strangers {
		t.Errorf("after it came back: answered %v, want %d times 302", statuses, strangers)
	}
	r.clock.advance(freshFor - 1)
	b := r.browser()
	if b.signIn("honest", "bob"); b.who() != "bob@honest.example" {
		t.Errorf("after it came back: signed in as %q", b.who())
	}
	if got := f.timesAsked() - asked; got != 1 {
		t.Errorf("the provider that came back was asked %d times, want once", got)
	}
}

// Who waits for a provider leaves when the own request ends, and takes the answer away from nobody: neither the one who asked nor the others.
func TestWaitingCallersLeaveWithTheirOwnContext(t *testing.T) {
	for _, tt := range []struct {
		name    string
		leaving int // of the two, in the order in which they came
	}{{"the one who asked", 0}, {"one who waits too", 1}} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, "honest")
			f := r.idps["honest"]
			f.Client().Timeout = time.Minute // none of them waits for this
			h, release := newHang(t, func() {})
			f.behave(conduct{hang: h})

			var answers [2]chan int
			var leave [2]context.CancelFunc
			for i := range answers {
				answers[i] = make(chan int, 1)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				leave[i] = cancel
				go func() { answers[i] <- r.browser().do(ctx, http.MethodGet, atAuth+PathSignIn, nil).status }()
				eventually(t, "the provider is asked", func() bool { return f.timesAsked() > 0 })
			}
			leave[tt.leaving]()
			if got := answered(t, answers[tt.leaving]); got != http.StatusServiceUnavailable {
				t.Errorf("who left was answered %d", got)
			}
			release()
			if got := answered(t, answers[1-tt.leaving]); got != http.StatusFound {
				t.Errorf("who stayed was answered %d, want 302", got)
			}
			if got := f.timesAsked(); got != 1 {
				t.Errorf("the provider was asked %d times", got)
			}
		})
	}
}

func answered(t *testing.T, answer <-chan int) int {
	t.Helper()
	select {
	case status := <-answer:
		return status
	case <-time.After(5 * time.Second):
		t.Fatal("still waiting")
		return 0
	}
}

// A provider that was heard of and hangs now keeps nobody from finishing: an answer that is on its way needs its token endpoint alone.
func TestSignInUnderWayFinishesAlthoughTheMetadataHangs(t *testing.T) {
	r := newRig(t, "honest")
	b := r.browser()
	answer := b.answered("honest", b.begin("honest"), "bob")
	h, _ := newHang(t, func() {})
	r.idps["honest"].behave(conduct{hang: h})
	r.clock.advance(freshFor)
	if b.get(answer); b.who() != "bob@honest.example" {
		t.Errorf("signed in as %q", b.who())
	}
}
