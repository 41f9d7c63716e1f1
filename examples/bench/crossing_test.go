package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isogate/extauthz/dpop"
	"isogate/extauthz/keys"
	"isogate/policies"
)

// forgets is a replay check that passes everything.
type forgets struct{}

func (forgets) Add(context.Context, string, time.Time) error { return nil }

func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// issued is what the OAuth server would have given out, and the folder of its keys.
func issued(t *testing.T) (token, signing string) {
	t.Helper()
	signing = t.TempDir()
	signers := must[*keys.Signers](t)(keys.OpenSigners(signing, time.Now))
	return must[string](t)(signers.Sign("at+jwt", []byte(`{"jti":"one","sid":"g","exp":1798859045,"cnf":{"jkt":"another's"}}`))), signing
}

// Recorded messages have blanks of one length, and a token that is seen twice is no first one.
func TestTokensAndProofsAreNewEachTimeAndOfOneLength(t *testing.T) {
	x := &crossing{}
	token, signing := issued(t)
	if err := x.likeIssued(token, signing); err != nil {
		t.Fatal(err)
	}
	one, other := must[values](t)(x.first(issue)), must[values](t)(x.first(issue))
	for letter := range one {
		if one[letter] == other[letter] || len(one[letter]) != len(other[letter]) || len(one[letter]) == 0 {
			t.Errorf("%c: %d and %d bytes, equal: %t", letter, len(one[letter]), len(other[letter]), one[letter] == other[letter])
		}
	}
	if again := must[values](t)(x.again(issue)); again[blankToken] != x.token || again[blankProof] == must[values](t)(x.again(issue))[blankProof] {
		t.Error("a call with a known token needs that token and another proof")
	}
}

// A proof is for the token that it comes with and for the key that the token is bound to; the gateway would refuse another.
func TestATokenIsBoundToTheKeyOfItsProofs(t *testing.T) {
	x := &crossing{}
	token, signing := issued(t)
	if err := x.likeIssued(token, signing); err != nil {
		t.Fatal(err)
	}
	claims := must[map[string]any](t)(claimsOf(x.token))
	bound, _ := claims["cnf"].(map[string]any)
	if bound["jkt"] != x.key.Thumbprint() || claims["sid"] != "g" {
		t.Errorf("%v", claims)
	}
	v := must[values](t)(x.first(issue))
	path, _, _ := strings.Cut(issue, "?")
	want := dpop.Want{Method: "GET", URL: "https://" + x.cloud.GatewayName(product) + path, AccessToken: v[blankToken], Thumbprint: x.key.Thumbprint()}
	if _, err := (dpop.Verifier{Ahead: time.Second, Behind: time.Minute, Now: time.Now, Replay: forgets{}}).Verify(t.Context(), []string{v[blankProof]}, want); err != nil {
		t.Error(err)
	}
}

func TestClaimsOfWhatIsNoToken(t *testing.T) {
	for _, token := range []string{"", "a.b", "a.!.c", "a." + base64.RawURLEncoding.EncodeToString([]byte("{")) + ".c"} {
		if claims, err := claimsOf(token); err == nil {
			t.Errorf("%q: %v", token, claims)
		}
	}
}

// Two blanks stand in one message, and each takes its own value.
func TestCallsFillTheirBlanks(t *testing.T) {
	x := &crossing{}
	token, signing := issued(t)
	if err := x.likeIssued(token, signing); err != nil {
		t.Fatal(err)
	}
	kind := calls[1]
	v := must[values](t)(kind.values(x, kind.target))
	message := "proof " + strings.Repeat("P", len(v[blankProof])) + " token " + strings.Repeat("T", len(v[blankToken])) + " end"
	s := &stage{crossing: x, questions: map[string]question{kind.name: {message: []byte(message)}}}
	messages := must[[][]byte](t)(s.callMessages(kind, 2))
	for _, m := range messages {
		if len(m) != len(message) || bytes.Contains(m, []byte("TTTTTTTT")) || bytes.Contains(m, []byte("PPPPPPPP")) || bytes.Count(m, []byte(".")) != 4 {
			t.Errorf("%s", m)
		}
	}
	if bytes.Equal(messages[0], messages[1]) {
		t.Error("two checks bring the same")
	}
}

// The made-up endpoints are as good as written ones, and the one that is called stays.
func TestExposedText(t *testing.T) {
	shipped := string(must[[]byte](t)(os.ReadFile("../../policies/gateway.rego")))
	for _, n := range []int{fewEndpoints, 300} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS("../../policies")); err != nil {
			t.Fatal(err)
		}
		text := exposedText(shipped, n-1) + endpointText(edited, editedPath)
		if err := os.WriteFile(filepath.Join(dir, gatewayRego), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		bundle := must[*policies.Bundle](t)(policies.Load(t.Context(), dir))
		if got := len(bundle.Endpoints()); got != n {
			t.Errorf("%d endpoints, want %d", got, n)
		}
		path, _, _ := strings.Cut(issue, "?")
		closed, _, _ := strings.Cut(unexposed, "?")
		for path, want := range map[string]bool{path: true, editedCall: true, closed: false} {
			if _, ok := bundle.Match(product, "GET", path, time.Now()); ok != want {
				t.Errorf("%d endpoints: %s is exposed: %t", n, path, ok)
			}
		}
	}
}
