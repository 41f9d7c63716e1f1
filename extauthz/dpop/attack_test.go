package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// RFC 9449, 4.3, 1 and 2.
func TestHeaderLines(t *testing.T) {
	es, m := newES256(t), newMarks()
	a := es.sign(t, es.header(t), claimsWith(t, "jti", "a"))
	b := es.sign(t, es.header(t), claimsWith(t, "jti", "b"))
	for name, lines := range map[string][]string{
		"none":                      nil,
		"two":                       {a, b},
		"the same twice":            {a, a},
		"a good one and an empty":   {a, ""},
		"one empty":                 {""},
		"two that a proxy joined":   {a + "," + b},
		"two that a proxy joined 2": {a + ", " + b},
	} {
		if _, err := m.verifier().Verify(t.Context(), lines, es.want()); !errors.Is(err, ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must[Verified](t)(m.verifier().Verify(t.Context(), []string{a}, es.want()))
}

// RFC 9449, 4.3, 2: one well-formed compact JWS. Neither size nor dots nor a JWE come any further.
func TestForms(t *testing.T) {
	es := newES256(t)
	good := es.sign(t, es.header(t), goodClaims(t))
	part := strings.Split(good, ".")
	wantPassed(t, good, es.want())
	tests := []struct{ name, proof, cause string }{
		{"one segment", part[0], "three segments"},
		{"two segments", part[0] + "." + part[1], "three segments"},
		{"four segments", good + ".x", "three segments"},
		{"a JWE", good + ".AAAA.AAAA", "three segments"},
		{"many dots", strings.Repeat(".", maxProof), "three segments"},
		{"too long", es.sign(t, es.header(t), claimsWith(t, "pad", strings.Repeat("x", maxProof))), "too long"},
		{"far too long", strings.Repeat("A", 1<<20), "too long"},
		{"only dots", "..", "segment 1"},
		{"no header", "." + part[1] + "." + part[2], "segment 1"},
		{"no payload", part[0] + ".." + part[2], "segment 2"},
		{"no signature", part[0] + "." + part[1] + ".", "segment 3"},
		{"padding", part[0] + "." + base64.URLEncoding.EncodeToString([]byte(goodClaims(t)+" ")) + "=." + part[2], "segment 2"},
		{"a line break", part[0] + ".\n" + part[1] + "." + part[2], "segment 2"},
		{"a line break at the end", good + "\r\n", "segment 3"},
		{"a space before", " " + good, "segment 1"},
		{"the scheme before", "DPoP " + good, "segment 1"},
		{"the standard alphabet", part[0] + "." + part[1] + "." + strings.Repeat("+/", 43), "segment 3"},
		{"JSON serialization", `{"payload":"` + part[1] + `","protected":"` + part[0] + `","signature":"` + part[2] + `"}`, "three segments"},
		{"bytes beyond ASCII", part[0] + "é." + part[1] + "." + part[2], "segment 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { wantRefused(t, test.proof, es.want(), test.cause) })
	}
}

// All of these are signed by the right key wherever that is possible, so that nothing but their header can refuse them.
func TestHeaders(t *testing.T) {
	es := newES256(t)
	jwk := es.jwkJSON(t)
	plus := func(members string) string {
		return `{"typ":"dpop+jwt","alg":"ES256","jwk":` + jwk + "," + members + "}"
	}
	typ := func(value string) string { return `{"typ":` + value + `,"alg":"ES256","jwk":` + jwk + `}` }
	tests := []struct{ name, header, cause string }{
		{"typ of a UCT", typ(`"uct+jwt"`), "typ"}, // RFC 8725, 3.11: no other token is a proof
		{"typ of an access token", typ(`"at+jwt"`), "typ"},
		{"typ of an ID token", typ(`"JWT"`), "typ"},
		{"typ of a logout token", typ(`"logout+jwt"`), "typ"},
		{"typ in another case", typ(`"DPoP+jwt"`), "typ"},
		{"typ with application", typ(`"application/dpop+jwt"`), "typ"},
		{"typ a list", typ(`["dpop+jwt"]`), "typ"},
		{"typ null", typ(`null`), "typ"},
		{"no typ", `{"alg":"ES256","jwk":` + jwk + `}`, "typ"},
		{"TYP", `{"TYP":"dpop+jwt","alg":"ES256","jwk":` + jwk + `}`, "typ"},

		{"alg none", headerOf("none", jwk), "alg"}, // RFC 9449, 4.3, 5
		{"alg None", headerOf("None", jwk), "alg"},
		{"alg HS256", headerOf("HS256", jwk), "alg"},
		{"alg RS256", headerOf("RS256", jwk), "alg"},
		{"alg ES384", headerOf("ES384", jwk), "alg"},
		{"alg EdDSA", headerOf("EdDSA", jwk), "alg"},
		{"alg in another case", headerOf("es256", jwk), "alg"},
		{"alg empty", headerOf("", jwk), "alg"},
		{"alg a list", `{"typ":"dpop+jwt","alg":["ES256"],"jwk":` + jwk + `}`, "alg"},
		{"alg of another key", headerOf("PS256", jwk), "jwk"},
		{"no alg", `{"typ":"dpop+jwt","x":1,"jwk":` + jwk + `}`, "alg"},

		{"kid", plus(`"kid":"k"`), "must not have"},
		{"crit", plus(`"crit":["exp"]`), "must not have"},
		{"crit, empty", plus(`"crit":[]`), "must not have"},
		{"b64", plus(`"b64":false`), "must not have"},
		{"jku", plus(`"jku":"https://attacker.example/jwks"`), "must not have"},
		{"x5u", plus(`"x5u":"https://attacker.example/cert"`), "must not have"},
		{"x5c", plus(`"x5c":[]`), "must not have"},
		{"zip", plus(`"zip":"DEF"`), "must not have"},
		{"p2c", plus(`"p2c":2147483647`), "must not have"},
		{"cty", plus(`"cty":"JWT"`), "must not have"},

		{"doubled alg", plus(`"alg":"ES256"`), "doubled"}, // RFC 7515, 4
		{"doubled jwk", plus(`"jwk":` + jwk), "doubled"},
		{"doubled by an escape", plus(`"\u0061lg":"ES256"`), "doubled"},
		{"an array", `["ES256"]`, "not a JSON object"},
		{"a string", `"ES256"`, "not a JSON object"},
		{"null", `null`, "not a JSON object"},
		{"two objects", es.header(t) + es.header(t), "not a JSON object"},
		{"not UTF-8", typ("\"\xff\""), "not a JSON object"},
		{"deep", strings.Repeat(`{"a":`, 900) + "1" + strings.Repeat("}", 900), "typ"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantRefused(t, es.sign(t, test.header, goodClaims(t)), es.want(), "header: ")
			wantRefused(t, es.sign(t, test.header, goodClaims(t)), es.want(), test.cause)
		})
	}
}

// RFC 7515, 4: what nobody knows means nothing, in another spelling of a known name too.
func TestUnknownHeaderParametersMeanNothing(t *testing.T) {
	es := newES256(t)
	for _, members := range []string{`"x":1`, `"JWK":{}`, `"ALG":"none"`, `"Typ":"JWT"`, `"KID":"k"`} {
		header := `{"typ":"dpop+jwt","alg":"ES256","jwk":` + es.jwkJSON(t) + "," + members + "}"
		if _, err := newMarks().verifier().Verify(t.Context(), []string{es.sign(t, header, goodClaims(t))}, es.want()); err != nil {
			t.Errorf("%s: %v", members, err)
		}
	}
}

func TestClaims(t *testing.T) {
	es := newES256(t)
	tests := []struct{ name, claims, cause string }{
		{"no jti", claimsWith(t, "jti", nil), "jti"},
		{"jti empty", claimsWith(t, "jti", ""), "jti"},
		{"jti a number", claimsWith(t, "jti", 1), "jti"},
		{"jti too long", claimsWith(t, "jti", strings.Repeat("j", maxID+1)), "jti is too long"},
		{"no htm", claimsWith(t, "htm", nil), "htm"},
		{"htm empty", claimsWith(t, "htm", ""), "htm"},
		{"htm in small letters", claimsWith(t, "htm", "post"), "htm is another"},
		{"htm with a space", claimsWith(t, "htm", "POST "), "htm is another"},
		{"another htm", claimsWith(t, "htm", "GET"), "htm is another"},
		{"no htu", claimsWith(t, "htu", nil), "htu"},
		{"htu a list", claimsWith(t, "htu", []string{url}), "htu"},
		{"another htu", claimsWith(t, "htu", "https://attacker.example/"), "htu is another"},
		{"htu relative", claimsWith(t, "htu", "/issues/rest/api/issue/X-1"), "htu: "},
		{"no iat", claimsWith(t, "iat", nil), "iat"},
		{"iat a text", claimsWith(t, "iat", "1798859045"), "iat"},
		{"iat with a fraction", strings.Replace(goodClaims(t), `"iat":1798859045`, `"iat":1798859045.0`, 1), "iat is no"},
		{"iat with an exponent", strings.Replace(goodClaims(t), `"iat":1798859045`, `"iat":1.798859045e9`, 1), "iat is no"},
		{"iat negative", claimsWith(t, "iat", -1), "iat is no"},
		{"iat beyond all years", strings.Replace(goodClaims(t), `"iat":1798859045`, `"iat":9223372036854775808`, 1), "iat is no"},
		{"iat null", strings.Replace(goodClaims(t), `"iat":1798859045`, `"iat":null`, 1), "iat is no"},
		{"iat in milliseconds", claimsWith(t, "iat", start.Unix()*1000), "iat"},
		{"iat zero", claimsWith(t, "iat", 0), "too long ago"},
		{"no ath", claimsWith(t, "ath", nil), "no ath"},
		{"ath empty", claimsWith(t, "ath", ""), "ath"},
		{"ath null", strings.Replace(claimsWith(t, "ath", "A"), `"A"`, `null`, 1), "ath"},
		{"ath of another token", claimsWith(t, "ath", tokenHash("another")), "ath is another"},
		{"ath with padding", claimsWith(t, "ath", tokenHash(token)+"="), "ath is another"},
		{"ath is the token", claimsWith(t, "ath", token), "ath is another"},
		{"nonce empty", claimsWith(t, "nonce", ""), "nonce"},
		{"nonce a number", claimsWith(t, "nonce", 1), "nonce"},
		{"JTI instead", claimsWith(t, "jti", nil)[:1] + `"JTI":"a",` + claimsWith(t, "jti", nil)[1:], "jti"},
		{"doubled htu", goodClaims(t)[:1] + `"htu":"https://attacker.example/",` + goodClaims(t)[1:], "doubled"}, // RFC 7519, 4
		{"doubled by an escape", goodClaims(t)[:1] + `"ht\u0075":"https://attacker.example/",` + goodClaims(t)[1:], "doubled"},
		{"empty", `{}`, "jti"},
		{"an array", `[]`, "not a JSON object"},
		{"more behind", goodClaims(t) + "x", "not a JSON object"},
		{"not UTF-8", claimsWith(t, "jti", "a")[:1] + "\"x\":\"\xff\"," + claimsWith(t, "jti", "a")[1:], "not a JSON object"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantRefused(t, es.sign(t, es.header(t), test.claims), es.want(), test.cause)
		})
	}
	wantPassed(t, es.sign(t, es.header(t), claimsWith(t, "jti", strings.Repeat("j", maxID))), es.want())
}

// RFC 9449, 4.3, 6.
func TestSignatures(t *testing.T) {
	es, other, ps := newES256(t), newES256(t), newPS256(t)
	good := es.sign(t, es.header(t), goodClaims(t))
	input := good[:strings.LastIndexByte(good, '.')]
	signed := func(signature []byte) string { return input + "." + b64.EncodeToString(signature) }
	raw := must[[]byte](t)(decode(good[len(input)+1:]))
	mac := hmac.New(sha256.New, must[[]byte](t)(json.Marshal(es.jwk)))
	mac.Write([]byte(input))
	order := elliptic.P256().Params().N.FillBytes(make([]byte, 32))
	der := must[[]byte](t)(ecdsa.SignASN1(rand.Reader, es.private.(*ecdsa.PrivateKey), make([]byte, 32)))
	for name, proof := range map[string]string{
		"another's over this key":  other.sign(t, es.header(t), goodClaims(t)),
		"zeros (r = s = 0)":        signed(make([]byte, 64)),
		"r = s = the order":        signed(append(order[:32:32], order...)),
		"too short":                signed(raw[:63]),
		"too long":                 signed(append(raw[:64:64], 0)),
		"a zero before s":          signed(slices.Concat(raw[:32], []byte{0}, raw[32:])),
		"ASN.1":                    signed(der),
		"HMAC with the public key": signed(mac.Sum(nil)),
		"another proof's":          signed(must[[]byte](t)(decode(strings.Split(es.sign(t, es.header(t), "{}"), ".")[2]))),
		"one byte":                 signed([]byte{1}),
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, proof, es.want(), "signature") })
	}
	wantRefused(t, es.sign(t, ps.header(t), goodClaims(t)), ps.want(), "signature")
	psGood := ps.sign(t, ps.header(t), goodClaims(t))
	psInput := psGood[:strings.LastIndexByte(psGood, '.')]
	digest := sha256.Sum256([]byte(psInput))
	salted := must[[]byte](t)(rsa.SignPSS(rand.Reader, ps.private.(*rsa.PrivateKey), crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: 20}))
	wantRefused(t, psInput+"."+b64.EncodeToString(salted), ps.want(), "signature") // RFC 7518, 3.5
}

