package keys

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func wantRefused(t *testing.T, what, token string, keys KeySource, e Expect) {
	t.Helper()
	claims, err := Verify(t.Context(), token, keys, e)
	if !errors.Is(err, ErrToken) || errors.Is(err, ErrKeys) || claims != nil {
		t.Errorf("%s: claims %q, %v, want ErrToken", what, claims, err)
	}
}

const goodHeader = `{"alg":"ES256","kid":"k","typ":"uct+jwt"}`

func TestVerifyAlgorithms(t *testing.T) {
	es, ps := newES256(t, "k"), newPS256(t, "p")
	psHeader := `{"alg":"PS256","kid":"p","typ":"uct+jwt"}`
	keys := setOf(t, es.jwk, ps.jwk)
	esToken, psToken := es.sign(t, goodHeader, goodClaims), ps.sign(t, psHeader, goodClaims)
	tests := []struct {
		name, token string
		algorithms  []string
		pass        bool
	}{
		{"ES256 by default", esToken, nil, true},
		{"ES256 by name", esToken, []string{"PS256", "ES256"}, true},
		{"PS256 by name", psToken, []string{"PS256", "ES256"}, true},
		{"PS256 not by default", psToken, nil, false},
		{"ES256 where PS256 is wanted", esToken, []string{"PS256"}, false},
		{"ES256 in the header, an RSA key", ps.sign(t, `{"alg":"ES256","kid":"p","typ":"uct+jwt"}`, goodClaims), []string{"PS256", "ES256"}, false},
		{"PS256 in the header, an EC key", es.sign(t, `{"alg":"PS256","kid":"k","typ":"uct+jwt"}`, goodClaims), []string{"PS256", "ES256"}, false},
	}
	for _, test := range tests {
		e := expect(newClock())
		e.Algorithms = test.algorithms
		if !test.pass {
			wantRefused(t, test.name, test.token, keys, e)
		} else if claims, err := Verify(t.Context(), test.token, keys, e); err != nil || string(claims) != goodClaims {
			t.Errorf("%s: %s, %v", test.name, claims, err)
		}
	}
}

func TestVerifyExpectsSomething(t *testing.T) {
	es := newES256(t, "k")
	keys := setOf(t, es.jwk)
	header := strings.Replace(goodHeader, "uct+jwt", "", 1)
	for name, e := range map[string]Expect{
		"nothing":     {},
		"no type":     {Issuer: "https://issuer.example", Audience: "us"},
		"no issuer":   {Type: "uct+jwt", Audience: "us"},
		"no audience": {Type: "uct+jwt", Issuer: "https://issuer.example"},
	} {
		e.Now = newClock().now
		for _, iss := range []string{"", "https://issuer.example"} {
			for _, aud := range []string{"", "us"} {
				claims := `{"iss":"` + iss + `","aud":"` + aud + `","exp":1798859345}`
				wantRefused(t, name, es.sign(t, header, claims), keys, e)
				wantRefused(t, name, es.sign(t, goodHeader, claims), keys, e)
			}
		}
	}
}

