package world

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// isolatedFile and commercialFile are what a person would write by hand; the README shows the same keys.
const isolatedFile = `cloud:
  id: {{.Cloud.ID}}
  domain: {{.Of.Domain}}
  port: {{.Ports.Edge}}
  products:
{{- range .Products}}
    - id: {{.ID}}
      name: {{.Name}}
      upstream: 127.0.0.1:{{.Port}}
      claims: [{{.Claims}}]
{{- if .WebSockets}}
      websockets: true
{{- end}}
{{- end}}
  managed_domains:
    - name: {{.Of.Managed}}
      state: verified
  clients:
    - id: {{.Client}}
      name: Commercial Platform
      jwks: secrets/clients/{{.Client}}.jwks
      redirect_uris: [{{.Callbacks}}]
      sector: {{.Sector}}
      callers: [{{.Caller}}]
{{.MoreClients}}  gateway:
    trust_domain: {{.TrustDomain}}
    callers: secrets/callers.pem
  listeners:
    ingress: 127.0.0.1:{{.Ports.Ingress}}
    gateway: 127.0.0.1:{{.Ports.Gateway}}
  sockets: {{.Sockets}}

extauthz:
  admin: 127.0.0.1:{{.Ports.ExtAuthz}}
  store: sessions.db
  policies: policies
  keys:
    uct: secrets/uct
    sealing: secrets/sealing
    user_id: secrets/user_id
  providers:
    - id: corp
      name: Corp
      issuer: https://{{.Of.IDP}}
      client_id: isogate
      client_secret: secrets/client_secret
      domains: [{{.Of.Domains}}]
  session:
{{- range $key, $value := .Session}}
    {{$key}}: {{$value}}
{{- end}}
  ca: {{.CA}}
  connect:
    "{{.Of.IDP}}": 127.0.0.1:{{.Ports.IDP}}

oidcprovider:
  admin: 127.0.0.1:{{.Ports.OAuth}}
  store: codes.db
  keys:
    signing: secrets/oauth
    sealing: secrets/oauth-sealing
    pairwise: secrets/pairwise
  ca: {{.CA}}

xds:
  admin: 127.0.0.1:{{.Ports.XDS}}
  policies: policies
  certificates:
    - certificate: secrets/ingress.pem
      key: secrets/ingress.key
`

const commercialFile = `platform:
  port: {{.Ports.Edge}}
  identity_host: {{.Identity}}
  services:
{{- range .Services}}
    - id: {{.ID}}
      name: {{.Name}}
      host: {{.Host}}
      upstream: 127.0.0.1:{{.Port}}
      federation: {{.Federation}}
{{- with .Egress}}
      egress:
        spiffe: {{.SPIFFE}}
        listen: 127.0.0.1:{{.Port}}
        certificate: commercial/callers/{{.ID}}.pem
        key: commercial/callers/{{.ID}}.key
        token_key: commercial/{{.TokenKey}}
        admin: 127.0.0.1:{{.Admin}}
{{- end}}
{{- end}}
  sign_in:
    - name: Sign in with a password
      address: {{.Login}}
  listeners:
    edge: 127.0.0.1:{{.Ports.Edge}}
    commercial: 127.0.0.1:{{.Ports.Commercial}}
  sockets: {{.Sockets}}

clouds:
{{- range .Clouds}}
  - id: {{.ID}}
    name: {{.Name}}
    domain: {{.Domain}}
    ingress: 127.0.0.1:{{.Ingress}}
    domains: [{{.Managed}}]
    issuer: {{.Issuer}}
    ca: ca/ca.pem
    client:
      id: {{$.Client}}
      key: {{.Key}}
    gateway: 127.0.0.1:{{.Gateway}}
{{- end}}

extauthz:
  admin: 127.0.0.1:{{.Ports.ExtAuthz}}
  keys:
    sealing: commercial/sealing
    federated: commercial/federated
    service_users: commercial/service_users
  check_every: {{.CheckEvery}}
  connect:
{{- range $name, $address := .Connect}}
    "{{$name}}": {{$address}}
{{- end}}

xds:
  admin: 127.0.0.1:{{.Ports.XDS}}
  certificates:
    - certificate: commercial/tls.pem
      key: commercial/tls.key
`

// writeFiles makes what the operators of each side would make: certificates, secrets, policies and the file.
func (w *World) writeFiles(context.Context) (err error) {
	if w.CA, err = openCA(filepath.Join(w.Dir, "ca")); err != nil {
		return err
	}
	if err := w.writeCallers(); err != nil {
		return err
	}
	for _, c := range w.clouds() {
		if err := w.writeCloud(c); err != nil {
			return err
		}
	}
	return w.writePlatform()
}

func (w *World) writeCloud(c *Cloud) error {
	if err := w.rotateCertificate(c); err != nil {
		return err
	}
	if err := w.CA.Issue(c.secret(""), "idp", c.of.provider); err != nil {
		return err
	}
	for _, name := range []string{"client_secret", "user_id", "pairwise"} {
		if err := replaceFile(c.secret(name), []byte(randomHex(32))); err != nil {
			return err
		}
	}
	if err := w.copyPolicies(c); err != nil {
		return err
	}
	if err := w.makeClient(c); err != nil {
		return err
	}
	values, err := w.isolatedValues(c)
	if err != nil {
		return err
	}
	return fill(c.File(), isolatedFile, values)
}

