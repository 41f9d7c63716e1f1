package world

import (
	"context"
	"encoding/json"
	"net"
	"path/filepath"
	"strconv"

	"isogate/extauthz/usercontext"
	"isogate/policies"
)

// manifest is world.json: what people's scripts and tests need of a running world. Relative paths start at the project's folder.
type manifest struct {
	CA        string                `json:"ca"`
	Edge      string                `json:"edge"`
	Connect   map[string]string     `json:"connect"`
	Hosts     map[string]string     `json:"hosts"`
	Issuer    string                `json:"issuer"`
	UCTJWKS   string                `json:"uct_jwks"`
	Users     []manifestUser        `json:"users"`
	Anonymous []manifestEndpoint    `json:"anonymous"`
	Policies  string                `json:"policies"`
	Config    map[string]string     `json:"config"`
	Envoys    map[string]manifestEV `json:"envoys"`
	Daemons   map[string]manifestD  `json:"daemons"`
	Clients   map[string]manifestCl `json:"clients"` // whose private keys the world holds
}

type manifestUser struct {
	Username string `json:"username"`
	Password string `json:"password"`
	TOTP     string `json:"totp"`
	Email    string `json:"email"`
	Name     string `json:"name"`
	MFA      bool   `json:"mfa"`
}

type manifestEndpoint struct {
	Host   string `json:"host"`
	Method string `json:"method"`
	Path   string `json:"path"`
}

type manifestEV struct {
	Pid   int    `json:"pid"`
	Admin string `json:"admin"` // a unix socket
}

type manifestD struct {
	Pid     int    `json:"pid"`
	Metrics string `json:"metrics"`
	Log     string `json:"log"`
}

type manifestCl struct {
	PrivateKeys  string   `json:"jwks_private"`
	RedirectURIs []string `json:"redirect_uris"`
}

// Manifest is where world.json stands.
func (w *World) Manifest() string { return filepath.Join(w.Dir, "world.json") }

// writeManifest describes the world as it is now. It is written when all is ready, and again when a part has come back.
func (w *World) writeManifest() error {
	w.writing.Lock()
	defer w.writing.Unlock()
	if !w.ready.Load() {
		return nil
	}
	bundle, err := policies.Load(context.Background(), w.Policies())
	if err != nil {
		return err
	}
	m := manifest{
		CA: w.relative(w.CA.File), Edge: w.Edge(), Connect: w.Connect(), Hosts: w.hosts(),
		Issuer: w.URL("auth", ""), UCTJWKS: w.URL("auth", usercontext.JWKSPath), Policies: w.relative(w.Policies()),
		Config: map[string]string{"isolated": w.relative(w.File()), "commercial": w.relative(w.commercial())},
		Envoys: map[string]manifestEV{}, Daemons: map[string]manifestD{},
		Clients: map[string]manifestCl{Client: {w.relative(w.privateKeys()), []string{w.callback()}}},
	}
	for _, u := range w.Users {
		m.Users = append(m.Users, manifestUser{u.Username, u.Password, u.TOTP, u.Email, u.Name, u.TOTP != ""})
	}
	for _, a := range bundle.AnonymousEndpoints() {
		m.Anonymous = append(m.Anonymous, manifestEndpoint{w.hosts()[a.Product], a.Method, a.Path})
	}
	for _, role := range roles {
		m.Envoys[string(role)] = manifestEV{w.Parts["envoy-"+string(role)].Pid(), w.adminSocket(role)}
	}
	for _, name := range []string{"xds", "xds-commercial", "extauthz", "oidcprovider"} {
		_, _, admin := w.daemon(name)
		m.Daemons[name] = manifestD{w.Parts[name].Pid(), "http://" + local(admin) + "/metrics", w.relative(w.logFile(name))}
	}
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(w.Manifest(), append(raw, '\n'))
}

func (w *World) hosts() map[string]string {
	out := map[string]string{"idp": w.idpHost()}
	for _, name := range []string{"auth", "issues", "wiki"} {
		out[name] = net.JoinHostPort(name+"."+Domain, strconv.Itoa(w.ports.edge))
	}
	return out
}

func (w *World) relative(path string) string {
	if short, err := filepath.Rel(w.Root, path); err == nil {
		return short
	}
	return path
}
