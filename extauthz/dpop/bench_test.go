package dpop

import (
	"context"
	"testing"
	"time"
)

// forgets is a Replay that costs nothing, so that one proof can be measured again and again.
type forgets struct{}

func (forgets) Add(context.Context, string, time.Time) error { return nil }

func benchVerifier() Verifier {
	v := newMarks().verifier()
	v.Replay = forgets{}
	return v
}

func BenchmarkMake(b *testing.B) {
	key, p := must[Key](b)(Generate()), Proof{Method: method, URL: url, AccessToken: token, Now: start}
	for b.Loop() {
		must[string](b)(key.Make(p))
	}
}

// BenchmarkParseAndMake is what a proof costs whose key comes out of a sealed value.
func BenchmarkParseAndMake(b *testing.B) {
	scalar, p := must[Key](b)(Generate()).Marshal(), Proof{Method: method, URL: url, AccessToken: token, Now: start}
	for b.Loop() {
		must[string](b)(must[Key](b)(ParseKey(scalar)).Make(p))
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, p := range []pair{newES256(b), newPS256(b)} {
		b.Run(p.alg.String(), func(b *testing.B) {
			v, proofs := benchVerifier(), []string{p.sign(b, p.header(b), goodClaims(b))}
			for b.Loop() {
				must[Verified](b)(v.Verify(b.Context(), proofs, p.want()))
			}
		})
	}
}

// BenchmarkRefuse is the cost of a stranger's proof at a resource: all of the form, none of the signature.
func BenchmarkRefuse(b *testing.B) {
	es, other := newES256(b), newES256(b)
	v, proofs := benchVerifier(), []string{es.sign(b, es.header(b), goodClaims(b))}
	for b.Loop() {
		if _, err := v.Verify(b.Context(), proofs, other.want()); err == nil {
			b.Fatal("passed")
		}
	}
}