// isolatedValues are what the isolated file of a cloud says.
func (w *World) isolatedValues(c *Cloud) (map[string]any, error) {
	ca, err := filepath.Rel(c.dir, w.CA.File)
	if err != nil {
		return nil, err
	}
	session, more := w.Session, ""
	if session == nil || c != w.Cloud {
		session = map[string]string{"idle": "30m", "absolute": "12h", "federated": "24h"}
	}
	if c == w.Cloud {
		if more, err = w.moreClients(); err != nil {
			return nil, err
		}
	}
	domains := []string{c.of.managed}
	if c.of.guests != "" {
		domains = append(domains, c.of.guests)
	}
	type listed struct {
		entry
		Port int
	}
	var products []listed
	for _, p := range c.of.products {
		products = append(products, listed{p, c.ports.products[p.ID]})
	}
	return map[string]any{
		"Cloud": c, "Products": products, "Sockets": c.sockets, "Session": session, "CA": ca,
		"Of": map[string]string{"Domain": c.of.domain, "Managed": c.of.managed, "Domains": strings.Join(domains, ", "), "IDP": c.idpHost()},
		"Ports": map[string]int{
			"Edge": c.ports.edge, "Ingress": c.ports.ingress, "Gateway": c.ports.gateway, "IDP": c.ports.idp, "ExtAuthz": c.ports.extauth, "OAuth": c.ports.oauth, "XDS": c.ports.xds,
		},
		"TrustDomain": trustDomain, "Caller": SPIFFE("support"),
		"Client": Client, "Callbacks": strings.Join(w.callbacks(), ", "), "Sector": identityHost + "." + commercialDomain, "MoreClients": more,
	}, nil
}

func (w *World) writePlatform() error {
	p := w.Platform
	if err := w.CA.Issue(p.dir, "tls", guarded()...); err != nil {
		return err
	}
	if err := w.CA.Issue(p.dir, "login", loginHost+"."+commercialDomain); err != nil {
		return err
	}
	if err := replaceFile(p.secret("service_users"), []byte(randomHex(32))); err != nil {
		return err
	}
	return fill(p.file, commercialFile, w.commercialValues())
}

// commercialValues are what the commercial file says.
func (w *World) commercialValues() map[string]any {
	p := w.Platform
	type egress struct {
		ID, SPIFFE, TokenKey string
		Port, Admin          int
	}
	type service struct {
		ID, Name, Host, Federation string
		Port                       int
		Egress                     *egress
	}
	type directory struct {
		ID, Name, Domain, Managed, Issuer, Key string
		Ingress, Gateway                       int
	}
	var serving []service
	for _, s := range services {
		one := service{s.ID, s.Name, s.ID + "." + commercialDomain, s.Federation, p.ports.services[s.ID], nil}
		if port, has := p.ports.sidecars[s.ID]; has {
			one.Egress = &egress{s.ID, SPIFFE(s.ID), tokenKey(s.ID), port, p.ports.sidecarAdmins[s.ID]}
		}
		serving = append(serving, one)
	}
	var clouds []directory
	connect := map[string]string{}
	for _, c := range w.clouds() {
		clouds = append(clouds, directory{
			c.ID, c.of.title, c.of.domain, c.of.managed, c.URL("auth", ""), filepath.Join("commercial", clientFolder(c)), c.ports.ingress, c.ports.gateway,
		})
		connect[c.host("auth")] = w.Edge()
	}
	every := w.CheckEvery
	if every == "" {
		every = "60s"
	}
	return map[string]any{
		"Services": serving, "Clouds": clouds, "Connect": connect, "CheckEvery": every, "Client": Client, "Login": p.URL(loginHost, "/"),
		"Identity": identityHost + "." + commercialDomain, "Sockets": p.sockets,
		"Ports": map[string]int{"Edge": p.ports.edge, "Commercial": p.ports.commercial, "ExtAuthz": p.ports.extauth, "XDS": p.ports.xds},
	}
}

// RotateCertificate gives the first cloud's ingress a new certificate.
func (w *World) RotateCertificate() error { return w.rotateCertificate(w.Cloud) }

func (w *World) rotateCertificate(c *Cloud) error {
	return w.CA.Issue(c.secret(""), "ingress", c.of.domain, "*."+c.of.domain)
}

func (c *Cloud) clientSecret() string {
	raw, _ := os.ReadFile(c.secret("client_secret")) // written just before
	return string(raw)
}

func (w *World) copyPolicies(c *Cloud) error {
	files, err := filepath.Glob(filepath.Join(w.Root, "policies", "*.rego"))
	if err != nil {
		return err
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := replaceFile(filepath.Join(c.Policies(), filepath.Base(file)), raw); err != nil {
			return err
		}
	}
	return nil
}

func fill(file, text string, values any) error {
	var out strings.Builder
	if err := template.Must(template.New(filepath.Base(file)).Parse(text)).Execute(&out, values); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return replaceFile(file, []byte(out.String()))
}

func randomHex(n int) string {
	raw := make([]byte, n)
	rand.Read(raw) // it never returns an error: without randomness the process ends
	return hex.EncodeToString(raw)
}
