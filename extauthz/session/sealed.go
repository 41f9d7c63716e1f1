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
	// maxOutside is how long a person of an isolated cloud may stay signed in outside it, counted from the sign-in there.
	maxOutside = 24 * time.Hour

	// purposeOutside keeps any other sealed value from opening as a session.
	purposeOutside = "federated"

	// maxCookie bounds name and value together, in bytes: browsers drop what is longer (RFC 6265bis section 5.6).
	maxCookie = 4096

	// clockSkew is how far the clocks of two replicas may be apart.
	clockSkew = time.Minute
)

// Outside is the session of a person outside their isolated cloud. All of it is in the browser, sealed: this side stores nothing. It holds
// nothing personal either, but what it holds is a credential, so printing it by mistake does not show it.
type Outside struct {
	Cloud   string // id of the directory's entry
	Subject string // sub: the person as that cloud lets us know them
	Grant   string // sid of the federated tokens
	Token   string // access token, for the session resource and the gateway
	Key     []byte // the private key that the token is bound to, as its owner encodes it; at most 255 bytes

	Start   time.Time // the sign-in; whole seconds, as the two below
	Ends    time.Time // at most 24 h after Start, see Until
	Checked time.Time // when the isolated cloud last said that the session lives
}

// Until is the session with the end that the isolated cloud's session_expiry gives it: never more than 24 h after its start.
func (o Outside) Until(expiry time.Time) Outside {
	o.Ends = earlier(o.Start.Add(maxOutside), expiry)
	return o
}

// Format says [redacted] for every verb.
func (Outside) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText says [redacted], in JSON and in logs.
func (Outside) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Sealed seals sessions outside into the cookie of one host, and opens them there.
type Sealed struct {
	Keys *keys.Sealers
	Now  func() time.Time
}

var (
	errOutside = errors.New("session: a session outside that lacks a part, or ends too late")
	errTooLong = errors.New("session: a session outside that fits into no cookie")
)

// Seal gives the value of the cookie that holds a session at a host. It refuses a session that Open would not take back, and one that fits
// into no cookie.
func (s Sealed) Seal(host string, o Outside) (value string, err error) {
	if !o.whole() {
		return "", errOutside
	}
	raw, err := o.encode()
	if err != nil {
		return "", fmt.Errorf("%w: %w", errTooLong, err)
	}
	value = s.Keys.Seal(purposeOutside, host, raw)
	if len(OutsideCookie)+len(value) > maxCookie {
		return "", errTooLong
	}
	return value, nil
}

// Open gives back a session that lives as far as its cookie says, or ErrNone: for what we did not seal, or for another host, and for a
// session that is over. The bound of 24 h is looked at here too, whatever was sealed.
func (s Sealed) Open(host, value string) (Outside, error) {
	if value == "" || len(value) > maxCookie {
		return Outside{}, ErrNone
	}
	raw, err := s.Keys.Open(purposeOutside, host, value)
	if err != nil {
		return Outside{}, ErrNone
	}
	o, ok := decodeOutside(raw)
	now := s.Now()
	if !ok || !o.whole() || !now.Before(o.Ends) || o.Start.After(now.Add(clockSkew)) {
		return Outside{}, ErrNone
	}
	return o, nil
}

// whole tells whether every part is there, and the end is no later than it may be.
func (o Outside) whole() bool {
	return o.Cloud != "" && o.Subject != "" && o.Grant != "" && o.Token != "" && len(o.Key) > 0 &&
		o.Start.Unix() > 0 && o.Checked.Unix() > 0 && o.Ends.After(o.Start) && !o.Ends.After(o.Start.Add(maxOutside))
}

// encode writes the parts one after the other, each text after its length, each time as seconds: JSON would add a third, and a browser gives
// a cookie 4 KB. Replicas of two releases read each other's, so a change of this form is a change of purposeOutside.
func (o Outside) encode() ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 64+len(o.Cloud)+len(o.Subject)+len(o.Grant)+len(o.Token)+len(o.Key)))
	for _, text := range []string{o.Cloud, o.Subject, o.Grant} {
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
	}
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(o.Token)) })
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(o.Key) })
	for _, moment := range []time.Time{o.Start, o.Ends, o.Checked} {
		b.AddUint64(uint64(moment.Unix()))
	}
	return b.Bytes()
}

// decodeOutside is strict: nothing may be missing, and nothing may follow.
func decodeOutside(raw []byte) (o Outside, ok bool) {
	s := cryptobyte.String(raw)
	var cloud, subject, grant, token, key cryptobyte.String
	var start, ends, checked uint64
	ok = s.ReadUint8LengthPrefixed(&cloud) && s.ReadUint8LengthPrefixed(&subject) && s.ReadUint8LengthPrefixed(&grant) &&
		s.ReadUint16LengthPrefixed(&token) && s.ReadUint8LengthPrefixed(&key) &&
		s.ReadUint64(&start) && s.ReadUint64(&ends) && s.ReadUint64(&checked) && s.Empty()
	if !ok {
		return Outside{}, false
	}
	return Outside{
		Cloud: string(cloud), Subject: string(subject), Grant: string(grant), Token: string(token), Key: bytes.Clone(key),
		Start: time.Unix(int64(start), 0), Ends: time.Unix(int64(ends), 0), Checked: time.Unix(int64(checked), 0),
	}, true
}
