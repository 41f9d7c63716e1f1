package keys

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

const extSigner = ".pem"

// Signers are the signing keys of one directory. The methods may be called in parallel.
type Signers struct {
	dir string
	now func() time.Time
	set atomic.Pointer[signerSet]
}

// signerSet is what one reading of the directory gave.
type signerSet struct {
	keys   []dated[signer]
	public map[string]Key
	jwks   []byte
}

type signer struct {
	kid     string // RFC 7638 thumbprint, SHA-256, base64url
	private *ecdsa.PrivateKey
	public  jwk.Key
}

// OpenSigners reads the signing keys of dir: *.pem, each one PKCS #8 private key on P-256 with mode 0600. It makes the
// directory (0700) and a first key where there is none. now is the clock that settling is measured with.
func OpenSigners(dir string, now func() time.Time) (*Signers, error) {
	if err := ensureKey(dir, extSigner, newSigner); err != nil {
		return nil, err
	}
	s := &Signers{dir: dir, now: now}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// GenerateSigner adds a new signing key to dir, as the file name.pem. It never replaces a file.
func GenerateSigner(dir, name string) error {
	return addKey(dir, name+extSigner, newSigner)
}

func newSigner() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Dir is the directory to watch for changes.
func (s *Signers) Dir() string { return s.dir }

// Reload reads the directory again. On any fault the last good keys stay in use.
func (s *Signers) Reload() error {
	keys, err := loadDir(s.dir, extSigner, parseSigner)
	if err != nil {
		return err
	}
	set := &signerSet{keys: keys, public: make(map[string]Key)}
	for _, k := range keys {
		if _, twice := set.public[k.key.kid]; twice {
			return fmt.Errorf("keys: %s holds one key in two files", s.dir)
		}
		set.public[k.key.kid] = Key{"ES256", &k.key.private.PublicKey}
	}
	if set.jwks, err = publish(keys); err != nil {
		return err
	}
	s.set.Store(set)
	return nil
}

func parseSigner(body []byte) (signer, error) {
	block, rest := pem.Decode(body)
	if block == nil || block.Type != "PRIVATE KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return signer{}, errors.New("not one PEM block PRIVATE KEY (PKCS #8)")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return signer{}, err
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return signer{}, errors.New("not a key on P-256")
	}
	public, err := jwk.FromRaw(&private.PublicKey)
	if err != nil {
		return signer{}, err
	}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return signer{}, err
	}
	return signer{kid: b64.EncodeToString(thumbprint), private: private, public: public}, nil
}

// publish renders the public parts, sorted by kid: the body must not depend on when files were written.
func publish(keys []dated[signer]) ([]byte, error) {
	set := struct {
		Keys []jwk.Key `json:"keys"`
	}{}
	for _, k := range keys {
		for name, value := range map[string]any{jwk.KeyIDKey: k.key.kid, jwk.KeyUsageKey: jwk.ForSignature, jwk.AlgorithmKey: jwa.ES256} {
			if err := k.key.public.Set(name, value); err != nil {
				return nil, fmt.Errorf("keys: publishing %w", err)
			}
		}
		set.Keys = append(set.Keys, k.key.public)
	}
	slices.SortFunc(set.Keys, func(a, b jwk.Key) int { return cmp.Compare(a.KeyID(), b.KeyID()) })
	body, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("keys: publishing %w", err)
	}
	return body, nil
}

// Sign makes a compact JWS with ES256 over claims. Its header is {"alg":"ES256","kid":thumbprint,"typ":typ} and no more.
// What Verify would refuse for its length is not signed.
func (s *Signers) Sign(typ string, claims []byte) (string, error) {
	if typ == "" {
		return "", errors.New("keys: signing without a type")
	}
	key := settled(s.set.Load().keys, s.now())
	header, err := json.Marshal(header{Algorithm: "ES256", KeyID: key.kid, Type: typ})
	if err != nil {
		return "", fmt.Errorf("keys: signing %w", err)
	}
	es256, err := jws.NewSigner(jwa.ES256)
	if err != nil {
		return "", fmt.Errorf("keys: signing %w", err)
	}
	input := b64.EncodeToString(header) + "." + b64.EncodeToString(claims)
	signature, err := es256.Sign([]byte(input), key.private)
	if err != nil {
		return "", fmt.Errorf("keys: signing %w", err)
	}
	token := input + "." + b64.EncodeToString(signature)
	if len(token) > maxToken {
		return "", fmt.Errorf("keys: a token of %d bytes is over %d", len(token), maxToken)
	}
	return token, nil
}

// JWKS is the body to publish, of media type application/jwk-set+json (RFC 7517, 8.5.1). It must not be changed.
func (s *Signers) JWKS() []byte { return s.set.Load().jwks }

// Key makes our own keys a KeySource, for tokens of ours that come back.
func (s *Signers) Key(_ context.Context, kid string) (Key, error) {
	return find(s.set.Load().public, kid)
}
