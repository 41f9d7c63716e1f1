package session

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"isogate/extauthz/keys"
)

// carrying is what the support carries, over the keys and the clock of a sealing. It is a minute after the sign-in.
type carrying struct {
	*sealing
	Carrier
}

func newCarrying(t testing.TB) *carrying {
	s := newSealing(t)
	return &carrying{s, Carrier{Service: "support", Keys: s.Sealed.Keys, Now: s.now}}
}

func (c *carrying) value(o Outside) string {
	c.t.Helper()
	value, err := c.Carrier.Seal(o)
	if err != nil {
		c.t.Fatal(err)
	}
	return value
}

func (c *carrying) refuses(what, value string) {
	c.t.Helper()
	if got, err := c.Carrier.Open(value); err != ErrNone || !cmp.Equal(got, Carried{}) {
		c.t.Errorf("%s: %v, want ErrNone and nothing else", what, err)
	}
}

// whole is what a service carries for the session outside, a minute after the sign-in.
var whole = Carried{Cloud: outside.Cloud, Token: outside.Token, Key: outside.Key, Expires: start.Add(6 * time.Minute).Local()}

func carried(change func(*Carried)) Carried {
	c := whole
	change(&c)
	return c
}

// sealed seals whatever is carried, as only who holds the key can.
func (c *carrying) sealed(what Carried) string {
	c.t.Helper()
	raw, err := what.encode()
	if err != nil {
		c.t.Fatal(err)
	}
	return c.Carrier.Keys.Seal(purposeCarried, "support", raw)
}

func TestCarryAndOpen(t *testing.T) {
	c := newCarrying(t)
	now := c.now()
	for _, tt := range []struct {
		name string
		at   time.Time
		ends time.Time
		want time.Time
	}{
		{"a session of a day", now, outside.Ends, now.Add(5 * time.Minute)},
		{"one that ends in four minutes", now, now.Add(4 * time.Minute), now.Add(4 * time.Minute)},
		{"one that ends in a second", now, now.Add(time.Second), now.Add(time.Second)},
		{"fractions of a second", now.Add(999 * time.Millisecond), outside.Ends, now.Add(5 * time.Minute)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c.set(tt.at)
			o := outside
			o.Ends = tt.ends
			value := c.value(o)
			got, err := c.Carrier.Open(value)
			if err != nil {
				t.Fatal(err)
			}
			want := carried(func(c *Carried) { c.Expires = tt.want.Local() })
			if diff := cmp.Diff(want, got, cmp.Transformer("", func(c Carried) map[string]any {
				return map[string]any{"cloud": c.Cloud, "token": c.Token, "key": c.Key, "expires": c.Expires}
			})); diff != "" {
				t.Error(diff)
			}
			if value == c.value(o) {
				t.Error("sealing twice gives one value: a service could tell by it that two people are one")
			}
		})
	}
}

func TestWhatIsNotCarried(t *testing.T) {
	c := newCarrying(t)
	for name, o := range incomplete {
		if value, err := c.Carrier.Seal(o); (err == nil || value != "") && !strings.Contains(name, "every clock") && !strings.Contains(name, "numbers") {
			t.Errorf("%s was sealed: %q", name, value)
		}
	}
	for name, ends := range map[string]time.Time{"ends now": c.now(), "ended": c.now().Add(-time.Second)} {
		if value, err := c.Carrier.Seal(outside.Until(ends)); !errors.Is(err, errCarried) || value != "" {
			t.Errorf("a session that %s: %v", name, err)
		}
	}
	c.set(outside.Ends)
	if value, err := c.Carrier.Seal(outside); !errors.Is(err, errCarried) || value != "" {
		t.Errorf("a session at its end: %v", err)
	}
}

