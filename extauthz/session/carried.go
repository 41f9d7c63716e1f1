package session

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"isogate/extauthz/keys"
)

const (
	// carriedFor is how long a service may call an isolated cloud for a person on the strength of one request of theirs.
	carriedFor = 5 * time.Minute

	// purposeCarried keeps any other sealed value from opening as what a service carries.
	purposeCarried = "carried"

	// maxCarried bounds a carried value, in bytes. It is a cookie's bound, so that whatever session fits into a cookie can be carried; with an access
	// token of 1 KB it is under 2 KB.
	maxCarried = maxCookie
)

// Carried is what a service carries to its own sidecar for the person of a request: enough to call that person's isolated cloud for a few
// minutes, and nothing of who the person is. The service cannot open it, nor can another's sidecar. What it holds is a credential, so printing
// it by mistake does not show it.
type Carried struct {
	Cloud   string    // id of the directory's entry
	Token   string    // access token, for the gateway
	Key     []byte    // the private key that the token is bound to, as its owner encodes it; at most 255 bytes
	Expires time.Time // whole seconds; at most 5 min ahead, and never after the session's end
}

// Format says [redacted] for every verb.
func (Carried) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText says [redacted], in JSON and in logs.
func (Carried) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Carrier seals what one service carries, and opens it at that service's sidecar. Only these two have its keys.
type Carrier struct {
	Service string // id
	Keys    *keys.Sealers
	Now     func() time.Time
}

var errCarried = errors.New("session: nothing that a service could carry")

// Seal gives a service what it carries for one request of a person. It refuses a session that has ended or lacks a part.
func (c Carrier) Seal(o Outside) (value string, err error) {
	now := c.Now()
	if !o.whole() || !now.Before(o.Ends) {
		return "", errCarried
	}
	raw, err := Carried{Cloud: o.Cloud, Token: o.Token, Key: o.Key, Expires: earlier(now.Add(carriedFor), o.Ends)}.encode()
	if err != nil {
		return "", fmt.Errorf("%w: %w", errCarried, err)
	}
	value = c.Keys.Seal(purposeCarried, c.Service, raw)
	if len(value) > maxCarried {
		return "", errCarried
	}
	return value, nil
}

// Open gives back what this service carries, or ErrNone: for what was not sealed for it, and for what has expired. The bound of 5 min is looked
// at here too, whatever was sealed, apart from what two clocks may differ by.
func (c Carrier) Open(value string) (Carried, error) {
	if value == "" || len(value) > maxCarried {
		return Carried{}, ErrNone
	}
	raw, err := c.Keys.Open(purposeCarried, c.Service, value)
	if err != nil {
		return Carried{}, ErrNone
	}
	carried, ok := decodeCarried(raw)
	now := c.Now()
	if !ok || !carried.whole() || !now.Before(carried.Expires) || carried.Expires.After(now.Add(carriedFor+clockSkew)) {
		return Carried{}, ErrNone
	}
	return carried, nil
}

// whole tells whether every part is there.
func (c Carried) whole() bool { return c.Cloud != "" && c.Token != "" && len(c.Key) > 0 }

// encode writes the parts as Outside does. The sidecar may be of another release than what sealed it, so a change of this form is a change of
// purposeCarried.
func (c Carried) encode() ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 16+len(c.Cloud)+len(c.Token)+len(c.Key)))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(c.Cloud)) })
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(c.Token)) })
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(c.Key) })
	b.AddUint64(uint64(c.Expires.Unix()))
	return b.Bytes()
}

// decodeCarried is strict: nothing may be missing, and nothing may follow.
func decodeCarried(raw []byte) (c Carried, ok bool) {
	s := cryptobyte.String(raw)
	var cloud, token, key cryptobyte.String
	var expires uint64
	ok = s.ReadUint8LengthPrefixed(&cloud) && s.ReadUint16LengthPrefixed(&token) && s.ReadUint8LengthPrefixed(&key) &&
		s.ReadUint64(&expires) && s.Empty()
	if !ok {
		return Carried{}, false
	}
	return Carried{Cloud: string(cloud), Token: string(token), Key: bytes.Clone(key), Expires: time.Unix(int64(expires), 0)}, true
}
