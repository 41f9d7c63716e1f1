package privacy

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"isogate/examples/idp"
	"isogate/examples/world"
)

// stage is a world with a recording relay wherever something reaches the commercial side or leaves it.
type stage struct {
	*world.World
	dir  string
	file commercialFile

	commercial *Relay              // between the edge and the commercial Envoy, opened
	ingress    *Relay              // between the edge and the isolated cloud's ingress, as on the wire
	cloud      *Relay              // between the commercial extauthz and the isolated cloud's OAuth server, opened
	gateway    *Relay              // between the sidecars and the isolated cloud's gateway, as on the wire
	services   map[string]*Relay   // between the commercial Envoy and each service
	sockets    map[string][]*Relay // on each unix socket of the commercial side; another one after a daemon was started again

	people []person
	stray  strays
	kept   []map[string][]byte // what the commercial side held, at several times
}

// commercialFile is what the stage needs to know of the commercial file.
type commercialFile struct {
	Platform struct {
		IdentityHost string `yaml:"identity_host"`
		Services     []struct {
			ID, Host, Upstream string
			Egress             *struct {
				TokenKey string `yaml:"token_key"`
			}
		}
		Listeners struct{ Commercial string }
		Sockets   string
	}
	Clouds   []struct{ Ingress, Gateway, Issuer string }
	ExtAuthz struct {
		Keys    struct{ Sealing, Federated string }
		Connect map[string]string
	}
}

// checkEvery is how soon the commercial side notices what happened inside.
const checkEvery = time.Second

