package dpop

import (
	"bytes"
	"crypto/elliptic"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"
)

func TestKeySealedAndBack(t *testing.T) {
	key := must[Key](t)(Generate())
	scalar := key.Marshal()
	if len(scalar) != 32 {
		t.Errorf("%d bytes", len(scalar))
	}
	back := must[Key](t)(ParseKey(scalar))
	if back.Thumbprint() != key.Thumbprint() || key.Thumbprint() == "" {
		t.Errorf("thumbprint %q, want %q", back.Thumbprint(), key.Thumbprint())
	}
	made := must[string](t)(back.Make(Proof{Method: method, URL: url, AccessToken: token, Now: start}))
	wantPassed(t, made, Want{Method: method, URL: url, AccessToken: token, Thumbprint: key.Thumbprint()})
	if other := must[Key](t)(Generate()); other.Thumbprint() == key.Thumbprint() {
		t.Error("two keys are one")
	}
}

func TestParseKeyRefuses(t *testing.T) {
	order := elliptic.P256().Params().N.FillBytes(make([]byte, 32))
	for name, scalar := range map[string][]byte{
		"nothing":   nil,
		"zero":      make([]byte, 32),
		"too short": bytes.Repeat([]byte{1}, 31),
		"too long":  bytes.Repeat([]byte{1}, 33),
		"the order": order,
	} {
		if key, err := ParseKey(scalar); err == nil || key != (Key{}) {
			t.Errorf("%s: passed", name)
		}
	}
}

func TestMakeRefuses(t *testing.T) {
	key := must[Key](t)(Generate())
	good := Proof{Method: method, URL: url, Now: start}
	tests := []struct {
		name string
		key  Key
		edit func(*Proof)
	}{
		{"no key", Key{}, func(*Proof) {}},
		{"no method", key, func(p *Proof) { p.Method = "" }},
		{"no URL", key, func(p *Proof) { p.URL = "" }},
		{"a relative URL", key, func(p *Proof) { p.URL = "/rest" }},
		{"a password in the URL", key, func(p *Proof) { p.URL = "https://a:b@gateway.example/" }},
		{"no time", key, func(p *Proof) { p.Now = time.Time{} }},
		{"a nonce beyond all bounds", key, func(p *Proof) { p.Nonce = strings.Repeat("n", maxProof) }},
	}
	must[string](t)(key.Make(good))
	for _, test := range tests {
		p := good
		test.edit(&p)
		if made, err := test.key.Make(p); err == nil || made != "" {
			t.Errorf("%s: made %q", test.name, made)
		}
	}
	if (Key{}).Thumbprint() != "" || (Key{}).Marshal() != nil {
		t.Error("the zero key is something")
	}
}

func TestNoTwoProofsAreOne(t *testing.T) {
	key, m := must[Key](t)(Generate()), newMarks()
	for range 100 {
		made := must[string](t)(key.Make(Proof{Method: method, URL: url, Now: start}))
		if _, err := m.verifier().Verify(t.Context(), []string{made}, Want{Method: method, URL: url}); err != nil {
			t.Fatal(err)
		}
	}
}

// No way of printing a key says more than that there is one.
func TestKeyIsRedacted(t *testing.T) {
	key := must[Key](t)(Generate())
	holder := struct{ K Key }{key}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("m", "key", key)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("m", "key", key, "holder", holder)
	secret := new(big.Int).SetBytes(key.Marshal())
	for _, got := range []string{
		fmt.Sprint(key), fmt.Sprintf("%v %+v %#v %s %x %d", key, key, key, key, key, key), fmt.Sprintf("%+v %#v", holder, &holder),
		string(must[[]byte](t)(json.Marshal(holder))), logged.String(),
	} {
		if !strings.Contains(got, "[redacted]") || strings.Contains(got, secret.String()) || strings.Contains(got, secret.Text(16)) || strings.Contains(got, key.thumbprint) {
			t.Errorf("printed as %s", got)
		}
	}
}