func TestWhenWhatIsCarriedOpens(t *testing.T) {
	for _, tt := range []struct {
		name    string
		expires time.Duration // from now
		want    bool
	}{
		{"in a second", time.Second, true},
		{"now", 0, false},
		{"a second ago", -time.Second, false},
		{"in five minutes", 5 * time.Minute, true},
		{"in five minutes, by a clock a minute ahead", 6 * time.Minute, true},
		{"in more than that", 6*time.Minute + time.Second, false},
		{"in a day", 24 * time.Hour, false},
		{"in 1970", -time.Duration(start.Unix()+60) * time.Second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCarrying(t)
			if _, err := c.Carrier.Open(c.sealed(carried(func(w *Carried) { w.Expires = c.now().Add(tt.expires) }))); (err == nil) != tt.want {
				t.Errorf("%v", err)
			}
		})
	}
	c := newCarrying(t)
	for _, second := range []int64{-1, 1 << 62, 1<<63 - 1, -1 << 63} {
		c.refuses("a time that no clock has", c.sealed(carried(func(w *Carried) { w.Expires = time.Unix(second, 0) })))
	}
	value := c.value(outside)
	c.add(5*time.Minute - time.Nanosecond)
	if _, err := c.Carrier.Open(value); err != nil {
		t.Errorf("a moment before five minutes: %v", err)
	}
	c.add(time.Nanosecond)
	c.refuses("after five minutes", value)
}

