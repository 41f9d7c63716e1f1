package signin

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"isogate/envoy/daemon"
	"isogate/extauthz/keys"
	"isogate/extauthz/session"
)

// speaks makes a cloud answer every connection with these bytes.
func (r *outside) speaks(raw []byte) *Federation {
	r.t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", r.clouds["acme"].TLS)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go answer(c, raw)
		}
	}()
	entry := r.clouds["acme"].entry
	entry.Issuer = "https://" + listener.Addr().String()
	client := daemon.Connect{}.Client(nil)
	transport, ok := client.Transport.(*http.Transport)
	if !ok {
		r.t.Fatal("another transport")
	}
	transport.TLSClientConfig.RootCAs = r.clouds["acme"].Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return NewFederation(entry, r.federation("acme").signers, client, atIdentity+PathFederatedCallback, r.clock.now)
}

func answer(c net.Conn, raw []byte) {
	defer c.Close()
	if _, err := c.Read(make([]byte, 64<<10)); err == nil {
		_, _ = c.Write(raw)
	}
}

// What a cloud sends in the place of a header is in no error at its length, nor as lines of its own, whichever call it answers. keys.Remote has
// it too, and a sign-in's last step asks that.
func TestCausesAreShort(t *testing.T) {
	for name, raw := range map[string][]byte{
		"a long line":             append(bytes.Repeat([]byte("A"), 40<<10), "\r\n\r\n"...),
		"a long header":           append(append([]byte("HTTP/1.1 200 OK\r\n"), bytes.Repeat([]byte("A"), 40<<10)...), "\r\n\r\n"...),
		"a line feed and letters": []byte("HTTP/1.1 2\x0b0 kim@acme.example\u202e é\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newOutside(t)
			f := r.speaks(raw)
			begun, err := newAttempt()
			if err != nil {
				t.Fatal(err)
			}
			p := r.person()
			p.signsIn(supportHost, "kim")
			_, began := f.Begin(t.Context(), begun, "s")
			_, checked := f.Check(t.Context(), p.at(supportHost))
			_, judged := f.judge(t.Context(), tokens{ID: r.clouds["acme"].sayWho(url.Values{}, "g")}, begun)
			for what, err := range map[string]error{"Begin": began, "Check": checked, "Revoke": f.Revoke(t.Context(), p.at(supportHost)), "judge": judged} {
				if !errors.Is(err, errCloud) || len(err.Error()) > maxCause+100 || !printable(err.Error()) {
					t.Errorf("%s: %d bytes: %.200q", what, len(err.Error()), err)
				}
			}
		})
	}
}

func TestCloudFault(t *testing.T) {
	for in, want := range map[string]string{
		"short":                  "short",
		"a\nlevel=ERROR b\x00":   "a?level=ERROR b?",
		"é\u202e":                "??",
		strings.Repeat("a", 300): strings.Repeat("a", 300),
		strings.Repeat("a", 301): strings.Repeat("a", 300) + "...",
	} {
		if got := cloudFault("it", errors.New(in)); got.Error() != errCloud.Error()+": it: "+want {
			t.Errorf("%q: %s", in, got)
		}
	}
}

// The door asks through what remembers answers, and leaves nothing to ask the cloud with of its own.
func TestTheDoorAsksNoCloud(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	p.signsIn(supportHost, "kim")
	r.clouds["acme"].change(func(c *cloud) { c.instead[cloudSession] = hangUp })
	before := r.clouds["acme"].times(cloudSession)
	r.Grants.knows, r.Grants.every = session.ErrNone, nil
	for range 3 {
		if _, asks := buttons(p.copied().get(atIdentity + PathSignIn))[PathSignIn]; !asks {
			t.Error("what is known to be over is signed in")
		}
	}
	if got := r.clouds["acme"].times(cloudSession) - before; got != 0 {
		t.Errorf("%d asks", got)
	}
	if len(r.Grants.every) != 3 || r.Grants.every[0] != askEvery {
		t.Errorf("asked %v", r.Grants.every)
	}
}

