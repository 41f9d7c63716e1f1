package dpop

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// FuzzVerify: nothing panics, and what passes was signed: its header and claims are those of the good proofs.
func FuzzVerify(f *testing.F) {
	es, ps := newES256(f), newPS256(f)
	good := es.sign(f, es.header(f), goodClaims(f))
	goodPS := ps.sign(f, ps.header(f), goodClaims(f))
	input := good[:strings.LastIndexByte(good, '.')+1]
	for _, seed := range []string{
		good, goodPS, good + ".", input, strings.ToUpper(good), "..", "", strings.Repeat(".", 9), good + "," + good, rfcTokenProof, rfcResourceProof,
		es.sign(f, headerOf("none", es.jwkJSON(f)), goodClaims(f)),
		es.sign(f, headerOf("ES256", es.jwkWith(f, "d", "AA")), goodClaims(f)),
		es.sign(f, headerOf("ES256", ps.jwkJSON(f)), goodClaims(f)),
		ps.sign(f, headerOf("PS256", ps.jwkWith(f, "e", "AA")), goodClaims(f)),
		es.sign(f, es.header(f), `{"iat":1e999,"iat":[[[[`),
		es.sign(f, es.header(f), claimsWith(f, "htu", "https://[::1%25]:/%")),
	} {
		f.Add(seed)
	}
	want := es.want()
	f.Fuzz(func(t *testing.T, proof string) {
		got, err := newMarks().verifier().Verify(t.Context(), []string{proof}, want)
		if err == nil && (!strings.HasPrefix(proof, input) || got.Thumbprint != es.jkt) {
			t.Errorf("%q passed", proof)
		}
		if err != nil && (!errors.Is(err, ErrProof) || got != (Verified{})) {
			t.Errorf("%v, error %v", got, err)
		}
	})
}

// FuzzSigned reaches what stands behind a true signature: anybody can make one, with a key of his own.
func FuzzSigned(f *testing.F) {
	es := newES256(f)
	for _, seed := range [][2]string{
		{es.header(f), goodClaims(f)},
		{es.header(f), "{}"},
		{headerOf("ES256", `{"kty":"EC","crv":"P-256","x":"","y":""}`), goodClaims(f)},
		{headerOf("PS256", `{"kty":"RSA","n":"AQ","e":"AQAB"}`), goodClaims(f)},
		{headerOf("PS256", `{"kty":"RSA","n":"","e":""}`), goodClaims(f)},
		{`{"typ":"dpop+jwt","alg":"ES256","jwk":null}`, `{"jti":"\ud800","htm":"","htu":1,"iat":-0}`},
		{`[]`, `null`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, header, payload string) {
		_, err := newMarks().verifier().Verify(t.Context(), []string{es.sign(t, header, payload)}, es.want())
		if err != nil {
			if !errors.Is(err, ErrProof) {
				t.Errorf("error %v", err)
			}
			return
		}
		var h, c map[string]any // by exact names, as a struct is not
		if json.Unmarshal([]byte(header), &h) != nil || h["typ"] != "dpop+jwt" || h["alg"] != "ES256" || len(h) != 3 {
			t.Errorf("header %q passed", header)
		}
		if json.Unmarshal([]byte(payload), &c) != nil || c["jti"] == "" || c["htm"] != method || c["ath"] != tokenHash(token) {
			t.Errorf("claims %q passed", payload)
		}
		if iat, ok := c["iat"].(float64); !ok || iat < float64(start.Unix()-60) || iat > float64(start.Unix()+10) {
			t.Errorf("claims %q passed", payload)
		}
	})
}

// FuzzNormalise: what is normal stays, and a query changes nothing.
func FuzzNormalise(f *testing.F) {
	for _, seed := range []string{url, "HTTPS://A:443/%2e%2E/%41%2f", "http://[::1]:80", "https://h//..//a/./", "https://h/%25%32%35", "https://h:0/?#", "http://.", "%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		once, err := normalise(raw)
		if err != nil {
			return
		}
		if twice, err := normalise(once); err != nil || twice != once {
			t.Errorf("%q gives %q, that gives %q, %v", raw, once, twice, err)
		}
		if queried, err := normalise(withoutQuery(raw) + "?q"); err != nil || queried != once {
			t.Errorf("%q gives %q, with another query %q, %v", raw, once, queried, err)
		}
		for _, segment := range strings.Split(once, "/")[3:] { // behind the host
			if segment == "." || segment == ".." {
				t.Errorf("%q gives %q", raw, once)
			}
		}
	})
}

// FuzzObject holds our parser against a slow one.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{goodClaims(f), `{}`, `null`, `[]`, ` {"a" : [1,{"b":null}] , "c\"":"}:\\"} `, `{"a":{"a":[{},[],":"]},"b":1}`, `{"a":1,"\u0061":2}`,
		`{"a":1,"A":2}`, `{"":1,"":2}`, `{"\ud800":1,"\ud801":2}`, `{"a":{"b":1,"b":2}}`, "{\"\xff\":1}", `{"a":1}{`, `{"a\\":"\"","b":":"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := object(raw)
		want := slowObject(raw)
		if (err == nil) != (want != nil) {
			t.Fatalf("%q: %v, want %v", raw, err, want)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", raw, diff)
		}
	})
}

// slowObject reads token by token; nil: it is to be refused.
func slowObject(raw []byte) map[string]json.RawMessage {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if start, _ := decoder.Token(); !utf8.Valid(raw) || !json.Valid(raw) || start != json.Delim('{') {
		return nil
	}
	found := map[string]json.RawMessage{}
	for decoder.More() {
		name, _ := decoder.Token()
		var value json.RawMessage
		if _, twice := found[name.(string)]; twice || decoder.Decode(&value) != nil {
			return nil
		}
		found[name.(string)] = value
	}
	return found
}
