package keys

import (
	"errors"
	"strings"
	"testing"
)

func TestOtherTypes(t *testing.T) {
	es := newES256(t, "k")
	typ := func(member string) string { return es.sign(t, `{"alg":"ES256","kid":"k"`+member+`}`, goodClaims) }
	tests := []struct {
		name, token string
		others      []string
		pass        bool
	}{
		{"the type", typ(`,"typ":"uct+jwt"`), []string{"", "JWT"}, true},
		{"another that may be", typ(`,"typ":"JWT"`), []string{"", "JWT"}, true},
		{"none, which may be", typ(``), []string{"", "JWT"}, true},
		{"none, which may not be", typ(``), []string{"JWT"}, false},
		{"none, and nothing else may be", typ(``), nil, false},
		{"another that may not be", typ(`,"typ":"at+jwt"`), []string{"", "JWT"}, false},
		{"another case", typ(`,"typ":"jwt"`), []string{"", "JWT"}, false},
		{"empty is not absent", typ(`,"typ":""`), []string{"", "JWT"}, false},
		{"null is not absent", typ(`,"typ":null`), []string{"", "JWT"}, false},
		{"a list is not absent", typ(`,"typ":[]`), []string{"", "JWT"}, false},
		{"TYP is not typ", typ(`,"TYP":"JWT"`), []string{"", "JWT"}, false},
		{"another parameter in its place", typ(`,"cty":"JWT"`), []string{"", "JWT"}, false},
		{"crit in its place", typ(`,"crit":["exp"]`), []string{"", "JWT"}, false},
		{"jwk in its place", typ(`,"jwk":{}`), []string{"", "JWT"}, false},
		{"no kid either", es.sign(t, `{"alg":"ES256"}`, goodClaims), []string{"", "JWT"}, false},
		{"typ in the place of kid", es.sign(t, `{"alg":"ES256","typ":"JWT"}`, goodClaims), []string{"", "JWT"}, false},
		{"alg none", es.sign(t, `{"alg":"none","kid":"k"}`, goodClaims), []string{"", "JWT"}, false},
	}
	for _, test := range tests {
		e := expect(newClock())
		e.OtherTypes = test.others
		if !test.pass {
			wantRefused(t, test.name, test.token, setOf(t, es.jwk), e)
		} else if claims, err := Verify(t.Context(), test.token, setOf(t, es.jwk), e); err != nil || string(claims) != goodClaims {
			t.Errorf("%s: %s, %v", test.name, claims, err)
		}
	}
	e := expect(newClock()) // others without a type are no way around saying what is expected
	e.Type, e.OtherTypes = "", []string{""}
	wantRefused(t, "no type expected", typ(``), setOf(t, es.jwk), e)
}

func TestUnverified(t *testing.T) {
	es := newES256(t, "k")
	good := es.sign(t, goodHeader, `{"sub":"a","n":1,"Iss":"b"}`)
	part := strings.Split(good, ".")
	if got, err := Unverified(good, "sub"); got != "a" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for name, token := range map[string]string{
		"empty":            "",
		"long":             strings.Repeat("A", maxToken+1),
		"no signature":     part[0] + "." + part[1] + ".",
		"a JWE":            good + ".AAAA.AAAA",
		"a doubled claim":  es.sign(t, goodHeader, `{"sub":"a","sub":"b"}`),
		"doubled by case":  es.sign(t, goodHeader, `{"sub":"a","SUB":"b"}`),
		"another case":     es.sign(t, goodHeader, `{"SUB":"a"}`),
		"no text":          es.sign(t, goodHeader, `{"sub":["a"]}`),
		"null":             es.sign(t, goodHeader, `{"sub":null}`),
		"absent":           es.sign(t, goodHeader, `{}`),
		"no object":        es.sign(t, goodHeader, `"sub"`),
		"jku":              es.sign(t, `{"alg":"ES256","kid":"k","jku":"https://attacker.example/"}`, `{"sub":"a"}`),
		"a padded segment": part[0] + "." + part[1] + "=." + part[2],
	} {
		if got, err := Unverified(token, "sub"); got != "" || !errors.Is(err, ErrToken) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func FuzzUnverified(f *testing.F) {
	es := newES256(f, "k")
	f.Add(es.sign(f, goodHeader, goodClaims), "iss")
	f.Add(es.sign(f, `{"alg":"ES256","kid":"k"}`, `{"sub":"a","a":[{}]}`), "sub")
	f.Add("a..b", "")
	f.Fuzz(func(t *testing.T, token, claim string) {
		if got, err := Unverified(token, claim); err != nil && (got != "" || !errors.Is(err, ErrToken)) {
			t.Errorf("%q, %v", got, err)
		}
	})
}
