package profile

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"isogate/extauthz/check"
)

// manyRules expose n endpoints, and the one that is called, and look at nothing else.
func manyRules(n int) string {
	var all strings.Builder
	all.WriteString("package isogate.gateway\n\ndecision := {\"allow\": true, \"reason\": \"exposed\"}\n")
	entry := func(id, path string) {
		fmt.Fprintf(&all, `endpoints[%q] := {"product": "issues", "method": "GET", "path": %q, "query": ["fields"], "body": "none", "callers": [%q]}`+"\n", id, path, support)
	}
	entry("issue.read", "/rest/api/issue/{key}")
	for i := range n {
		entry(fmt.Sprint("many.", i), fmt.Sprintf("/rest/%d/{key}", i))
	}
	return all.String()
}

// BenchmarkGateway is a whole decision, each with a proof of its own, as the service makes it elsewhere. Of what it costs, one verification of
// a signature is most.
func BenchmarkGateway(b *testing.B) {
	for name, rules := range map[string]string{"endpoints=10": manyRules(10), "endpoints=10000": manyRules(10_000), "rules-that-look": narrowRules} {
		b.Run(name, func(b *testing.B) {
			o := newOutpost(b)
			o.rules = loadCrossing(b, rules)
			calls := make([]check.Request, b.N)
			for i := range calls {
				calls[i] = o.read("accept", "application/json", "user-agent", "support/1", "traceparent", "00-0-0-00")
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if v := o.gateway.Decide(b.Context(), calls[i]); !v.Allow {
					b.Fatal(v.Reason, v.Cause)
				}
			}
		})
	}
	b.Run("not-exposed", func(b *testing.B) {
		o := newOutpost(b)
		r := o.read()
		r.Path = "/admin"
		b.ReportAllocs()
		for b.Loop() {
			if v := o.gateway.Decide(b.Context(), r); v.Reason != check.NotExposed {
				b.Fatal(v.Reason)
			}
		}
	})
	b.Run("one-ES256-verification", func(b *testing.B) {
		key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(b)
		digest := sha256.Sum256([]byte("x"))
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if !ecdsa.Verify(&key.PublicKey, digest[:], r, s) {
				b.Fatal("refused")
			}
		}
	})
}
