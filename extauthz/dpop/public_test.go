package dpop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
)

type keyTest struct {
	name, header, cause string
	by                  pair // whose signature it has
}

func (k keyTest) run(t *testing.T) {
	t.Run(k.name, func(t *testing.T) { wantRefused(t, k.by.sign(t, k.header, goodClaims(t)), k.by.want(), k.cause) })
}

func (p pair) headerWith(t testing.TB, name string, value any) string {
	return headerOf(p.alg.String(), p.jwkWith(t, name, value))
}

func number(raw ...byte) string { return b64.EncodeToString(raw) }

// RFC 9449, 4.3, 7, and what makes a key have one thumbprint.
func TestEmbeddedEC(t *testing.T) {
	es, ps := newES256(t), newPS256(t)
	x := must[[]byte](t)(decode(es.jwk["x"].(string)))
	tests := []keyTest{
		{"no jwk", `{"typ":"dpop+jwt","alg":"ES256","x":1}`, "no jwk", es},
		{"jwk null", headerOf("ES256", "null"), "jwk", es},
		{"jwk a list", headerOf("ES256", "["+es.jwkJSON(t)+"]"), "jwk", es},
		{"jwk a URL", headerOf("ES256", `"https://attacker.example/jwk"`), "jwk", es},
		{"doubled x", headerOf("ES256", es.jwkJSON(t)[:1]+`"x":"AA",`+es.jwkJSON(t)[1:]), "doubled", es},
		{"x a number", es.headerWith(t, "x", 1), "no text", es},
		{"no x", es.headerWith(t, "x", nil), "no x", es},
		{"no y", es.headerWith(t, "y", nil), "no y", es},
		{"no kty", es.headerWith(t, "kty", nil), "no kty", es},
		{"no crv", es.headerWith(t, "crv", nil), "no crv", es},
		{"another crv", es.headerWith(t, "crv", "P-384"), "P-256", es},
		{"crv in another case", es.headerWith(t, "crv", "p-256"), "P-256", es},
		{"another kty", es.headerWith(t, "kty", "RSA"), "P-256", es},
		{"x with a zero before", es.headerWith(t, "x", number(append([]byte{0}, x...)...)), "32 bytes", es},
		{"x too short", es.headerWith(t, "x", number(x[1:]...)), "32 bytes", es},
		{"x with padding", es.headerWith(t, "x", es.jwk["x"].(string)+"="), "32 bytes", es},
		{"x with a line break", es.headerWith(t, "x", es.jwk["x"].(string)+"\n"), "32 bytes", es},
		{"a point off the curve", es.headerWith(t, "y", es.jwk["x"]), "on the curve", es},
		{"no point", headerOf("ES256", `{"kty":"EC","crv":"P-256","x":"`+number(make([]byte, 32)...)+`","y":"`+number(make([]byte, 32)...)+`"}`), "on the curve", es},
		{"a private key's d", es.headerWith(t, "d", number(x...)), "a public key", es},
		{"d null", headerOf("ES256", es.jwkJSON(t)[:1]+`"d":null,`+es.jwkJSON(t)[1:]), "a public key", es},
		{"a symmetric k", es.headerWith(t, "k", "AA"), "a public key", es},
		{"a symmetric key", headerOf("ES256", `{"kty":"oct","k":"AA"}`), "jwk", es},
		{"x5u in the key", es.headerWith(t, "x5u", "https://attacker.example/"), "a public key", es},
		{"x5c in the key", es.headerWith(t, "x5c", []string{"AA"}), "a public key", es},
		{"jku in the key", es.headerWith(t, "jku", "https://attacker.example/"), "a public key", es},
		{"a key for encryption", es.headerWith(t, "use", "enc"), "use", es},
		{"a key for another alg", es.headerWith(t, "alg", "ES384"), "alg is another", es},
		{"an RSA key for ES256", headerOf("ES256", ps.jwkJSON(t)), "a public key", ps},
		{"an EC key for PS256", headerOf("PS256", es.jwkJSON(t)), "a public key", es},
	}
	for _, test := range tests {
		test.run(t)
	}
}

