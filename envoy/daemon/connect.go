package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// Connect says where to dial for a name, as {"auth.acme.localhost:8443": "127.0.0.1:8443"}. The name of the TLS certificate and the Host
// header stay those of the name. A name that is not listed is dialled as it is.
type Connect map[string]string

// Validate wants host:port on both sides.
func (c Connect) Validate(f *Faults) {
	for name, target := range c {
		for _, address := range []string{name, target} {
			if fault := addressFault(address); fault != "" {
				f.Add("", "%q %s", address, fault)
			}
		}
	}
}

// Dial connects to the address that stands for a name.
func (c Connect) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if target, ok := c[address]; ok {
		address = target
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	return dialer.DialContext(ctx, network, address)
}

// Client is an HTTP client for calls to other parties: TLS 1.2 or later with the given roots, no proxy from the environment, no redirects,
// ten seconds a call.
func (c Connect) Client(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DialContext:           c.Dial,
			TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   16,
			IdleConnTimeout:       90 * time.Second,
			TLSHandshakeTimeout:   5 * time.Second,
			ResponseHeaderTimeout: 8 * time.Second,

			MaxResponseHeaderBytes: maxResponseHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// maxResponseHeader bounds the header of an answer, in bytes: Go's own bound of 10 MB, times the calls that may be under way, is more memory than
// a party outside may take from us.
const maxResponseHeader = 64 << 10

// UnixClient is an HTTP client for another daemon of ours: whatever host an address names, it dials the one unix socket, when it is asked and
// not before, so that either daemon may start first. No proxy, no redirects, ten seconds a call.
func UnixClient(socket string) *http.Client {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "unix", socket)
			},
			MaxIdleConnsPerHost:   16,
			IdleConnTimeout:       60 * time.Second, // less than our listeners keep one
			ResponseHeaderTimeout: 8 * time.Second,

			MaxResponseHeaderBytes: maxResponseHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Roots are the certificates to trust: those of the system, and those of a PEM file where one is given.
func Roots(file Path) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("daemon: reading the system's roots: %w", err)
	}
	if file == "" {
		return pool, nil
	}
	raw, err := os.ReadFile(string(file))
	if err != nil {
		return nil, fmt.Errorf("daemon: reading roots: %w", err)
	}
	if !pool.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("daemon: %s holds no PEM certificate", file)
	}
	return pool, nil
}
