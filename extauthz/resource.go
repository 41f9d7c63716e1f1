package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"isogate/extauthz/dpop"
	"isogate/extauthz/profile"
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
	if challenge := profile.Challenge(err); challenge != "" {
		w.Header().Set("www-authenticate", challenge)
	}
	switch {
	case err == nil:
		writeJSON(w, http.StatusOK, alive{Active: true, Subject: found.Subject, CloudID: s.cloud, Expiry: found.Expiry.Unix()})
	case errors.Is(err, profile.ErrNoToken):
		writeJSON(w, http.StatusUnauthorized, map[string]any{"error": "invalid_request", "error_description": "one Authorization header with the scheme DPoP and an access token is required"})
	case errors.Is(err, profile.ErrDead):
		writeJSON(w, http.StatusUnauthorized, map[string]any{"active": false, "error": "invalid_token", "error_description": "the session behind the access token has ended"})
	case errors.Is(err, profile.ErrToken):
		writeJSON(w, http.StatusUnauthorized, map[string]any{"error": "invalid_token", "error_description": "the access token is not valid here"})
	case errors.Is(err, dpop.ErrProof):
		writeJSON(w, http.StatusUnauthorized, map[string]any{"error": "invalid_dpop_proof", "error_description": "the DPoP proof is missing, is not for this request, token and time, or was used before"})
	default:
		s.log.ErrorContext(r.Context(), "the session resource could not answer", "cause", err.Error())
		w.Header().Set("retry-after", strconv.Itoa(10))
		writeJSON(w, http.StatusServiceUnavailable, map[string]any{"error": "temporarily_unavailable"})
	}
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
