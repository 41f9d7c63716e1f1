package keys

import (
	"context"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
)

// forbidden is a KeySource that no refused form may reach: looking for a key may be a fetch.
func forbidden(t *testing.T) KeySource {
	return sourceFunc(func(context.Context, string) (Key, error) {
		t.Helper()
		t.Error("a key was looked for")
		return Key{}, errors.New("forbidden")
	})
}

// Each of these is signed by the right key wherever that is possible, so that nothing but its form can refuse it. None may
// come as far as a key.
func TestForms(t *testing.T) {
	es := newES256(t, "k")
	good := es.sign(t, goodHeader, goodClaims)
	must[[]byte](t)(Verify(t.Context(), good, setOf(t, es.jwk), expect(newClock())))
	part := strings.Split(good, ".")
	head := func(h string) string { return es.sign(t, h, goodClaims) }
	plus := func(members string) string { return head(`{"alg":"ES256","kid":"k","typ":"uct+jwt",` + members + `}`) }
	ownJWK := string(must[[]byte](t)(json.Marshal(es.jwk)))
	padded := base64.URLEncoding.EncodeToString([]byte(goodHeader))

	tests := map[string]string{
		"empty":                 "",
		"one segment":           part[0],
		"two segments":          part[0] + "." + part[1],
		"four segments":         good + ".x",
		"JWE":                   good + ".AAAA.AAAA",
		"a JWE's header":        head(`{"alg":"dir","enc":"A256GCM","kid":"k"}`),
		"many dots":             strings.Repeat(".", maxToken),
		"many segments":         strings.Repeat("a.", maxToken/2),
		"huge":                  es.sign(t, goodHeader, `{"pad":"`+strings.Repeat("x", maxToken)+`"}`),
		"huge number of bytes":  strings.Repeat("A", 1<<20),
		"no header":             "." + part[1] + "." + part[2],
		"no payload":            part[0] + ".." + part[2],
		"no signature":          part[0] + "." + part[1] + ".",
		"only dots":             "..",
		"padding":               padded + "=." + part[1] + "." + part[2],
		"a line break":          part[0] + ".\n" + part[1] + "." + part[2],
		"a line break at end":   good + "\r\n",
		"a space":               " " + good,
		"Bearer":                "Bearer " + good,
		"standard alphabet":     part[0] + "." + part[1] + "." + strings.Repeat("+/", 43),
		"stray bits at the end": good[:len(good)-1] + string(good[len(good)-1]+1),
		"JSON serialization":    `{"payload":"` + part[1] + `","protected":"` + part[0] + `","signature":"` + part[2] + `"}`,

		"alg none":             b64.EncodeToString([]byte(`{"alg":"none","kid":"k","typ":"uct+jwt"}`)) + "." + part[1] + ".",
		"alg none, signed":     head(`{"alg":"none","kid":"k","typ":"uct+jwt"}`),
		"alg None, signed":     head(`{"alg":"None","kid":"k","typ":"uct+jwt"}`),
		"alg in another case":  head(`{"alg":"es256","kid":"k","typ":"uct+jwt"}`),
		"alg ES384":            head(`{"alg":"ES384","kid":"k","typ":"uct+jwt"}`),
		"alg empty":            head(`{"alg":"","kid":"k","typ":"uct+jwt"}`),
		"alg null":             head(`{"alg":null,"kid":"k","typ":"uct+jwt"}`),
		"alg a list":           head(`{"alg":["ES256"],"kid":"k","typ":"uct+jwt"}`),
		"no alg":               head(`{"kid":"k","typ":"uct+jwt"}`),
		"no kid":               head(`{"alg":"ES256","typ":"uct+jwt"}`),
		"kid empty":            head(`{"alg":"ES256","kid":"","typ":"uct+jwt"}`),
		"kid a number":         head(`{"alg":"ES256","kid":1,"typ":"uct+jwt"}`),
		"no typ":               head(`{"alg":"ES256","kid":"k"}`),
		"another typ":          head(`{"alg":"ES256","kid":"k","typ":"at+jwt"}`),
		"typ JWT":              head(`{"alg":"ES256","kid":"k","typ":"JWT"}`),
		"typ in another case":  head(`{"alg":"ES256","kid":"k","typ":"UCT+jwt"}`),
		"typ with application": head(`{"alg":"ES256","kid":"k","typ":"application/uct+jwt"}`),
		"TYP":                  head(`{"alg":"ES256","kid":"k","TYP":"uct+jwt"}`),

		"crit":             plus(`"crit":["exp"],"exp":1`),
		"crit, empty":      plus(`"crit":[]`),
		"jku":              plus(`"jku":"https://attacker.example/jwks"`),
		"x5u":              plus(`"x5u":"https://attacker.example/cert"`),
		"x5c":              plus(`"x5c":[]`),
		"x5t":              plus(`"x5t":"AA"`),
		"jwk":              plus(`"jwk":` + ownJWK),
		"zip":              plus(`"zip":"DEF"`),
		"b64":              plus(`"b64":false,"crit":["b64"]`),
		"p2c":              plus(`"p2c":2147483647,"p2s":"AA"`),
		"cty":              plus(`"cty":"JWT"`),
		"unknown":          plus(`"x":1`),
		"doubled alg":      plus(`"alg":"ES256"`),
		"doubled kid":      head(`{"alg":"ES256","kid":"other","kid":"k","typ":"uct+jwt"}`),
		"doubled by case":  plus(`"KID":"other"`),
		"header an array":  head(`["ES256"]`),
		"header a string":  head(`"ES256"`),
		"header null":      head(`null`),
		"header and more":  head(goodHeader + goodHeader),
		"header not UTF-8": head("{\"alg\":\"ES256\",\"kid\":\"\xff\",\"typ\":\"uct+jwt\"}"),
		"header deep":      head(strings.Repeat(`{"a":`, 900) + "1" + strings.Repeat("}", 900)),
	}
	for name, token := range tests {
		t.Run(name, func(t *testing.T) {
			wantRefused(t, name, token, forbidden(t), expect(newClock()))
		})
	}
}

