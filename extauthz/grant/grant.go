// Package grant is how oidcprovider asks extauthz about grants: the client of the session socket, its wire types, and the handler behind it.
//
// A grant ties a session to one OAuth client and dies with the session. Only extauthz knows sessions; it alone opens, finds and ends grants.
// The session socket is a unix socket that only the owner can open, so a call needs no further proof of who makes it.
//
// There are three calls, each a POST with a small JSON object over HTTP/1.1: /open, /redeem and /end. 200 is the answer, 404 says that there
// is none, and everything else that nobody could tell. The package keeps no grant itself.
package grant

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"
)

// ErrNone means that there is no such living session or grant. Every other error means that extauthz could not be asked, or could not tell.
var ErrNone = errors.New("grant: none")

// Opened is a grant, and when its session ends as far as is known now: the moment may move in either direction.
type Opened struct {
	Grant  string    `json:"grant"`
	Expiry time.Time `json:"session_expiry"`
}

// Keeper opens, redeems and ends grants.
type Keeper interface {
	// Open ties a living session to a client. A grant that is not redeemed within 60 s ends.
	Open(ctx context.Context, session, client string) (Opened, error)
	// Redeem keeps a living grant of a client: tokens are about to be made for it.
	Redeem(ctx context.Context, id, client string) (Opened, error)
	// End ends a grant of a client. Ending one that is not there is no error.
	End(ctx context.Context, id, client string) error
}

// maxBody bounds what either side reads of the other's body, in bytes.
const maxBody = 4 << 10

// opening and naming are what the calls send.
type opening struct {
	Session string `json:"session"`
	Client  string `json:"client"`
}

type naming struct {
	Grant  string `json:"grant"`
	Client string `json:"client"`
}

var (
	errTrailing   = errors.New("grant: something follows the object")
	errIncomplete = errors.New("grant: a member is missing or empty")
)

func (o opening) complete() bool { return o.Session != "" && o.Client != "" }
func (n naming) complete() bool  { return n.Grant != "" && n.Client != "" }
func (o Opened) complete() bool  { return o.Grant != "" && !o.Expiry.IsZero() }

// decode reads one complete object: what it does not know may be something that matters, so it is refused.
func decode[T interface{ complete() bool }](body io.Reader) (T, error) {
	var read, nothing T
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(&read); err != nil {
		return nothing, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nothing, errTrailing
	}
	if !read.complete() {
		return nothing, errIncomplete
	}
	return read, nil
}
