// Package code keeps what the OAuth server must remember for moments: pushed authorization requests, authorization codes, who confirmed
// what, and marks of what may be used once.
//
// It owns their lifetimes and that each is used once. It does not know the protocol: what a request or a code must hold is the provider's
// matter. Whatever a client or a browser brings back is stored under its hash alone, so a stolen store file redeems nothing.
package code

import (
	"context"
	"errors"
	"time"

	"isogate/extauthz/kv"
)

// Lifetimes.
const (
	RequestLifetime = 590 * time.Second // of a pushed request; FAPI 2.0 Security Profile section 5.3.2.2 wants less than 600 s
	CodeLifetime    = 60 * time.Second  // of a code; the same section wants 60 s at most
)

// What a caller branches on. Any other error means that the store could not answer: 503.
var (
	ErrNone = errors.New("code: none")        // never issued, expired, or used up
	ErrUsed = errors.New("code: used before") // the mark, or the code, was used already
)

// Records is what this package needs of a key-value store.
type Records interface {
	Put(ctx context.Context, items ...kv.Item) error
	Add(ctx context.Context, item kv.Item) error
	Get(ctx context.Context, key string) ([]byte, error)
	Take(ctx context.Context, keys ...string) ([]byte, error)
}

// Request is a pushed authorization request as it was accepted (RFC 9126).
type Request struct {
	Client      string    `json:"client"`
	RedirectURI string    `json:"redirect_uri"`
	State       string    `json:"state,omitempty"`
	Nonce       string    `json:"nonce,omitempty"`
	Challenge   string    `json:"challenge"`         // code_challenge, S256
	Thumbprint  string    `json:"jkt,omitempty"`     // of the DPoP key that the code is bound to (RFC 9449 section 10); "": none
	Prompt      string    `json:"prompt,omitempty"`  // none; login, consent or both; or ""
	MaxAge      *int64    `json:"max_age,omitempty"` // seconds; nil if not asked
	ACRs        []string  `json:"acrs,omitempty"`    // acr_values, in the client's order
	LoginHint   string    `json:"login_hint,omitempty"`
	Pushed      time.Time `json:"pushed"`
}

// Code is what an authorization code stands for.
type Code struct {
	Request  Request `json:"request"`
	Grant    string  `json:"grant"`
	User     string  `json:"user"` // the user id inside; leaves the cloud only as a pairwise sub
	AuthTime int64   `json:"auth_time"`
	ACR      string  `json:"acr,omitempty"`
}
