package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzVerify: nothing panics, and what passes was signed: its header and claims are those of the one good token.
func FuzzVerify(f *testing.F) {
	es := newES256(f, "k")
	good := es.sign(f, goodHeader, goodClaims)
	input := good[:strings.LastIndexByte(good, '.')]
	for _, seed := range []string{
		good, good + ".", input + ".", strings.ToUpper(good), "..", "", strings.Repeat(".", 9),
		es.sign(f, `{"alg":"none","kid":"k","typ":"uct+jwt"}`, goodClaims),
		es.sign(f, `{"alg":"ES256","kid":"k","typ":"uct+jwt","crit":["a"]}`, goodClaims),
		es.sign(f, goodHeader, `{"exp":1e999,"exp":[[[[`),
		es.sign(f, goodHeader, `[]`),
	} {
		f.Add(seed)
	}
	keys, e := setOf(f, es.jwk), expect(newClock())
	f.Fuzz(func(t *testing.T, token string) {
		claims, err := Verify(t.Context(), token, keys, e)
		if err == nil && (string(claims) != goodClaims || !strings.HasPrefix(token, input+".")) {
			t.Errorf("%q passed", token)
		}
		if err != nil && (!errors.Is(err, ErrToken) || claims != nil) {
			t.Errorf("claims %q, error %v", claims, err)
		}
	})
}

// FuzzClaims reaches what only an issuer's own signature lets through.
func FuzzClaims(f *testing.F) {
	for _, seed := range []string{goodClaims, `{}`, `{"a":{"A":1,"a":2}}`, `{"exp":-0}`, "{\"\xff\":1}", `{"\ud800":1}`, `[{}]`, `{"exp":1E+9}`, "null"} {
		f.Add(seed)
	}
	e := expect(newClock())
	f.Fuzz(func(t *testing.T, claims string) {
		if err := e.checkClaims([]byte(claims)); err == nil && !strings.Contains(claims, "{") {
			t.Errorf("%q passed", claims)
		}
	})
}

// FuzzOpen: nothing panics, and nothing opens but what was sealed, in its one spelling.
func FuzzOpen(f *testing.F) {
	s := openSealers(f, newClock())
	good := s.Seal("p", "b", []byte("v"))
	for _, seed := range []string{good, good[:len(good)-1], good + "\n", good + "=", "", strings.Repeat("A", maxSealed+1), s.Seal("p", "c", []byte("v"))} {
		f.Add("p", "b", seed)
	}
	f.Add("pb", "", good)
	f.Fuzz(func(t *testing.T, purpose, bound, sealed string) {
		got, err := s.Open(purpose, bound, sealed)
		opens := purpose == "p" && bound == "b" && sealed == good
		if (err == nil) != opens && (bound != "c" || purpose != "p") {
			t.Errorf("%q for %q, %q: %q, %v", sealed, purpose, bound, got, err)
		}
		if err != nil && (err != ErrSealed || got != nil) {
			t.Errorf("%q, error %v", got, err)
		}
	})
}

// FuzzParseJWKS: an issuer's answer is parsed in the background, where a panic would end the daemon.
func FuzzParseJWKS(f *testing.F) {
	f.Add(jwksOf(f, newES256(f, "k").jwk, newPS256(f, "p").jwk))
	f.Add([]byte(`{"keys":[{"kty":"EC","kid":"a","crv":"P-256","x":"","y":null},{"kty":"OKP"},{"kty":"RSA","n":"AQ","e":""},null,1]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		set, err := ParseJWKS(body)
		if (err == nil) != (len(set.keys) > 0) {
			t.Errorf("%d keys, error %v", len(set.keys), err)
		}
	})
}

// FuzzObject holds our scanner against encoding/json.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{goodClaims, " {\"a\" : [ 1 , {\"b\":null} ] ,\"\\u0061b\\\"\":\"}\\\\\"}\n", `{"a":{"a":[{},[],""]},"A":1}`, `{"K":1,"k":2}`, `{"İ":1,"i":2,"İ":3}`, `{"ſ":1,"S":2}`, `{"a":-1.5e+7,"b":true}`, `{}`, `[]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := object(raw)
		want := oracle(raw)
		if (err == nil) != (want != nil) {
			t.Fatalf("%q: %v, %v, want %v", raw, got, err, want)
		}
		if err != nil {
			return
		}
		if len(got) != len(want) {
			t.Fatalf("%q: %v, want %v", raw, got, want)
		}
		for name, value := range want {
			if m := got[fold(name)]; m.name != name || string(m.value) != string(value) {
				t.Errorf("%q: %s is %q, want %q", raw, name, m.value, value)
			}
		}
	})
}

// oracle parses an object slowly; nil: it is to be refused.
func oracle(raw []byte) (want map[string]json.RawMessage) {
	if !utf8.Valid(raw) || json.Unmarshal(raw, &want) != nil || !distinct(json.NewDecoder(bytes.NewReader(raw)), 0) {
		return nil
	}
	return want
}

// distinct says whether the next value has no doubled name and does not nest too deep.
func distinct(d *json.Decoder, depth int) bool {
	token, err := d.Token()
	delim, ok := token.(json.Delim)
	if err != nil || depth > maxDepth || !ok {
		return err == nil && depth <= maxDepth
	}
	var seen []string
	for d.More() {
		if delim == '{' {
			token, _ := d.Token()
			name := token.(string)
			if slices.ContainsFunc(seen, func(s string) bool { return strings.EqualFold(s, name) }) {
				return false
			}
			seen = append(seen, name)
		}
		if !distinct(d, depth+1) {
			return false
		}
	}
	_, err = d.Token()
	return err == nil
}