// The old confusion: HMAC keyed with what everybody may know of the public key.
func TestPublicKeyAsSecret(t *testing.T) {
	es := newES256(t, "k")
	key, _ := setOf(t, es.jwk).Key(t.Context(), "k")
	der := must[[]byte](t)(x509.MarshalPKIXPublicKey(key.public))
	point := must[[]byte](t)(key.public.(*ecdsa.PublicKey).Bytes())
	secrets := [][]byte{der, point, jwksOf(t, es.jwk), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil}
	for _, secret := range secrets {
		for _, alg := range []string{"HS256", "ES256"} {
			input := b64.EncodeToString([]byte(strings.Replace(goodHeader, "ES256", alg, 1))) + "." + b64.EncodeToString([]byte(goodClaims))
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(input))
			token := input + "." + b64.EncodeToString(mac.Sum(nil))
			for _, algorithms := range [][]string{nil, {"ES256", "HS256"}} { // even where somebody configures it
				e := expect(newClock())
				e.Algorithms = algorithms
				wantRefused(t, alg, token, setOf(t, es.jwk), e)
			}
		}
	}
}

func TestSignatures(t *testing.T) {
	es, other := newES256(t, "k"), newES256(t, "k")
	keys, e := setOf(t, es.jwk), expect(newClock())
	good := es.sign(t, goodHeader, goodClaims)
	input := good[:strings.LastIndexByte(good, '.')+1]
	for name, token := range map[string]string{
		"another's key under this id": other.sign(t, goodHeader, goodClaims),
		"an unknown id":               es.sign(t, strings.Replace(goodHeader, `"k"`, `"x"`, 1), goodClaims),
		"zeroes (r = s = 0)":          input + b64.EncodeToString(make([]byte, 64)),
		"too short":                   input + b64.EncodeToString(make([]byte, 63)),
		"too long":                    input + b64.EncodeToString(make([]byte, 65)),
		"one byte":                    input + "AA",
		"another token's":             input + otherSignature(t, es),
	} {
		wantRefused(t, name, token, keys, e)
	}
	flipped(good, func(i int, spoiled string) {
		if _, err := Verify(t.Context(), spoiled, keys, e); !errors.Is(err, ErrToken) {
			t.Errorf("a flipped bit at position %d: %v", i, err)
		}
	})
}

func otherSignature(t *testing.T, p pair) string {
	token := p.sign(t, goodHeader, `{}`)
	return token[strings.LastIndexByte(token, '.')+1:]
}

func TestErrorsHoldNothingOfTheToken(t *testing.T) {
	es := newES256(t, "k")
	for _, token := range []string{
		"canary.canary.canary",
		es.sign(t, `{"alg":"canary","kid":"canary","typ":"canary"}`, goodClaims),
		es.sign(t, `{"alg":"ES256","kid":"canary","typ":"uct+jwt"}`, goodClaims),
		es.sign(t, `{"alg":"ES256","kid":"k","typ":"uct+jwt","canary":1}`, goodClaims),
		es.sign(t, goodHeader, `{"iss":"canary"}`),
		es.sign(t, goodHeader, `{"canary":1,"canary":2}`),
	} {
		if _, err := Verify(t.Context(), token, setOf(t, es.jwk), expect(newClock())); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("error %v", err)
		}
	}
}
