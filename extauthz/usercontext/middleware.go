package usercontext

import (
	"context"
	"errors"
	"net/http"
)

type contextKey struct{}

// challenge is what RFC 9110 section 15.5.2 demands of a 401. No client can answer it: the token comes from Envoy alone.
const challenge = "Isogate"

// Middleware lets only requests with a valid token reach the next handler, which finds the claims with From. A missing, repeated or
// invalid token is answered with 401, and keys that cannot be had with 503; the cause is told to nobody.
//
//	verifier := usercontext.Verifier{
//		Issuer:   "https://auth.acme.example",
//		Audience: "issues",
//		Keys:     keys.NewRemote("https://auth.acme.example/.well-known/uct/jwks.json", http.DefaultClient, time.Now),
//	}
//	http.Handle("/", verifier.Middleware(app))
func (v Verifier) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		values := r.Header.Values(Header)
		if len(values) != 1 {
			w.Header().Set("www-authenticate", challenge)
			http.Error(w, "exactly one "+Header+" header is required", http.StatusUnauthorized)
			return
		}
		claims, err := v.Verify(r.Context(), values[0])
		switch {
		case errors.Is(err, ErrUnavailable):
			http.Error(w, "the user context cannot be verified at the moment", http.StatusServiceUnavailable)
		case err != nil:
			w.Header().Set("www-authenticate", challenge)
			http.Error(w, "the user context is not valid", http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, claims)))
		}
	})
}

// From gives the claims that Middleware verified.
func From(ctx context.Context) (Claims, bool) {
	claims, ok := ctx.Value(contextKey{}).(Claims)
	return claims, ok
}
