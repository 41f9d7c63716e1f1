package world

import (
	"context"
	"encoding/json"
	"path/filepath"

	"isogate/extauthz/usercontext"
	"isogate/policies"
)

// manifest is world.json: what people's scripts and tests need of a running world. Relative paths start at the project's folder.
type manifest struct {
	ID        string                `json:"id"` // of the isolated cloud
	CA        string                `json:"ca"`
	Edge      string                `json:"edge"`
	Connect   map[string]string     `json:"connect"`
	Hosts     map[string]string     `json:"hosts"`
	Issuer    string                `json:"issuer"`
	UCTJWKS   string                `json:"uct_jwks"`
	Gateway   string                `json:"gateway"`
	GatewayAt string                `json:"gateway_name"` // the server name to ask for there
	Users     []manifestUser        `json:"users"`
	Anonymous []manifestEndpoint    `json:"anonymous"`
	Policies  string                `json:"policies"`
	Config    map[string]string     `json:"config"`
	Envoys    map[string]manifestEV `json:"envoys"`
	Daemons   map[string]manifestD  `json:"daemons"`
	Clients   map[string]manifestCl `json:"clients"`            // whose private keys the world holds
	Sidecars  map[string]string     `json:"sidecars,omitempty"` // where each service calls
	Callers   map[string]manifestCa `json:"callers,omitempty"`  // of gateways
	Clouds    map[string]manifest   `json:"clouds,omitempty"`   // the second cloud, by its id
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

type manifestCa struct {
	SPIFFE      string `json:"spiffe"`
	Certificate string `json:"cert"`
	Key         string `json:"key"`
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
	m, err := w.describe(w.Cloud)
	if err != nil {
		return err
	}
	m.Hosts, m.Config["commercial"] = w.hosts(), w.relative(w.Platform.file)
	w.describeParts(&m, w.Platform.programs(), w.Platform.proxies())
	w.describeCallers(&m)
	if w.Globex != nil {
		second, err := w.describe(w.Globex)
		if err != nil {
			return err
		}
		m.Clouds = map[string]manifest{w.Globex.ID: second}
	}
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(w.Manifest(), append(raw, '\n'))
}

// describe says what there is of one cloud.
func (w *World) describe(c *Cloud) (manifest, error) {
	bundle, err := policies.Load(context.Background(), c.Policies())
	if err != nil {
		return manifest{}, err
	}
	m := manifest{
		ID: c.ID, CA: w.relative(w.CA.File), Edge: w.Edge(), Connect: w.Connect(), Hosts: c.hosts(),
		Issuer: c.URL("auth", ""), UCTJWKS: c.URL("auth", usercontext.JWKSPath), Gateway: local(c.ports.gateway), GatewayAt: c.GatewayHost(), Policies: w.relative(c.Policies()),
		Config: map[string]string{"isolated": w.relative(c.File())},
		Envoys: map[string]manifestEV{}, Daemons: map[string]manifestD{},
		Clients: map[string]manifestCl{Client: {w.relative(w.privateKeys(c)), w.callbacks()}},
	}
	for _, u := range c.Users {
		m.Users = append(m.Users, manifestUser{u.Username, u.Password, u.TOTP, u.Email, u.Name, u.TOTP != ""})
	}
	for _, a := range bundle.AnonymousEndpoints() {
		if host := m.Hosts[a.Product]; host != "" { // both clouds have the same policies, and not the same products
			m.Anonymous = append(m.Anonymous, manifestEndpoint{host, a.Method, a.Path})
		}
	}
	w.describeParts(&m, c.programs(), c.proxies())
	return m, nil
}

func (w *World) describeParts(m *manifest, programs []program, proxies []proxy) {
	for _, p := range programs {
		m.Daemons[p.part] = manifestD{w.Parts[p.part].Pid(), "http://" + local(p.admin) + "/metrics", w.relative(w.logFile(p.part))}
	}
	for _, p := range proxies {
		m.Envoys[string(p.role)] = manifestEV{w.Parts[p.part].Pid(), w.adminSocket(p.part)}
	}
}

func (w *World) describeCallers(m *manifest) {
	m.Sidecars, m.Callers = map[string]string{}, map[string]manifestCa{}
	for _, id := range sidecars() {
		m.Sidecars[id] = local(w.Platform.ports.sidecars[id])
	}
	for _, name := range callers() {
		file := w.relative(w.Platform.caller(name))
		m.Callers[name] = manifestCa{SPIFFE(name), file + ".pem", file + ".key"}
	}
}

func (w *World) relative(path string) string {
	if short, err := filepath.Rel(w.Root, path); err == nil {
		return short
	}
	return path
}
