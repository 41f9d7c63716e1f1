package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"isogate/envoy/topology"
	"isogate/examples/world"
	"isogate/extauthz/dpop"
	"isogate/extauthz/keys"
)

// caller is the service that calls, by its id.
const caller = "support"

// crossing is what calls for a person take: the caller's certificate, and access tokens with the key that they are bound to. The OAuth server issues
// a token for each sign-in; more of them are signed here, with its key and for the same grant, since nobody could sign in as often.
type crossing struct {
	cloud   topology.Cloud
	pair    tls.Certificate
	roots   *x509.CertPool
	signers *keys.Signers // the OAuth server's
	claims  map[string]any
	spiffe  string // of the caller
	key     dpop.Key
	token   string
	given   string // to the service for the person, see give
}

// openCrossing takes a token that the OAuth server issued for a model, and holds the first of its own against the gateway.
func (s *stage) openCrossing(ctx context.Context) error {
	isolated, err := readFile(s.world.File())
	if err != nil {
		return err
	}
	commercial, err := readFile(s.world.Platform.File())
	if err != nil {
		return err
	}
	service, _ := commercial.Platform.Service(caller)
	x := &crossing{cloud: *isolated.Cloud, roots: s.world.CA.Pool(), spiffe: service.Egress.SPIFFE}
	if x.pair, err = tls.LoadX509KeyPair(string(service.Egress.Certificate), string(service.Egress.Key)); err != nil {
		return err
	}
	s.crossing = x
	given, err := s.give()
	if err != nil {
		return err
	}
	opened, err := s.world.Opened(caller, given.To(product, http.MethodGet, issue))
	if err != nil {
		return err
	}
	if err := x.likeIssued(opened.Token, filepath.Join(filepath.Dir(s.world.File()), "secrets", "oauth")); err != nil {
		return err
	}
	client := x.client(string(s.gateway.own.listener))
	defer client.CloseIdleConnections()
	return eventually(ctx, func() error {
		status, err := x.call(ctx, client, issue)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("the gateway answers %d to a call", status)
		}
		return err
	})
}

// give asks anew what the service is given for the person, which is good for five minutes.
func (s *stage) give() (given world.Call, err error) {
	given, err = s.world.Given(s.person, caller)
	s.crossing.given = given.Token
	return given, err
}

// likeIssued makes tokens with the claims of one that was issued, for a key of our own.
func (x *crossing) likeIssued(token, signing string) (err error) {
	if x.key, err = dpop.Generate(); err != nil {
		return err
	}
	if x.signers, err = keys.OpenSigners(signing, time.Now); err != nil {
		return err
	}
	if x.claims, err = claimsOf(token); err != nil {
		return err
	}
	x.claims["cnf"] = map[string]string{"jkt": x.key.Thumbprint()}
	x.token, err = x.another()
	return err
}

// claimsOf reads what a token says, without asking who signed it.
func claimsOf(token string) (claims map[string]any, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("bench: the access token is no signed one")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, fmt.Errorf("bench: the access token: %w", err)
	}
	from := json.NewDecoder(strings.NewReader(string(raw)))
	from.UseNumber() // the times stay whole numbers
	if err := from.Decode(&claims); err != nil {
		return nil, fmt.Errorf("bench: the access token: %w", err)
	}
	return claims, nil
}

// another is a token that nobody has seen yet. All have one length.
func (x *crossing) another() (string, error) {
	x.claims["jti"] = rand.Text()
	raw, err := json.Marshal(x.claims)
	if err != nil {
		return "", err
	}
	return x.signers.Sign("at+jwt", raw)
}

// proof is a fresh proof of possession for a GET of a product's path. All for one path have one length.
func (x *crossing) proof(token, target string) (string, error) {
	path, _, _ := strings.Cut(target, "?")
	return x.key.Make(dpop.Proof{Method: http.MethodGet, URL: "https://" + x.cloud.GatewayName(product) + path, AccessToken: token, Now: time.Now()})
}

// client keeps one connection to a gateway, over HTTP/2 and mutual TLS as a sidecar does.
func (x *crossing) client(address string) *http.Client {
	trust := &tls.Config{RootCAs: x.roots, ServerName: x.cloud.GatewayHost(), Certificates: []tls.Certificate{x.pair}, MinVersion: tls.VersionTLS13}
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: trust, ForceAttemptHTTP2: true, DisableCompression: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
}

// call makes a call with a fresh proof.
func (x *crossing) call(ctx context.Context, client *http.Client, target string) (status int, err error) {
	proof, err := x.proof(x.token, target)
	if err != nil {
		return 0, err
	}
	return get(ctx, client, "https://"+x.cloud.GatewayName(product)+target, map[string]string{
		"Authorization": "DPoP " + x.token, "Dpop": proof, "Accept": "application/json", "User-Agent": "",
	})
}

// get reads an answer to its end.
func get(ctx context.Context, client *http.Client, address string, header map[string]string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, errors.Join(err, answer.Body.Close())
}