// CVE-2024-47616: nothing else of ours counts as what a service carries, and that counts as nothing else.
func TestWhatDoesNotOpenAtASidecar(t *testing.T) {
	c, other := newCarrying(t), newCarrying(t)
	value := c.value(outside)
	raw, err := whole.encode()
	if err != nil {
		t.Fatal(err)
	}
	all := c.Carrier.Keys
	market := Carrier{Service: "market", Keys: all, Now: c.now}
	refused := map[string]string{
		"nothing": "", "a handle": random(32), "another sidecar's key": other.value(outside), "the session's cookie": c.seal("support", outside),
		"padded": value + "=", "quoted": `"` + value + `"`, "cut": value[:len(value)-1], "twice": value + value, "huge": strings.Repeat(value, 20),
		"another spelling": " " + value, "the token itself": outside.Token,
		"one byte more":       all.Seal(purposeCarried, "support", append(raw[:len(raw):len(raw)], 0)),
		"nothing inside":      all.Seal(purposeCarried, "support", nil),
		"JSON":                all.Seal(purposeCarried, "support", []byte(`{"cloud":"acme"}`)),
		"of no service":       all.Seal(purposeCarried, "", raw),
		"of no purpose":       all.Seal("", "support", raw),
		"the service's host":  all.Seal(purposeCarried, support, raw),
		"service in purpose":  all.Seal(purposeCarried+"support", "", raw),
		"no cloud":            c.sealed(carried(func(c *Carried) { c.Cloud = "" })),
		"no token":            c.sealed(carried(func(c *Carried) { c.Token = "" })),
		"no key":              c.sealed(carried(func(c *Carried) { c.Key = nil })),
		"larger than allowed": c.sealed(carried(func(c *Carried) { c.Token = strings.Repeat("t", maxCarried) })),
	}
	if refused["another service's"], err = market.Seal(outside); err != nil {
		t.Fatal(err)
	}
	for _, purpose := range []string{purposeOutside, "flow", "state", "ticket", "id_token", "leave", "token", "Carried"} {
		refused["sealed as "+purpose] = all.Seal(purpose, "support", raw)
	}
	for n := range raw {
		refused["cut inside at "+hex.EncodeToString([]byte{byte(n >> 8), byte(n)})] = all.Seal(purposeCarried, "support", raw[:n])
	}
	for name, v := range refused {
		c.refuses(name, v)
	}
	if _, err := market.Open(value); err != ErrNone {
		t.Errorf("at another service's sidecar, with the same key: %v", err)
	}
	c.sealing.refuses("as a session's cookie", "support", value)
	if _, err := c.Carrier.Open(value); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

// CVE-2026-47775: one flipped bit is refused wherever it is.
func TestOneFlippedBitIsNotCarried(t *testing.T) {
	c := newCarrying(t)
	value := c.sealed(carried(func(c *Carried) { c.Token = "t" }))
	if _, err := c.Carrier.Open(value); err != nil {
		t.Fatal(err)
	}
	for i := range len(value) {
		for bit := range 8 {
			b := []byte(value)
			b[i] ^= 1 << bit
			c.refuses("a flipped bit", string(b))
		}
	}
}

// CVE-2026-47775: while a sidecar's keys change, what the old one sealed still opens; once it is removed, it does not.
func TestASidecarsKeysChange(t *testing.T) {
	c := newCarrying(t)
	c.addKey("second")
	c.add(2 * keys.Settle)
	before := c.value(outside)
	c.reload()
	after := c.value(outside)
	for name, value := range map[string]string{"old": before, "new": after} {
		if _, err := c.Carrier.Open(value); err != nil {
			t.Errorf("the %s key's: %v", name, err)
		}
	}
	if err := os.Remove(filepath.Join(c.dir, "first.key")); err != nil {
		t.Fatal(err)
	}
	c.reload()
	c.refuses("a removed key's", before)
	if _, err := c.Carrier.Open(after); err != nil {
		t.Error(err)
	}
}

// A service hands it on in a header of an HTTP request, beside its own. Whoever has a session can have it carried: a cookie is no smaller.
func TestItFitsAHeader(t *testing.T) {
	c := newCarrying(t)
	for _, tt := range []struct{ token, under int }{{900, 1500}, {1024, 2048}} {
		value := c.value(with(func(o *Outside) { o.Cloud, o.Token = strings.Repeat("c", 64), strings.Repeat("t", tt.token) }))
		if len(value) >= tt.under {
			t.Errorf("%d bytes with a token of %d", len(value), tt.token)
		}
	}
	largest := outside
	for size := 2700; ; size++ {
		o := with(func(o *Outside) { o.Token = strings.Repeat("t", size) })
		if _, err := c.Sealed.Seal(support, o); err != nil {
			break
		}
		largest = o
	}
	if _, err := c.Carrier.Open(c.value(largest)); err != nil || len(largest.Token) < 2800 {
		t.Errorf("the largest session, with a token of %d bytes: %v", len(largest.Token), err)
	}
	for name, o := range map[string]Outside{
		"a token of 4 KB":  with(func(o *Outside) { o.Token = strings.Repeat("t", 4<<10) }),
		"a token of 64 KB": with(func(o *Outside) { o.Token = strings.Repeat("t", 1<<16) }),
		"a cloud's id":     with(func(o *Outside) { o.Cloud = strings.Repeat("x", 256) }),
		"a key":            with(func(o *Outside) { o.Key = make([]byte, 256) }),
	} {
		if value, err := c.Carrier.Seal(o); !errors.Is(err, errCarried) || value != "" {
			t.Errorf("%s: %d bytes, %v", name, len(value), err)
		}
	}
}

// What a service sees of it says nothing: neither who the person is, nor the token.
func TestWhatIsCarriedShowsNothing(t *testing.T) {
	c := newCarrying(t)
	value := c.value(outside)
	raw, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{outside.Cloud, outside.Subject, outside.Grant, outside.Token[:20], string(outside.Key[:8]), "support"} {
		if strings.Contains(value, part) || bytes.Contains(raw, []byte(part)) {
			t.Errorf("%q stands in it", part)
		}
	}
}

// A sidecar may be of another release: this form may only change together with its purpose.
func TestTheCarriedFormStays(t *testing.T) {
	raw, err := Carried{Cloud: "c1", Token: "tok", Key: []byte{9, 8}, Expires: time.Unix(0x60000e10, 0)}.encode()
	want := "026331" + "0003746f6b" + "020908" + "0000000060000e10"
	if got := hex.EncodeToString(raw); err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

// Whatever was sealed: no panic, and what opens seals to the same again.
func FuzzDecodeCarried(f *testing.F) {
	raw, err := whole.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:20])
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, ok := decodeCarried(raw)
		if !ok {
			if !cmp.Equal(c, Carried{}) {
				t.Error("refused, and something came out")
			}
			return
		}
		again, err := c.encode()
		if err != nil || !bytes.Equal(raw, again) {
			t.Errorf("%x became %x, %v", raw, again, err)
		}
	})
}

func BenchmarkCarry(b *testing.B) {
	c := newCarrying(b)
	value := c.value(outside)
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = c.Carrier.Seal(outside)
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = c.Carrier.Open(value)
		}
	})
}