// Whoever signs in and out all the time piles up no revocations before a cloud that hangs; what is above the bound is over here all the same.
func TestRevocationsAreBounded(t *testing.T) {
	r := newOutside(t)
	r.clouds["acme"].change(func(c *cloud) { c.instead[cloudRevoke] = never })
	f := r.federation("acme")
	for range maxRevokes - 1 {
		f.revokes <- struct{}{}
	}
	p := r.person()
	p.signsIn(supportHost, "kim")
	o := p.at(supportHost)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if err := f.Revoke(t.Context(), o); err == nil {
			t.Error("a cloud that hangs heard of it")
		}
	})
	eventually(t, "one is under way", func() bool { return r.clouds["acme"].times(cloudRevoke) == 1 })
	began := time.Now()
	if got := p.post(atSupport+PathLogout, url.Values{}); got.status != http.StatusOK || !r.Grants.Ended(o.Cloud, o.Grant) {
		t.Errorf("%d, ended here: %t", got.status, r.Grants.Ended(o.Cloud, o.Grant))
	}
	if took := time.Since(began); took > revokeTimeout/2 || r.clouds["acme"].times(cloudRevoke) != 1 {
		t.Errorf("one more waited %s, %d under way", took, r.clouds["acme"].times(cloudRevoke))
	}
	if begun, err := newAttempt(); err != nil {
		t.Error(err)
	} else if _, err := f.Begin(t.Context(), begun, "s"); err != nil {
		t.Errorf("they keep somebody from signing in: %v", err)
	}
	r.clouds["acme"].CloseClientConnections()
	waiting.Wait()
	if len(f.revokes) != maxRevokes-1 {
		t.Error("a turn is lost")
	}
}

// Whether a cloud heard of a sign-out is told to who promises things because of it.
func TestRevokeTellsWhetherItWasHeard(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	p.signsIn(supportHost, "kim")
	v := visit{Request: &http.Request{}}
	if !r.revoke(v, p.at(supportHost)) {
		t.Error("it was heard")
	}
	r.clouds["acme"].change(func(c *cloud) { c.instead[cloudRevoke] = hangUp })
	if r.revoke(v, p.at(supportHost)) {
		t.Error("it was not heard")
	}
}

// What people outside can cause as often as they like is logged once in ten seconds, for each cloud.
func TestTheLogIsNotFilled(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	answer := r.clouds["acme"].authorize(p.begins(supportHost, "/", "", "kim@acme.example"), "kim")
	for _, c := range r.clouds {
		c.change(func(c *cloud) {
			for _, path := range []string{cloudPAR, cloudToken, cloudRevoke, cloudSession} {
				c.instead[path] = hangUp
			}
		})
	}
	storm := func() {
		for range 10 {
			for _, c := range r.clouds {
				if got := r.person().post(atIdentity+PathFederatedStart, url.Values{"cloud": {c.entry.ID}}); got.reason() != "cloud-unavailable" {
					t.Fatalf("%d %s", got.status, got.reason())
				}
			}
			p.copied().get(callbackOf(answer))
			r.revoke(visit{Request: &http.Request{}}, session.Outside{Cloud: r.clouds["acme"].entry.ID, Token: "t"})
		}
	}
	for window := 1; window <= 3; window++ {
		storm()
		if got := strings.Count(r.log.String(), "\n"); got != 3*window { // two clouds that sign nobody in, one that hears nothing
			t.Fatalf("window %d: %d lines\n%s", window, got, r.log)
		}
		r.clock.advance(logEvery - 1)
		storm()
		r.clock.advance(1)
	}
	if want := `msg="an isolated cloud did not hear that a grant is over" cloud=acme-0123456789abcdef`; strings.Count(r.log.String(), want) != 3 {
		t.Errorf("the log:\n%s", r.log)
	}
	if !strings.Contains(r.log.String(), "left_out=19") { // nine, and ten
		t.Errorf("what was left out is not told:\n%s", r.log)
	}
}

