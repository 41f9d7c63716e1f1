package keys

import (
	"bytes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

func openSealers(t testing.TB, c *clock) *Sealers {
	t.Helper()
	return must[*Sealers](t)(OpenSealers(t.TempDir(), c.now))
}

func wantSealed(t *testing.T, what string, s *Sealers, purpose, bound, sealed string) {
	t.Helper()
	if got, err := s.Open(purpose, bound, sealed); err != ErrSealed || got != nil {
		t.Errorf("%s: %q, %v, want ErrSealed and nothing else", what, got, err)
	}
}

func TestSealAndOpen(t *testing.T) {
	s := openSealers(t, newClock())
	for _, plaintext := range []string{"", "x", strings.Repeat("long", 3000)} {
		sealed := s.Seal("flow", "host", []byte(plaintext))
		if got, err := s.Open("flow", "host", sealed); err != nil || string(got) != plaintext {
			t.Errorf("%d bytes: %.20q, %v", len(plaintext), got, err)
		}
	}
	if first, second := s.Seal("flow", "host", nil), s.Seal("flow", "host", nil); first == second {
		t.Error("two sealed values are equal: the nonce is not random")
	}
}

// CVE-2026-47775: opaque values are AEAD, and one flipped bit is refused wherever it is.
func TestFlippedBits(t *testing.T) {
	s := openSealers(t, newClock())
	for size := range 4 { // every number of unused bits at the end of base64
		sealed := s.Seal("flow", "host", make([]byte, size))
		flipped(sealed, func(i int, spoiled string) {
			if _, err := s.Open("flow", "host", spoiled); !errors.Is(err, ErrSealed) {
				t.Errorf("%d bytes, position %d: %v", size, i, err)
			}
		})
		raw := must[[]byte](t)(decode(sealed))
		flipped(string(raw), func(i int, spoiled string) {
			wantSealed(t, "a flipped bit below base64", s, "flow", "host", b64.EncodeToString([]byte(spoiled)))
		})
	}
}

// Replicas of two releases share one directory: the form may not change between them.
func TestSealedLayout(t *testing.T) {
	dir := t.TempDir()
	key := []byte("a sealing key of thirty-two byte")
	if err := os.WriteFile(filepath.Join(dir, "k.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	raw := must[[]byte](t)(decode(must[*Sealers](t)(OpenSealers(dir, time.Now)).Seal("p", "b", []byte("four"))))
	id := sha256.Sum256(append([]byte("isogate sealing key id\x00"), key...))
	if len(raw) != 8+24+4+16 || !bytes.Equal(raw[:8], id[:8]) {
		t.Errorf("%d bytes that begin with %x, want 52 that begin with %x", len(raw), raw[:8], id[:8])
	}
	aead := must[cipher.AEAD](t)(chacha20poly1305.NewX(key))
	data := "\x00\x00\x00\x00\x00\x00\x00\x01p\x00\x00\x00\x00\x00\x00\x00\x01b\x00\x00\x00\x00\x00\x00\x00\x08" + string(id[:8])
	if got, err := aead.Open(nil, raw[8:32], raw[32:], []byte(data)); err != nil || string(got) != "four" {
		t.Errorf("opened by hand: %q, %v", got, err)
	}
}

func TestPurposeAndBound(t *testing.T) {
	s := openSealers(t, newClock())
	places := [][2]string{{"flow", "a.example"}, {"flow", "b.example"}, {"state", "a.example"}, {"flowa", ".example"}, {"flow", ""}, {"", "flow"}, {"", ""},
		{"x", "y\x00\x00\x00\x00\x00\x00\x00\x00z"}, {"x\x00\x00\x00\x00\x00\x00\x00\x00y", "z"}}
	for i, from := range places {
		sealed := s.Seal(from[0], from[1], []byte("v"))
		for j, to := range places {
			if got, err := s.Open(to[0], to[1], sealed); (err == nil) != (i == j) {
				t.Errorf("sealed for %q, opened for %q: %q, %v", from, to, got, err)
			}
		}
	}
}

func TestSealedForms(t *testing.T) {
	s, other := openSealers(t, newClock()), openSealers(t, newClock())
	sealed := s.Seal("p", "b", []byte("v"))
	raw := must[[]byte](t)(decode(sealed))
	tests := map[string]string{
		"empty":              "",
		"another's key":      other.Seal("p", "b", []byte("v")),
		"key id alone":       b64.EncodeToString(raw[:keyIDSize]),
		"no ciphertext":      b64.EncodeToString(raw[:keyIDSize+24]),
		"cut":                b64.EncodeToString(raw[:len(raw)-1]),
		"extended":           b64.EncodeToString(append(raw[:len(raw):len(raw)], 0)),
		"padded":             sealed + "=",
		"a line break":       sealed + "\n",
		"a line break first": "\r\n" + sealed,
		"a space":            sealed + " ",
		"twice":              sealed + sealed,
		"standard alphabet":  strings.Repeat("+/", 40),
		"oversize":           s.Seal("p", "b", make([]byte, maxSealed)),
		"not ASCII":          strings.Repeat("é", 60),
	}
	for name, value := range tests {
		wantSealed(t, name, s, "p", "b", value)
	}
}

// CVE-2026-47775: while keys change, what an old one sealed still opens; once it is removed, it does not.
func TestAnOldKeyStillOpensAndARemovedOneDoesNot(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	add := func(name string) {
		t.Helper()
		if err := GenerateSealer(dir, name); err != nil {
			t.Fatal(err)
		}
		touch(t, dir, name+".key", c.now())
	}
	add("old")
	s := must[*Sealers](t)(OpenSealers(dir, c.now))
	replica := must[*Sealers](t)(OpenSealers(dir, c.now)) // has not read the new key yet
	seal := func() string { return s.Seal("p", "b", []byte("v")) }
	before := seal()

	c.add(time.Minute)
	add("new")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	must[[]byte](t)(replica.Open("p", "b", seal())) // the old key still seals, so the replica opens it
	c.add(Settle)
	after := seal()
	wantSealed(t, "a new key's value at a replica that never read it", replica, "p", "b", after)
	if err := replica.Reload(); err != nil {
		t.Fatal(err)
	}
	for _, sealed := range []string{before, after} {
		must[[]byte](t)(replica.Open("p", "b", sealed))
	}

	if err := errors.Join(os.Remove(filepath.Join(dir, "old.key")), s.Reload()); err != nil {
		t.Fatal(err)
	}
	wantSealed(t, "a removed key's value", s, "p", "b", before)
	must[[]byte](t)(s.Open("p", "b", after))
}

func TestSealerReloadKeepsTheLastGood(t *testing.T) {
	dir := t.TempDir()
	s := must[*Sealers](t)(OpenSealers(dir, time.Now))
	sealed := s.Seal("p", "b", []byte("v"))
	if err := os.RemoveAll(s.Dir()); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err == nil {
		t.Error("Reload of a lost directory found no fault")
	}
	must[[]byte](t)(s.Open("p", "b", sealed))
	must[[]byte](t)(s.Open("p", "b", s.Seal("p", "b", nil)))
}
