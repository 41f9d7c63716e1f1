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

const support, portal = "support.commercial.example", "portal.commercial.example"

// outside is a session as large as they are: an access token has some 700 bytes.
var outside = Outside{
	Cloud: "acme-9f3b6c1de2a84f70", Subject: "c3ViamVjdF9vZl9hY21l0", Grant: "Z3JhbnRfb2ZfYWNtZQ", Token: "eyJ." + strings.Repeat("t", 700),
	Key: bytes.Repeat([]byte{7}, 32), Start: start, Ends: start.Add(maxOutside), Checked: start.Add(time.Minute),
}

func with(change func(*Outside)) Outside {
	o := outside
	change(&o)
	return o
}

// sealing is a folder of keys, a clock, and sessions sealed with both.
type sealing struct {
	Sealed
	t   testing.TB
	dir string
	*clock
}

func newSealing(t testing.TB) *sealing {
	t.Helper()
	s := &sealing{t: t, dir: t.TempDir(), clock: &clock{at: start.Add(time.Minute)}}
	s.addKey("first")
	all, err := keys.OpenSealers(s.dir, s.now)
	if err != nil {
		t.Fatal(err)
	}
	s.Sealed = Sealed{Keys: all, Now: s.now}
	return s
}

func (s *sealing) addKey(name string) {
	s.t.Helper()
	if err := errors.Join(keys.GenerateSealer(s.dir, name), os.Chtimes(filepath.Join(s.dir, name+".key"), s.now(), s.now())); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sealing) reload() {
	s.t.Helper()
	if err := s.Keys.Reload(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sealing) seal(host string, o Outside) string {
	s.t.Helper()
	value, err := s.Seal(host, o)
	if err != nil {
		s.t.Fatal(err)
	}
	return value
}

// raw seals whatever bytes, as only who holds the key can.
func (s *sealing) raw(o Outside) string {
	s.t.Helper()
	b, err := o.encode()
	if err != nil {
		s.t.Fatal(err)
	}
	return s.Keys.Seal(purposeOutside, support, b)
}

func (s *sealing) refuses(what, host, value string) {
	s.t.Helper()
	if got, err := s.Open(host, value); err != ErrNone || !cmp.Equal(got, Outside{}) {
		s.t.Errorf("%s: %v, want ErrNone and nothing else", what, err)
	}
}

func TestSealAndOpen(t *testing.T) {
	s := newSealing(t)
	for name, o := range map[string]Outside{
		"usual": outside,
		"short": with(func(o *Outside) { o.Cloud, o.Subject, o.Grant, o.Token, o.Key = "c", "s", "g", "t", []byte{1} }),
		"fractions of a second": with(func(o *Outside) {
			o.Start, o.Checked = o.Start.Add(999*time.Millisecond), o.Checked.Add(time.Nanosecond)
			o.Ends = o.Start.Add(maxOutside)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			value := s.seal(support, o)
			got, err := s.Open(support, value)
			if err != nil {
				t.Fatal(err)
			}
			o.Start, o.Ends, o.Checked = o.Start.Truncate(time.Second), o.Ends.Truncate(time.Second), o.Checked.Truncate(time.Second)
			if diff := cmp.Diff(o, got); diff != "" {
				t.Error(diff)
			}
			if value == s.seal(support, o) {
				t.Error("sealing twice gives one value: somebody could tell two sessions apart")
			}
		})
	}
}

// What a browser sees of it says nothing: neither in plain nor in base64 does any part stand there.
func TestTheCookieShowsNothing(t *testing.T) {
	s := newSealing(t)
	value := s.seal(support, outside)
	raw, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{outside.Cloud, outside.Subject, outside.Grant, outside.Token[:20], string(outside.Key[:8]), support} {
		if strings.Contains(value, part) || bytes.Contains(raw, []byte(part)) {
			t.Errorf("%q stands in it", part)
		}
	}
}

func TestItFitsACookie(t *testing.T) {
	s := newSealing(t)
	large := with(func(o *Outside) {
		o.Cloud, o.Subject, o.Grant, o.Token = strings.Repeat("c", 64), strings.Repeat("s", 43), strings.Repeat("g", 43), strings.Repeat("t", 1024)
	})
	if size := len(SetOutside(s.seal(support, large), large, start)); size > 2048 {
		t.Errorf("%d bytes with a token of 1 KB", size)
	}
	for _, size := range []int{2800, 2900, 3000, 4 << 10, 1 << 16} {
		o := with(func(o *Outside) { o.Token = strings.Repeat("t", size) })
		value, err := s.Seal(support, o)
		if len(OutsideCookie+value) > 4096 || (err != nil) != (value == "") || err != nil && !errors.Is(err, errTooLong) {
			t.Errorf("a token of %d bytes: a cookie of %d, %v", size, len(value), err)
		}
		if size > 2900 && err == nil || size < 2900 && err != nil {
			t.Errorf("a token of %d bytes: %v", size, err)
		}
	}
	for name, o := range map[string]Outside{
		"cloud": with(func(o *Outside) { o.Cloud = strings.Repeat("x", 256) }),
		"key":   with(func(o *Outside) { o.Key = make([]byte, 256) }),
	} {
		if _, err := s.Seal(support, o); !errors.Is(err, errTooLong) {
			t.Errorf("%s of 256 bytes: %v", name, err)
		}
	}
}

// incomplete are sessions that nothing may be decided from.
var incomplete = map[string]Outside{
	"nothing":            {},
	"no cloud":           with(func(o *Outside) { o.Cloud = "" }),
	"no subject":         with(func(o *Outside) { o.Subject = "" }),
	"no grant":           with(func(o *Outside) { o.Grant = "" }),
	"no token":           with(func(o *Outside) { o.Token = "" }),
	"no key":             with(func(o *Outside) { o.Key = nil }),
	"no start":           with(func(o *Outside) { o.Start = time.Time{} }),
	"never checked":      with(func(o *Outside) { o.Checked = time.Time{} }),
	"no end":             with(func(o *Outside) { o.Ends = time.Time{} }),
	"ends at its start":  with(func(o *Outside) { o.Ends = o.Start }),
	"24 h and 1 s":       with(func(o *Outside) { o.Ends = o.Ends.Add(time.Second) }),
	"a year":             with(func(o *Outside) { o.Ends = o.Start.AddDate(1, 0, 0) }),
	"the start of 1970":  with(func(o *Outside) { o.Start, o.Ends = time.Unix(0, 0), time.Unix(3600, 0) }),
	"beyond every clock": with(func(o *Outside) { o.Start, o.Ends = time.Unix(1<<62, 0), time.Unix(1<<62+3600, 0) }),
	"the last second of numbers": with(func(o *Outside) {
		o.Start, o.Ends = time.Unix(1<<63-3601, 0), time.Unix(1<<63-1, 0)
	}),
}

// The bound of 24 h is kept when the session is opened too: somebody with the key could seal what they like, a fault of ours as well.
func TestIncompleteSessionsAreNeitherSealedNorOpened(t *testing.T) {
	s := newSealing(t)
	for name, o := range incomplete {
		if value, err := s.Seal(support, o); err == nil && !strings.Contains(name, "every clock") && !strings.Contains(name, "numbers") {
			t.Errorf("%s was sealed: %q", name, value)
		}
		s.refuses(name, support, s.raw(o))
	}
}

func TestWhenASessionOutsideLives(t *testing.T) {
	s := newSealing(t)
	short := outside.Until(start.Add(30 * time.Minute))
	tests := []struct {
		name string
		o    Outside
		at   time.Time
		want bool
	}{
		{"at its start", outside, start, true},
		{"a moment before its end", outside, outside.Ends.Add(-time.Nanosecond), true},
		{"at its end", outside, outside.Ends, false},
		{"long after", outside, outside.Ends.AddDate(1, 0, 0), false},
		{"a shorter limit, before it", short, start.Add(30*time.Minute - 1), true},
		{"a shorter limit, at it", short, start.Add(30 * time.Minute), false},
		{"a replica whose clock is behind", outside, start.Add(-clockSkew), true},
		{"before it can have begun", outside, start.Add(-clockSkew - time.Nanosecond), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			value := s.seal(support, tt.o)
			s.set(tt.at)
			if _, err := s.Open(support, value); (err == nil) != tt.want {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestUntil(t *testing.T) {
	for name, tt := range map[string]struct{ expiry, want time.Time }{
		"sooner":             {start.Add(time.Hour), start.Add(time.Hour)},
		"later":              {start.Add(25 * time.Hour), start.Add(24 * time.Hour)},
		"past":               {start.Add(-time.Hour), start.Add(-time.Hour)},
		"longer than before": {start.Add(23 * time.Hour), start.Add(23 * time.Hour)},
	} {
		if got := outside.Until(start.Add(time.Minute)).Until(tt.expiry).Ends; !got.Equal(tt.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// CVE-2024-47616: no token, cookie or sealed value of another kind counts as a session.
func TestWhatDoesNotOpen(t *testing.T) {
	s, other := newSealing(t), newSealing(t)
	value := s.seal(support, outside)
	raw, err := outside.encode()
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]string{
		"nothing": "", "a handle": random(32), "another side's key": other.seal(support, outside), "another host's": s.seal(portal, outside),
		"padded": value + "=", "quoted": `"` + value + `"`, "cut": value[:len(value)-1], "twice": value + value, "huge": strings.Repeat(value, 20),
		"one byte more":       s.Keys.Seal(purposeOutside, support, append(raw[:len(raw):len(raw)], 0)),
		"nothing inside":      s.Keys.Seal(purposeOutside, support, nil),
		"JSON":                s.Keys.Seal(purposeOutside, support, []byte(`{"cloud":"acme"}`)),
		"no host":             s.Keys.Seal(purposeOutside, "", raw),
		"of no purpose":       s.Keys.Seal("", support, raw),
		"the token itself":    outside.Token,
		"host within purpose": s.Keys.Seal(purposeOutside+support, "", raw),
	}
	for _, purpose := range []string{"flow", "state", "ticket", "id_token", "leave", "token", "Federated"} {
		refused["sealed as "+purpose] = s.Keys.Seal(purpose, support, raw)
	}
	for n := range raw {
		refused["cut inside at "+hex.EncodeToString([]byte{byte(n >> 8), byte(n)})] = s.Keys.Seal(purposeOutside, support, raw[:n])
	}
	for name, v := range refused {
		s.refuses(name, support, v)
	}
	s.refuses("at another host", portal, value)
	if _, err := s.Open(support, value); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

// CVE-2026-47775: one flipped bit is refused wherever it is.
func TestOneFlippedBitIsRefused(t *testing.T) {
	s := newSealing(t)
	small := with(func(o *Outside) { o.Token = "t" })
	value := s.seal(support, small)
	for i := range len(value) {
		for bit := range 8 {
			b := []byte(value)
			b[i] ^= 1 << bit
			s.refuses("a flipped bit", support, string(b))
		}
	}
}

// CVE-2026-47775: while keys change, what the old one sealed still opens; once it is removed, it does not.
func TestKeysChange(t *testing.T) {
	s := newSealing(t)
	before := s.seal(support, outside)
	s.addKey("second")
	s.reload()
	s.add(2 * keys.Settle)
	after := s.seal(support, outside)
	for name, value := range map[string]string{"old": before, "new": after} {
		if _, err := s.Open(support, value); err != nil {
			t.Errorf("the %s key's: %v", name, err)
		}
	}
	if err := os.Remove(filepath.Join(s.dir, "first.key")); err != nil {
		t.Fatal(err)
	}
	s.reload()
	s.refuses("a removed key's", support, before)
	if _, err := s.Open(support, after); err != nil {
		t.Error(err)
	}
}

// Replicas of two releases read each other's cookies: this form may only change together with its purpose.
func TestTheFormStays(t *testing.T) {
	o := Outside{
		Cloud: "c1", Subject: "sub", Grant: "g", Token: "tok", Key: []byte{9, 8},
		Start: time.Unix(0x60000000, 0), Ends: time.Unix(0x60000e10, 0), Checked: time.Unix(0x60000001, 0),
	}
	raw, err := o.encode()
	want := "026331" + "03737562" + "0167" + "0003746f6b" + "020908" + "0000000060000000" + "0000000060000e10" + "0000000060000001"
	if got := hex.EncodeToString(raw); err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

// Whatever was sealed: no panic, and what opens seals to the same again.
func FuzzDecodeOutside(f *testing.F) {
	raw, err := outside.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:40])
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, ok := decodeOutside(raw)
		if !ok {
			if !cmp.Equal(o, Outside{}) {
				t.Error("refused, and something came out")
			}
			return
		}
		again, err := o.encode()
		if err != nil || !bytes.Equal(raw, again) {
			t.Errorf("%x became %x, %v", raw, again, err)
		}
	})
}
