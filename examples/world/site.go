package world

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"isogate/envoy/daemon"
	"isogate/examples/idp"
	"isogate/examples/product"
	"isogate/examples/service"
	"isogate/extauthz/keys"
	"isogate/extauthz/usercontext"
)

const clientID = "isogate"

// Site is an HTTP server of the world that runs inside this process and can be stopped and started.
type Site struct {
	address string
	handler http.Handler
	tls     *tls.Config     // nil for plain HTTP
	record  *service.Record // of what it receives; nil for none

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
	if s.record != nil {
		listener = s.record.Listen(listener)
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
	for _, c := range w.clouds() {
		if err := w.makeIDP(c); err != nil {
			return err
		}
		for _, p := range c.of.products {
			w.makeProduct(c, p)
		}
	}
	if err := w.makeOutside(); err != nil {
		return err
	}
	for _, s := range w.sites {
		if err := s.Start(); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) makeIDP(c *Cloud) (err error) {
	c.Provider, err = idp.New(idp.Config{
		Issuer: "https://" + c.idpHost(), Users: c.Users,
		Clients: []idp.Client{{
			ID: clientID, Secret: c.clientSecret(), RedirectURIs: []string{c.URL("auth", "/.isogate/callback")}, PostLogoutURIs: []string{c.URL("auth", "/.isogate/logout")},
		}},
	})
	if err != nil {
		return err
	}
	c.IDP = &Site{address: local(c.ports.idp), handler: c.Provider}
	w.sites = append(w.sites, c.IDP)
	c.IDP.tls, err = serverTLS(c.secret("idp"))
	return err
}

// serverTLS serves the certificate NAME.pem.
func serverTLS(name string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(name+".pem", name+".key")
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, err
}

// makeProduct gives a product the public keys of the tokens from where everybody finds them: through the edge.
func (w *World) makeProduct(c *Cloud, p entry) {
	client := daemon.Connect(w.Connect()).Client(w.CA.Pool())
	verifier := usercontext.Verifier{
		Issuer: c.URL("auth", ""), Audience: p.ID, Keys: keys.NewRemote(c.URL("auth", usercontext.JWKSPath), client, time.Now),
	}
	claims := func(r *http.Request) any {
		c, ok := usercontext.From(r.Context())
		if !ok {
			return nil
		}
		return c
	}
	c.Products[p.ID] = product.New(product.Config{ID: p.ID, Name: p.Name, Verify: verifier.Middleware, Claims: claims})
	w.sites = append(w.sites, &Site{address: local(c.ports.products[p.ID]), handler: c.Products[p.ID]})
}

// makeOutside makes the services, and the site of the standard sign-in.
func (w *World) makeOutside() error {
	p := w.Platform
	for _, s := range services {
		sidecar := ""
		if port, has := p.ports.sidecars[s.ID]; has {
			sidecar = local(port)
		}
		made := service.New(s.ID, s.Name, sidecar)
		p.Services[s.ID] = made
		w.sites = append(w.sites, &Site{address: local(p.ports.services[s.ID]), handler: made, record: &made.Record})
	}
	served, err := serverTLS(p.secret("login"))
	w.sites = append(w.sites, &Site{address: local(p.ports.login), handler: p.Login, record: &p.Login.Record, tls: served})
	return err
}
