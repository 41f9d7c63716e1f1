package idp

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

// people is the directory of users. All its methods may be called at any time from anywhere.
type people struct {
	mu     sync.RWMutex
	byName map[string]User
}

func newPeople(users []User) *people {
	p := &people{byName: make(map[string]User, len(users))}
	for _, u := range users {
		p.byName[u.Username] = u
	}
	return p
}

func (p *people) set(u User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byName[u.Username] = u
}

func (p *people) get(username string) (User, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	u, ok := p.byName[username]
	return u, ok
}

// authenticate takes as long for an unknown user as for a wrong password, so that its time names nobody.
func (p *people) authenticate(username, password string) (User, bool) {
	u, known := p.get(username)
	return u, equal(u.Password, password) && known
}

// equal compares secrets in a time that tells neither where they differ nor how long they are.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// Subject is the `sub` of a user: opaque, and the same after a restart. It hides nothing from somebody who can guess user names.
func Subject(username string) string {
	sum := sha256.Sum256([]byte("example identity provider, subject\x00" + username))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func (u User) validate() error {
	if u.Username == "" || u.Password == "" {
		return errors.New("needs a user name and a password")
	}
	if u.TOTP == "" {
		return nil
	}
	if _, err := totp.GenerateCode(u.TOTP, time.Unix(0, 0)); err != nil {
		return fmt.Errorf("TOTP secret: %w", err)
	}
	return nil
}

// codeValid accepts the code of this period of 30 s and of one period before and after (RFC 6238 section 5.2).
func (u User) codeValid(code string, now time.Time) bool {
	ok, err := totp.ValidateCustom(strings.TrimSpace(code), u.TOTP, now, totp.ValidateOpts{
		Period: 30, Skew: 1, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1,
	})
	return u.TOTP != "" && ok && err == nil
}