func TestEmbeddedRSA(t *testing.T) {
	ps := newPS256(t)
	n := must[[]byte](t)(decode(ps.jwk["n"].(string)))
	tests := []keyTest{
		{"no n", ps.headerWith(t, "n", nil), "no n", ps},
		{"no e", ps.headerWith(t, "e", nil), "no e", ps},
		{"another kty than RSA", ps.headerWith(t, "kty", "EC"), "RSA", ps},
		{"n with a zero before", ps.headerWith(t, "n", number(append([]byte{0}, n...)...)), "number", ps},
		{"n even", ps.headerWith(t, "n", number(append(n[:255:255], 0)...)), "odd number", ps},
		{"n of 4097 bits", ps.headerWith(t, "n", number(append(append([]byte{1}, make([]byte, 511)...), 1)...)), "4096 bits", ps},
		{"n zero", ps.headerWith(t, "n", "AA"), "number", ps},
		{"e one", ps.headerWith(t, "e", "AQ"), "e is", ps},
		{"e even", ps.headerWith(t, "e", number(1, 0, 0)), "e is", ps},
		{"e over 31 bits", ps.headerWith(t, "e", number(0x80, 0, 0, 1)), "e is", ps},
		{"e of many bytes", ps.headerWith(t, "e", number(1, 0, 0, 0, 1)), "number", ps},
		{"e with a zero before", ps.headerWith(t, "e", number(0, 1, 0, 1)), "number", ps},
		{"n with a line break", ps.headerWith(t, "n", ps.jwk["n"].(string)+"\n"), "number", ps},
	}
	for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		tests = append(tests, keyTest{"RSA with " + member, ps.headerWith(t, member, "AA"), "a public key", ps})
	}
	for _, test := range tests {
		test.run(t)
	}
}

// Keys whose form is right but whose size or curve is not, with true signatures.
func TestWeakAndForeignKeys(t *testing.T) {
	weak := newPair(t, jwa.PS256, must[*rsa.PrivateKey](t)(rsa1024()))
	wantRefused(t, weak.sign(t, weak.header(t), goodClaims(t)), weak.want(), "2048")
	p384 := newPair(t, jwa.ES384, must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)))
	wantRefused(t, p384.sign(t, p384.header(t), goodClaims(t)), p384.want(), "alg")
	wantRefused(t, p384.sign(t, headerOf("ES256", p384.jwkJSON(t)), goodClaims(t)), p384.want(), "P-256")
	ps := newPS256(t)
	rs := newPair(t, jwa.RS256, ps.private)
	wantRefused(t, rs.sign(t, rs.header(t), goodClaims(t)), rs.want(), "alg")
	wantRefused(t, rs.sign(t, ps.header(t), goodClaims(t)), ps.want(), "signature") // RS256 that says PS256
}

// The bounds of RSA keys themselves; what is refused has a neighbour that is not.
func TestRSABounds(t *testing.T) {
	ps := newPS256(t)
	odd := func(bits int) string {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		return b64.EncodeToString(n.Add(n, big.NewInt(1)).Bytes())
	}
	for bits, want := range map[int]bool{2047: false, 2048: true, 4096: true, 4097: false} {
		if _, err := parsePublic(ps256, []byte(ps.jwkWith(t, "n", odd(bits)))); (err == nil) != want {
			t.Errorf("%d bits: %v, want %v", bits, err, want)
		}
	}
	for e, want := range map[string]bool{"AQ": false, "Aw": true, "BA": false, "f____w": true, "gAAAAQ": false} {
		if _, err := parsePublic(ps256, []byte(ps.jwkWith(t, "e", e))); (err == nil) != want {
			t.Errorf("e %s: %v, want %v", e, err, want)
		}
	}
}
