package world

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"isogate/envoy/daemon"
	"isogate/examples/idp"
	"isogate/examples/product"
	"isogate/extauthz/keys"
	"isogate/extauthz/usercontext"
)

const (
	idpName  = "idp.corp.localhost"
	clientID = "isogate"
)

// Site is an HTTP server of the world that runs inside this process and can be stopped and started.
type Site struct {
	address string
	handler http.Handler
	tls     *tls.Config // nil for plain HTTP

	mu     sync.Mutex
	server *http.Server
}

// Start listens; it does nothing while the site runs.
func (s *Site) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		return nil
	}
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		return err
	}
	if s.tls != nil {
		listener = tls.NewListener(listener, s.tls)
	}
	s.server = &http.Server{Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)} // browsers that do not trust the CA yet
	go func(server *http.Server) { _ = server.Serve(listener) }(s.server)                                                  // ends with Stop
	return nil
}

// Stop closes the listener and every connection at once, as a crash would.
func (s *Site) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return nil
	}
	err := s.server.Close()
	s.server = nil
	return err
}

func (w *World) startSites(context.Context) error {
	if err := w.makeIDP(); err != nil {
		return err
	}
	w.makeProduct("issues", "Issue tracker", w.ports.issues)
	w.makeProduct("wiki", "Wiki", w.ports.wiki)
	for _, s := range w.sites {
		if err := s.Start(); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) makeIDP() (err error) {
	w.Provider, err = idp.New(idp.Config{
		Issuer: "https://" + w.idpHost(), Users: w.Users,
		Clients: []idp.Client{{
			ID: clientID, Secret: w.clientSecret(), RedirectURIs: []string{w.URL("auth", "/.isogate/callback")}, PostLogoutURIs: []string{w.URL("auth", "/.isogate/logout")},
		}},
	})
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(w.Dir, "secrets", "idp.pem"), filepath.Join(w.Dir, "secrets", "idp.key"))
	if err != nil {
		return err
	}
	w.IDP = &Site{address: local(w.ports.idp), handler: w.Provider, tls: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}}
	w.sites = append(w.sites, w.IDP)
	return nil
}

// makeProduct gives a product the public keys of the tokens from where everybody finds them: through the edge.
func (w *World) makeProduct(id, name string, port int) {
	client := daemon.Connect(w.Connect()).Client(w.CA.Pool())
	verifier := usercontext.Verifier{
		Issuer: w.URL("auth", ""), Audience: id, Keys: keys.NewRemote(w.URL("auth", usercontext.JWKSPath), client, time.Now),
	}
	claims := func(r *http.Request) any {
		c, ok := usercontext.From(r.Context())
		if !ok {
			return nil
		}
		return c
	}
	w.Products[id] = product.New(product.Config{ID: id, Name: name, Verify: verifier.Middleware, Claims: claims})
	w.sites = append(w.sites, &Site{address: local(port), handler: w.Products[id]})
}