func setUp(t *testing.T) *stage {
	t.Helper()
	dir := t.TempDir()
	w, err := world.Start(t.Context(), world.Options{Dir: dir, Progress: os.Stderr, CheckEvery: checkEvery.String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	s := &stage{World: w, dir: dir, services: map[string]*Relay{}, sockets: map[string][]*Relay{}, people: people()}
	for _, p := range s.people {
		if err := w.Provider.SetUser(p.User); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(w.Platform.File())
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, &s.file); err != nil {
		t.Fatal(err)
	}
	s.relayAddresses(t)
	s.relaySockets(t)
	s.restart(t, "envoy-edge", "envoy-commercial", "envoy-egress-support", "envoy-egress-market") // whose connections to the sockets are older than the relays
	eventually(t, "requests pass the relays", func() bool {
		_ = s.status(s.Browser(), s.URL("issues", "/health"))
		return s.status(s.Browser(), s.at("support", "/")) == 401 && s.recorded(s.commercial) && s.recorded(s.ingress)
	})
	return s
}

func (s *stage) recorded(r *Relay) bool { return len(r.There.Streams()) > 0 }

// relayAddresses leads the addresses in the commercial file through relays, while everything runs.
func (s *stage) relayAddresses(t *testing.T) {
	names := []string{s.file.Platform.IdentityHost}
	for _, service := range s.file.Platform.Services {
		names = append(names, service.Host)
		relay, address := s.relay(t, service.Upstream)
		s.services[service.ID] = relay
		s.edit(t, "upstream: "+service.Upstream, "upstream: "+address)
	}
	var address string
	entry := s.file.Clouds[0]
	s.ingress, address = s.relay(t, entry.Ingress)
	s.edit(t, "ingress: "+entry.Ingress, "ingress: "+address)
	s.gateway, address = s.relay(t, entry.Gateway)
	s.edit(t, "gateway: "+entry.Gateway, "gateway: "+address)

	auth := strings.TrimPrefix(entry.Issuer, "https://")
	host, _, _ := net.SplitHostPort(auth)
	s.cloud, address = s.relayTLS(t, "cloud", s.Edge(), host)
	s.edit(t, fmt.Sprintf("%q: %s", auth, s.file.ExtAuthz.Connect[auth]), fmt.Sprintf("%q: %s", auth, address))

	s.commercial, address = s.relayTLS(t, "commercial", s.file.Platform.Listeners.Commercial, names...)
	s.edit(t, "platform:\n", "platform:\n  commercial: "+address+"\n")
}

func dialer(network, address string) func() (net.Conn, error) {
	return func() (net.Conn, error) { return net.DialTimeout(network, address, 5*time.Second) }
}

// relay passes bytes as they come.
func (s *stage) relay(t *testing.T, to string) (*Relay, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := Listen(listener, dialer("tcp", to))
	t.Cleanup(func() { _ = r.Close() })
	return r, listener.Addr().String()
}

// relayTLS sees what is inside of TLS: the world's certificate authority believes this test.
func (s *stage) relayTLS(t *testing.T, name, to string, hosts ...string) (*Relay, string) {
	t.Helper()
	dir := t.TempDir()
	if err := s.CA.Issue(dir, name, hosts...); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := ListenTLS(listener, pair, &tls.Config{RootCAs: s.CA.Pool()}, dialer("tcp", to))
	t.Cleanup(func() { _ = r.Close() })
	return r, listener.Addr().String()
}

// relaySockets puts a relay into the place of each unix socket that a daemon has made since the last time.
func (s *stage) relaySockets(t *testing.T) {
	t.Helper()
	const behind = ".relayed"
	all, err := filepath.Glob(filepath.Join(s.file.Platform.Sockets, "*.sock"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		name := filepath.Base(path)
		if last := s.sockets[name]; len(last) > 0 && alive(path, last[len(last)-1]) {
			continue
		}
		if err := os.Rename(path, path+behind); err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		listener.(*net.UnixListener).SetUnlinkOnClose(false)
		s.sockets[name] = append(s.sockets[name], Listen(listener, dialer("unix", path+behind)))
	}
}

// alive tells whether a path still leads to a relay, and not to a socket that was renamed over it.
func alive(path string, r *Relay) bool {
	before := len(r.There.Streams())
	conn, err := net.Dial("unix", path)
	if err != nil {
		return false
	}
	defer conn.Close()
	for range 50 {
		if len(r.There.Streams()) > before {
			return true
		}
		time.Sleep(time.Millisecond)
	}
	return false
}

// outside are the names of the parts of the commercial side.
func (s *stage) outside() (names []string) {
	inside := []string{"xds", "extauthz", "oidcprovider", "envoy-ingress", "envoy-gateway"}
	for name := range s.Parts {
		if !slices.Contains(inside, name) {
			names = append(names, name)
		}
	}
	return names
}

// edit changes the commercial file.
func (s *stage) edit(t *testing.T, old, fresh string) {
	t.Helper()
	if err := s.Platform.EditFile(old, fresh); err != nil {
		t.Fatal(err)
	}
}

func (s *stage) restart(t *testing.T, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err := s.Parts[part].Stop(); err != nil {
			t.Fatal(err)
		}
		s.again(t, part)
	}
}

// again starts a part that was stopped, and relays its sockets anew. The test's own context may have ended.
func (s *stage) again(t *testing.T, part string) {
	t.Helper()
	if err := s.Parts[part].Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.relaySockets(t)
}

// works waits until both sides answer.
func (s *stage) works(t *testing.T) {
	t.Helper()
	eventually(t, "everything is back", func() bool {
		return s.status(s.Browser(), s.URL("issues", "/health")) == 200 && s.status(s.Browser(), s.URL("auth", "/oauth2/jwks")) == 200 &&
			s.status(s.Browser(), s.at("support", "/")) == 401
	})
}

// person is somebody whose every name occurs nowhere else.
type person struct {
	idp.User
	group string
}

// people are two of the organisation, one with a second factor, and one whose domain it does not manage.
func people() []person {
	one := func(user, first, last, domain, totp string) person {
		group := "guild-of-" + user
		return person{group: group, User: idp.User{
			Username: user, Password: "password-of-" + user, TOTP: totp, Name: first + " " + last, EmailVerified: true, Groups: []string{group},
			Email: strings.ToLower(last) + "." + strings.ToLower(first) + "@" + domain,
		}}
	}
	return []person{
		one("zqlanternfish", "Quillonbeth", "Ferabrook", "acme.example", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"),
		one("zqsaltmarsh", "Tamsindore", "Umberwick", "acme.example", ""),
		one("zqtidewatcher", "Orlapenna", "Vexmoorish", "partner.example", ""),
	}
}

func (p person) canaries() []Canary {
	local, _, _ := strings.Cut(p.Email, "@")
	first, last, _ := strings.Cut(p.Name, " ")
	of := " of " + p.Username
	return []Canary{
		{"name" + of, p.Name}, {"first name" + of, first}, {"last name" + of, last}, {"address" + of, p.Email}, {"local part" + of, local},
		{"user name" + of, p.Username}, {"password" + of, p.Password}, {"subject" + of, idp.Subject(p.Username)}, {"group" + of, p.group},
	}
}

// strays are addresses that people type where they do not belong, by the place. Those of people above are never typed there: what is typed to a
// service reaches it, as it must.
type strays struct{ sync.Map }

const strayIn = "stray in "

func (s *strays) at(place string) string {
	text, _ := s.LoadOrStore(place, "stray-in-"+place+".zqpuffin@acme.example")
	return text.(string)
}

func (s *strays) canaries() (all []Canary) {
	for place, text := range s.Range {
		local, _, _ := strings.Cut(text.(string), "@")
		all = append(all, Canary{strayIn + place.(string), local})
	}
	return all
}