// An idle cloud's withdrawn key dies in time, without a sign-in; a cloud that comes to the directory runs at once, and one that leaves does not.
func TestKeysStayFresh(t *testing.T) {
	runFederations(t, func(t *testing.T, clouds map[string]*idle, directory func(names ...string)) {
		directory("acme", "zeta")
		time.Sleep(lookEvery + time.Second) // not at the very moment of a look
		if clouds["acme"].fetched() != 1 || clouds["zeta"].fetched() != 1 {
			t.Fatalf("fetched %d and %d times", clouds["acme"].fetched(), clouds["zeta"].fetched())
		}
		withdrawn := clouds["acme"].signs()
		clouds["acme"].renew()
		directory("acme", "extra")
		time.Sleep(6 * time.Minute)
		if clouds["extra"].fetched() == 0 || clouds["zeta"].fetched() != 1 || clouds["acme"].fetched() != 2 {
			t.Errorf("fetched: %d, %d, %d", clouds["extra"].fetched(), clouds["zeta"].fetched(), clouds["acme"].fetched())
		}
		if _, err := keys.Verify(t.Context(), withdrawn, clouds["acme"].federation.keys, clouds["acme"].expects()); err == nil {
			t.Error("a withdrawn key is still believed")
		}
		if _, err := keys.Verify(t.Context(), clouds["acme"].signs(), clouds["acme"].federation.keys, clouds["acme"].expects()); err != nil {
			t.Errorf("the key after it: %v", err)
		}
	})
}

// A connection that was kept and is lost, at any call, is nobody's trouble; what is asked again has an assertion and a proof of its own, which this cloud
// takes once only. Where a new connection comes to nothing, the cloud is asked no second time.
func TestALostConnectionIsNoFault(t *testing.T) {
	r := newOutside(t)
	c, f := r.clouds["acme"], r.federation("acme")
	once := func(w http.ResponseWriter, req *http.Request) {
		c.change(func(c *cloud) { delete(c.instead, req.URL.Path) })
		_, _ = io.Copy(io.Discard, req.Body)
		hangUp(w, req)
	}
	// lost does something while the connection that it is done over is lost, and says how often the path was asked for then.
	lost := func(path string, do func()) int {
		t.Helper()
		if _, err := f.get(t.Context(), f.client, cloudJWKS, "any"); err != nil { // over what is kept from now on
			t.Fatal(err)
		}
		before := c.times(path)
		c.change(func(c *cloud) { c.instead[path] = once })
		do()
		return c.times(path) - before
	}
	p := r.person()
	if n := lost(cloudPAR, func() { p.signsIn(supportHost, "kim") }); n != 2 {
		t.Errorf("pushed %d times", n)
	}
	if n := lost(cloudToken, func() { r.person().signsIn(supportHost, "lee") }); n != 3 { // one is for the nonce
		t.Errorf("redeemed %d times", n)
	}
	o := p.at(supportHost)
	if n := lost(cloudSession, func() {
		if _, err := f.Check(t.Context(), o); err != nil {
			t.Error(err)
		}
	}); n != 2 {
		t.Errorf("checked %d times", n)
	}
	if n := lost(cloudRevoke, func() {
		if err := f.Revoke(t.Context(), o); err != nil {
			t.Error(err)
		}
	}); n != 2 {
		t.Errorf("revoked %d times", n)
	}
	f.client.CloseIdleConnections()
	before := c.times(cloudSession)
	c.change(func(c *cloud) { c.instead[cloudSession] = hangUp })
	if _, err := f.Check(t.Context(), o); !errors.Is(err, errCloud) || c.times(cloudSession)-before != 1 {
		t.Errorf("over a new connection: %v, after %d times", err, c.times(cloudSession)-before)
	}
}
