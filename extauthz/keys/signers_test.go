package keys

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v2/jwk"
)

// Claims that pass at start, and what they are expected to be.
const goodClaims = `{"iss":"https://issuer.example","aud":"us","exp":1798859345,"iat":1798859045,"nbf":1798859045,"sub":"u"}`

func expect(c *clock) Expect {
	return Expect{Type: "uct+jwt", Issuer: "https://issuer.example", Audience: "us", Now: c.now}
}

func headerOf(t *testing.T, token string) map[string]string {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	var h map[string]string
	if err := json.Unmarshal(must[[]byte](t)(decode(head)), &h); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestSign(t *testing.T) {
	c := newClock()
	s := must[*Signers](t)(OpenSigners(t.TempDir(), c.now))
	token := must[string](t)(s.Sign("uct+jwt", []byte(goodClaims)))

	set := must[jwk.Set](t)(jwk.Parse(s.JWKS()))
	key, _ := set.Key(0)
	thumbprint := must[[]byte](t)(key.Thumbprint(5)) // crypto.SHA256
	head, _, _ := strings.Cut(token, ".")
	want := `{"alg":"ES256","kid":"` + b64.EncodeToString(thumbprint) + `","typ":"uct+jwt"}`
	if got := string(must[[]byte](t)(decode(head))); got != want {
		t.Errorf("header %s, want %s", got, want)
	}
	for name, source := range map[string]KeySource{"own keys": s, "published keys": must[Set](t)(ParseJWKS(s.JWKS()))} {
		claims, err := Verify(t.Context(), token, source, expect(c))
		if err != nil || string(claims) != goodClaims {
			t.Errorf("%s: %s, %v", name, claims, err)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	s := must[*Signers](t)(OpenSigners(t.TempDir(), time.Now))
	if _, err := s.Sign("", []byte(goodClaims)); err == nil {
		t.Error("a token without a type was signed")
	}
	if _, err := s.Sign("uct+jwt", make([]byte, maxToken)); err == nil {
		t.Error("a token that nobody takes was signed")
	}
}

func TestJWKS(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c", "d"} {
		if err := GenerateSigner(dir, name); err != nil {
			t.Fatal(err)
		}
	}
	s := must[*Signers](t)(OpenSigners(dir, time.Now))
	var doc struct{ Keys []map[string]string }
	if err := json.Unmarshal(s.JWKS(), &doc); err != nil {
		t.Fatal(err)
	}
	var kids []string
	for _, key := range doc.Keys {
		var names []string
		for name := range key {
			names = append(names, name)
		}
		slices.Sort(names)
		if diff := cmp.Diff([]string{"alg", "crv", "kid", "kty", "use", "x", "y"}, names); diff != "" {
			t.Errorf("a published key has other members (a d would be the private key): %s", diff)
		}
		if key["use"] != "sig" || key["alg"] != "ES256" {
			t.Errorf("use %q, alg %q", key["use"], key["alg"])
		}
		kids = append(kids, key["kid"])
	}
	if len(kids) != 4 || !slices.IsSorted(kids) {
		t.Errorf("kids %q, want four, sorted", kids)
	}
}

func TestSignerRotation(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	add := func(name string) {
		t.Helper()
		if err := GenerateSigner(dir, name); err != nil {
			t.Fatal(err)
		}
		touch(t, dir, name+".pem", c.now())
	}
	add("old")
	s := must[*Signers](t)(OpenSigners(dir, c.now))
	sign := func() (token, kid string) {
		t.Helper()
		token = must[string](t)(s.Sign("uct+jwt", []byte(goodClaims)))
		return token, headerOf(t, token)["kid"]
	}
	oldToken, oldKid := sign() // at once, though it is not settled: there is no other

	c.add(time.Minute)
	add("new")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(s.JWKS()), `"kid"`); n != 2 {
		t.Fatalf("%d keys are published, want the new one at once", n)
	}
	if _, kid := sign(); kid != oldKid {
		t.Error("a new key signed before it had settled")
	}
	c.add(Settle - time.Second)
	if _, kid := sign(); kid != oldKid {
		t.Error("a new key signed a second too early")
	}
	c.add(time.Second)
	newToken, newKid := sign()
	if newKid == oldKid {
		t.Error("a settled key did not sign")
	}

	e := expect(newClock())
	for _, token := range []string{oldToken, newToken} {
		must[[]byte](t)(Verify(t.Context(), token, s, e))
	}
	if err := os.Remove(filepath.Join(dir, "old.pem")); err != nil {
		t.Fatal(err)
	}
	must[[]byte](t)(Verify(t.Context(), oldToken, s, e)) // not read again yet
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, "a token of a removed key", oldToken, s, e)
	must[[]byte](t)(Verify(t.Context(), newToken, s, e))
}

func TestSignerReloadKeepsTheLastGood(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	s := must[*Signers](t)(OpenSigners(dir, c.now))
	token, before := must[string](t)(s.Sign("uct+jwt", []byte(goodClaims))), string(s.JWKS())
	faults := []func() error{
		func() error { return os.WriteFile(filepath.Join(dir, "bad.pem"), []byte("no key"), 0o600) },
		func() error { return os.RemoveAll(filepath.Join(dir, "bad.pem")) }, // and the good one, below
		func() error { return os.RemoveAll(dir) },
	}
	for i, fault := range faults {
		if i == 1 {
			os.Remove(filepath.Join(dir, "0-first.pem"))
		}
		if err := fault(); err != nil {
			t.Fatal(err)
		}
		if err := s.Reload(); err == nil {
			t.Errorf("fault %d: Reload found no fault", i)
		}
		if string(s.JWKS()) != before {
			t.Errorf("fault %d: the published keys changed", i)
		}
		must[[]byte](t)(Verify(t.Context(), token, s, expect(c)))
		must[string](t)(s.Sign("uct+jwt", []byte(goodClaims)))
	}
	if s.Dir() != dir {
		t.Errorf("Dir is %s", s.Dir())
	}
}
