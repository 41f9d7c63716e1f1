package keys

import (
	"strings"
	"testing"
	"time"
)

func BenchmarkSeal(b *testing.B) {
	s, plaintext := openSealers(b, newClock()), make([]byte, 512)
	for b.Loop() {
		s.Seal("flow", "host", plaintext)
	}
}

func BenchmarkOpen(b *testing.B) {
	s := openSealers(b, newClock())
	sealed := s.Seal("flow", "host", make([]byte, 512))
	for b.Loop() {
		must[[]byte](b)(s.Open("flow", "host", sealed))
	}
}

func BenchmarkSign(b *testing.B) {
	s := must[*Signers](b)(OpenSigners(b.TempDir(), time.Now))
	for b.Loop() {
		must[string](b)(s.Sign("uct+jwt", []byte(goodClaims)))
	}
}

func BenchmarkVerify(b *testing.B) {
	c := newClock()
	s := must[*Signers](b)(OpenSigners(b.TempDir(), c.now))
	token := must[string](b)(s.Sign("uct+jwt", []byte(goodClaims)))
	for b.Loop() {
		must[[]byte](b)(Verify(b.Context(), token, s, expect(c)))
	}
}

// BenchmarkRefuse is the cost of a stranger's token: all of the form, none of the cryptography.
func BenchmarkRefuse(b *testing.B) {
	es := newES256(b, "k")
	keys, e := setOf(b, es.jwk), expect(newClock())
	token := es.sign(b, strings.Replace(goodHeader, "uct", "at", 1), goodClaims)
	for b.Loop() {
		if _, err := Verify(b.Context(), token, keys, e); err == nil {
			b.Fatal("passed")
		}
	}
}
