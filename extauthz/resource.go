package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"isogate/extauthz/dpop"
	"isogate/extauthz/kv"
	"isogate/extauthz/profile"
)

// How far a proof of possession may lie ahead, and how old it may be.
const (
	proofAhead  = 10 * time.Second
	proofBehind = 60 * time.Second
)

// resource is the session resource: it tells the holder of an access token whether the session behind it lives, and until when. A service
// outside keeps no session longer than it says.
type resource struct {
	access profile.Access
	url    string // its own external address
	cloud  string // id
	log    *slog.Logger
}

// alive is its answer. It is the only one with status 200.
type alive struct {
	Active  bool   `json:"active"`
	Subject string `json:"sub"`
	CloudID string `json:"isolated_cloud_id"`
	Expiry  int64  `json:"session_expiry"` // Unix seconds; may move in either direction
}

func (s resource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	found, err := s.access.Judge(r.Context(), profile.Presented{
		Authorization: r.Header.Values("Authorization"), Proofs: r.Header.Values("Dpop"), Method: r.Method, URL: s.url,
	})
	switch {
	case err == nil:
		writeJSON(w, http.StatusOK, alive{Active: true, Subject: found.Subject, CloudID: s.cloud, Expiry: found.Expiry.Unix()})
	case errors.Is(err, profile.ErrNoToken):
		challenge(w, "", map[string]any{"error": "invalid_request", "error_description": "one Authorization header with the scheme DPoP and an access token is required"})
	case errors.Is(err, profile.ErrDead):
		challenge(w, "invalid_token", map[string]any{"active": false, "error": "invalid_token", "error_description": "the session behind the access token has ended"})
	case errors.Is(err, profile.ErrToken):
		challenge(w, "invalid_token", map[string]any{"error": "invalid_token", "error_description": "the access token is not valid here"})
	case errors.Is(err, dpop.ErrProof):
		challenge(w, "invalid_dpop_proof", map[string]any{"error": "invalid_dpop_proof", "error_description": "the DPoP proof is missing, is not for this request, token and time, or was used before"})
	default:
		s.log.ErrorContext(r.Context(), "the session resource could not answer", "cause", err.Error())
		w.Header().Set("retry-after", strconv.Itoa(10))
		writeJSON(w, http.StatusServiceUnavailable, map[string]any{"error": "temporarily_unavailable"})
	}
}

// challenge is the 401 of RFC 9449 section 7.1. A request that brings no token is told no error (RFC 6750 section 3.1).
func challenge(w http.ResponseWriter, code string, body any) {
	value := `DPoP algs="ES256 PS256"`
	if code != "" {
		value = `DPoP error="` + code + `", algs="ES256 PS256"`
	}
	w.Header().Set("www-authenticate", value)
	writeJSON(w, http.StatusUnauthorized, body)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("content-type", "application/json")
	w.Header().Set("cache-control", "no-store")
	w.Header().Set("x-content-type-options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n')) // it fails only when the reader has gone
}

// proofs keeps the marks of used proofs in the store of the sessions.
type proofs struct{ store *kv.Bolt }

func (p proofs) Add(ctx context.Context, key string, expires time.Time) error {
	err := p.store.Add(ctx, kv.Item{Key: "p/" + key, Expires: expires})
	if errors.Is(err, kv.ErrExists) {
		return dpop.ErrSeen
	}
	return err
}