func TestVerifyClaims(t *testing.T) {
	es := newES256(t, "k")
	keys := setOf(t, es.jwk)
	const rest = `"iss":"https://issuer.example","aud":"us"`
	const exp = `"exp":1798859345` // 300 s after start
	tests := []struct {
		name, claims string
		skew         time.Duration
		pass         bool
	}{
		{"all of them", goodClaims, 0, true},
		{"only what is required", `{` + rest + `,` + exp + `}`, 0, true},
		{"a fraction", `{` + rest + `,"exp":1798859345.5,"iat":1798859044.25}`, 0, true},
		{"an exponent", `{` + rest + `,"exp":1.798859345e9}`, 0, true},
		{"white space", "{ " + rest + ",\n \"exp\" : 1798859345 }", 0, true},

		{"another issuer", strings.Replace(goodClaims, "issuer.example", "issuer.example/", 1), 0, false},
		{"no issuer", `{"aud":"us",` + exp + `}`, 0, false},
		{"issuer in another case", strings.Replace(goodClaims, `"iss"`, `"ISS"`, 1), 0, false},
		{"an issuer that is an array", `{"iss":["https://issuer.example"],"aud":"us",` + exp + `}`, 0, false},
		{"another audience", strings.Replace(goodClaims, `"us"`, `"them"`, 1), 0, false},
		{"no audience", `{"iss":"https://issuer.example",` + exp + `}`, 0, false},
		{"an audience that is null", strings.Replace(goodClaims, `"us"`, `null`, 1), 0, false},
		{"an array of the audience", strings.Replace(goodClaims, `"us"`, `["us"]`, 1), 0, false},
		{"an array with the audience", strings.Replace(goodClaims, `"us"`, `["them","us"]`, 1), 0, false},
		{"the audience and more", strings.Replace(goodClaims, `"us"`, `"us them"`, 1), 0, false},

		{"no expiry", `{` + rest + `}`, 0, false},
		{"expired now", `{` + rest + `,"exp":1798859045}`, 0, false},
		{"a second left", `{` + rest + `,"exp":1798859046}`, 0, true},
		{"expired within the skew", `{` + rest + `,"exp":1798859036}`, 10 * time.Second, true},
		{"expired beyond the skew", `{` + rest + `,"exp":1798859035}`, 10 * time.Second, false},
		{"an expiry that is a string", `{` + rest + `,"exp":"1798859345"}`, 0, false},
		{"an expiry that is null", `{` + rest + `,"exp":null}`, 0, false},
		{"an expiry that is an array", `{` + rest + `,"exp":[1798859345]}`, 0, false},
		{"an expiry in milliseconds", `{` + rest + `,"exp":1798859345000}`, 0, false},
		{"an expiry beyond every number", `{` + rest + `,"exp":1e999}`, 0, false},
		{"a negative expiry", `{` + rest + `,"exp":-1}`, 0, false},
		{"issued in the future", `{` + rest + `,` + exp + `,"iat":1798859056}`, 10 * time.Second, false},
		{"issued within the skew", `{` + rest + `,` + exp + `,"iat":1798859055}`, 10 * time.Second, true},
		{"issued at a string", `{` + rest + `,` + exp + `,"iat":"1798859045"}`, 0, false},
		{"issued at null", `{` + rest + `,` + exp + `,"iat":null}`, 0, false},
		{"not yet valid", `{` + rest + `,` + exp + `,"nbf":1798859056}`, 10 * time.Second, false},
		{"not before a truth", `{` + rest + `,` + exp + `,"nbf":true}`, 0, false},

		{"a doubled claim", `{` + rest + `,` + exp + `,"sub":"a","sub":"b"}`, 0, false},
		{"a doubled claim in another case", `{` + rest + `,` + exp + `,"sub":"a","SUB":"b"}`, 0, false},
		{"a doubled claim with a long s", `{` + rest + `,` + exp + `,"sub":"a","ſub":"b"}`, 0, false},
		{"a doubled claim by escape", `{` + rest + `,` + exp + `,"sub":"a","\u0073ub":"b"}`, 0, false},
		{"a doubled claim further in", `{` + rest + `,` + exp + `,"act":{"sub":"a","sub":"b"}}`, 0, false},
		{"a doubled claim in an array", `{` + rest + `,` + exp + `,"a":[1,{"b":1,"b":2}]}`, 0, false},
		{"one name at two depths", `{` + rest + `,` + exp + `,"sub":"a","act":{"sub":"b"},"l":[{"sub":1},{"sub":2}]}`, 0, true},
		{"a doubled expiry", `{` + rest + `,"exp":1,` + exp + `}`, 0, false},
		{"deep", `{` + rest + `,` + exp + `,"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, 0, false},
		{"more after it", goodClaims + `{}`, 0, false},
		{"cut", goodClaims[:len(goodClaims)-1], 0, false},
		{"a trailing comma", `{` + rest + `,` + exp + `,}`, 0, false},
		{"no object", `["iss"]`, 0, false},
		{"null", `null`, 0, false},
		{"not UTF-8", `{` + rest + `,` + exp + ",\"a\":\"\xff\"}", 0, false},
	}
	for _, test := range tests {
		e := expect(newClock())
		e.Skew = test.skew
		token := es.sign(t, goodHeader, test.claims)
		if !test.pass {
			wantRefused(t, test.name, token, keys, e)
		} else if claims, err := Verify(t.Context(), token, keys, e); err != nil || string(claims) != test.claims {
			t.Errorf("%s: %s, %v", test.name, claims, err)
		}
	}
}

func TestVerifyByTheRealClock(t *testing.T) {
	es := newES256(t, "k")
	e := expect(nil)
	e.Now = nil
	wantRefused(t, "a token of the year 2001", es.sign(t, goodHeader, strings.Replace(goodClaims, "17988", "9988", 1)), setOf(t, es.jwk), e)
}

// sourceFunc is a KeySource that misbehaves as told.
type sourceFunc func(ctx context.Context, kid string) (Key, error)

func (f sourceFunc) Key(ctx context.Context, kid string) (Key, error) { return f(ctx, kid) }

func TestVerifyKeySources(t *testing.T) {
	es := newES256(t, "k")
	token := es.sign(t, goodHeader, goodClaims)
	good, _ := setOf(t, es.jwk).Key(t.Context(), "k")
	other, _ := setOf(t, newES256(t, "k").jwk).Key(t.Context(), "k")
	rsa, _ := setOf(t, newPS256(t, "k").jwk).Key(t.Context(), "k")
	cause := errors.New("the issuer is down")
	tests := []struct {
		name string
		key  Key
		err  error
		want error
	}{
		{"the right key", good, nil, nil},
		{"no such key", Key{}, ErrNoKey, ErrToken},
		{"no keys", Key{}, cause, ErrKeys},
		{"no time", Key{}, context.DeadlineExceeded, ErrKeys},
		{"another's key", other, nil, ErrToken},
		{"a key of another algorithm", rsa, nil, ErrToken},
		{"the zero key", Key{}, nil, ErrToken},
	}
	for _, test := range tests {
		source := sourceFunc(func(context.Context, string) (Key, error) { return test.key, test.err })
		claims, err := Verify(t.Context(), token, source, expect(newClock()))
		if !errors.Is(err, test.want) || (claims == nil) != (err != nil) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		if errors.Is(err, ErrToken) && errors.Is(err, ErrKeys) {
			t.Errorf("%s: both sentinels at once", test.name)
		}
		if test.want == ErrKeys && !errors.Is(err, test.err) {
			t.Errorf("%s: the cause is lost in %v", test.name, err)
		}
	}
}