// A second signature is easily made of a good one (n - s). It passes for the same proof, so it must be spent with it.
func TestTurnedSignatureIsSpent(t *testing.T) {
	es, m := newES256(t), newMarks()
	good := es.sign(t, es.header(t), goodClaims(t))
	raw := must[[]byte](t)(decode(good[strings.LastIndexByte(good, '.')+1:]))
	s := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(raw[32:]))
	turned := good[:strings.LastIndexByte(good, '.')+1] + b64.EncodeToString(append(raw[:32:32], s.FillBytes(make([]byte, 32))...))
	must[Verified](t)(m.verifier().Verify(t.Context(), []string{good}, es.want()))
	if _, err := m.verifier().Verify(t.Context(), []string{turned}, es.want()); !errors.Is(err, ErrSeen) {
		t.Errorf("error %v, want ErrSeen", err)
	}
}

// One turned bit anywhere is refused.
func TestTurnedBits(t *testing.T) {
	es, m := newES256(t), newMarks()
	good := es.sign(t, es.header(t), goodClaims(t))
	for i := range len(good) {
		spoiled := []byte(good)
		spoiled[i] ^= 1 << (i % 8)
		if _, err := m.verifier().Verify(t.Context(), []string{string(spoiled)}, es.want()); !errors.Is(err, ErrProof) {
			t.Errorf("position %d: %v", i, err)
		}
	}
	must[Verified](t)(m.verifier().Verify(t.Context(), []string{good}, es.want()))
}

func TestErrorsHoldNothingOfTheProof(t *testing.T) {
	es := newES256(t)
	for _, proof := range []string{
		"canary.canary.canary",
		es.sign(t, `{"typ":"canary"}`, goodClaims(t)),
		es.sign(t, headerOf("canary", es.jwkJSON(t)), goodClaims(t)),
		es.sign(t, headerOf("ES256", es.jwkWith(t, "canary", 1)), goodClaims(t)),
		es.sign(t, headerOf("ES256", es.jwkWith(t, "x", "canary")), goodClaims(t)),
		es.sign(t, es.header(t), claimsWith(t, "htm", "canary")),
		es.sign(t, es.header(t), claimsWith(t, "htu", "https://canary.example:canary/")),
		es.sign(t, es.header(t), claimsWith(t, "ath", "canary")),
		es.sign(t, es.header(t), `{"canary":1,"canary":2}`),
	} {
		_, err := newMarks().verifier().Verify(t.Context(), []string{proof}, es.want())
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("error %v", err)
		}
	}
}
