package usercontext

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestMiddlewareLetsOnlyTheVerifiedPass(t *testing.T) {
	_, _, m, v := newWorld(t)
	token := mint(t, m, key())
	blind := v
	blind.Keys = noKeys{}
	other := v
	other.Audience = "wiki"
	tests := []struct {
		name     string
		verifier Verifier
		in       []string
		want     int
	}{
		{"no header", v, nil, http.StatusUnauthorized},
		{"two headers, both good", v, []string{token, token}, http.StatusUnauthorized},
		{"two headers, one empty", v, []string{token, ""}, http.StatusUnauthorized},
		{"an empty header", v, []string{""}, http.StatusUnauthorized},
		{"bad", v, []string{token[:len(token)-4] + "AAAA"}, http.StatusUnauthorized},
		{"with a scheme", v, []string{"Bearer " + token}, http.StatusUnauthorized},
		{"two in one line", v, []string{token + ", " + token}, http.StatusUnauthorized},
		{"for another product", other, []string{token}, http.StatusUnauthorized},
		{"keys unavailable", blind, []string{token}, http.StatusServiceUnavailable},
		{"keys unavailable and nothing to verify", blind, []string{"x"}, http.StatusUnauthorized},
		{"good", v, []string{token}, http.StatusOK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reached := false
			next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				claims, ok := From(r.Context())
				reached = true
				if !ok || claims.Subject != "user" || claims.Audience != product {
					t.Errorf("%v, %+v", ok, claims)
				}
			})
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			for _, value := range tt.in {
				r.Header.Add(Header, value)
			}
			w := httptest.NewRecorder()
			tt.verifier.Middleware(next).ServeHTTP(w, r)
			if w.Code != tt.want || reached != (tt.want == http.StatusOK) {
				t.Errorf("%d, reached: %v", w.Code, reached)
			}
			if (w.Header().Get("WWW-Authenticate") != "") != (tt.want == http.StatusUnauthorized) {
				t.Errorf("challenge %q", w.Header().Get("WWW-Authenticate"))
			}
			if body := w.Body.String(); strings.Contains(body, "refused") || strings.Contains(body, token) {
				t.Errorf("the answer tells the cause or the token: %s", body)
			}
		})
	}
}

func TestNobodyIsFoundWithoutTheMiddleware(t *testing.T) {
	if claims, ok := From(t.Context()); ok || claims.Subject != "" {
		t.Errorf("%+v", claims)
	}
}
