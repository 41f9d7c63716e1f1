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

	"isogate/examples/idp"
)

// demoUsers are the people of the organisation. The passwords are public: the world is for loopback only.
func demoUsers() []idp.User {
	return []idp.User{
		{Username: "alice", Password: "correct-horse", TOTP: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", Email: "alice@acme.example", EmailVerified: true, Name: "Alice Arden", Groups: []string{"staff", "engineering"}},
		{Username: "bob", Password: "battery-staple", Email: "bob@acme.example", EmailVerified: true, Name: "Bob Birch", Groups: []string{"staff"}},
		{Username: "carol", Password: "carol-of-the-bells", Email: "carol@elsewhere.example", EmailVerified: true, Name: "Carol Cole", Groups: []string{"guests"}},
		{Username: "dave", Password: "dave-unverified", Email: "dave@acme.example", Name: "Dave Dunn"},
		{Username: "erin", Password: "erin-of-partner", Email: "erin@partner.example", EmailVerified: true, Name: "Erin Eld", Groups: []string{"partners"}},
	}
}

// isolatedFile and commercialFile are what a person would write by hand; the README shows the same keys.
const isolatedFile = `cloud:
  id: {{.CloudID}}
  domain: {{.Domain}}
  port: {{.Edge}}
  products:
    - id: issues
      name: Issue tracker
      upstream: 127.0.0.1:{{.Issues}}
      claims: [email, name, groups]
      websockets: true
    - id: wiki
      name: Wiki
      upstream: 127.0.0.1:{{.Wiki}}
      claims: [name]
  managed_domains:
    - name: acme.example
      state: verified
  clients:
    - id: {{.Client}}
      name: Commercial Platform
      jwks: {{.ClientKeys}}
      redirect_uris: [{{.Callback}}]
      sector: {{.CommercialHost}}
      callers: [spiffe://commercial.example/support]
{{.MoreClients}}  listeners:
    ingress: 127.0.0.1:{{.Ingress}}
  sockets: {{.Sockets}}

extauthz:
  admin: 127.0.0.1:{{.ExtAuthz}}
  store: sessions.db
  policies: policies
  keys:
    uct: secrets/uct
    sealing: secrets/sealing
    user_id: secrets/user_id
  providers:
    - id: corp
      name: Corp
      issuer: https://{{.IDPHost}}
      client_id: isogate
      client_secret: secrets/client_secret
      domains: [acme.example, partner.example]
  session:
{{- range $key, $value := .Session}}
    {{$key}}: {{$value}}
{{- end}}
  ca: ca/ca.pem
  connect:
    "{{.IDPHost}}": 127.0.0.1:{{.IDP}}

oidcprovider:
  admin: 127.0.0.1:{{.OAuth}}
  store: codes.db
  keys:
    signing: secrets/oauth
    sealing: secrets/oauth-sealing
    pairwise: secrets/pairwise
  ca: ca/ca.pem

xds:
  admin: 127.0.0.1:{{.XDS}}
  certificates:
    - certificate: secrets/ingress.pem
      key: secrets/ingress.key
`

const commercialFile = `platform:
  listeners:
    edge: 127.0.0.1:{{.Edge}}
  sockets: {{.Sockets}}

clouds:
  - id: {{.CloudID}}
    domain: {{.Domain}}
    ingress: 127.0.0.1:{{.Ingress}}

xds:
  admin: 127.0.0.1:{{.Commercial}}
`

// writeFiles makes what an operator would make: certificates, secrets, policies and the two files.
func (w *World) writeFiles(context.Context) (err error) {
	if w.CA, err = openCA(filepath.Join(w.Dir, "ca")); err != nil {
		return err
	}
	secrets := filepath.Join(w.Dir, "secrets")
	if err := w.RotateCertificate(); err != nil {
		return err
	}
	if err := w.CA.Issue(secrets, "idp", idpName); err != nil {
		return err
	}
	for _, name := range []string{"client_secret", "user_id", "pairwise"} {
		if err := replaceFile(filepath.Join(secrets, name), []byte(randomHex(32))); err != nil {
			return err
		}
	}
	if err := w.copyPolicies(); err != nil {
		return err
	}
	if err := w.makeClient(); err != nil {
		return err
	}
	more, err := w.moreClients()
	if err != nil {
		return err
	}
	session := w.Session
	if session == nil {
		session = map[string]string{"idle": "30m", "absolute": "12h", "federated": "24h"}
	}
	values := map[string]any{
		"CloudID": "acme-" + randomHex(10), "Domain": Domain, "Sockets": w.sockets, "Session": session, "IDPHost": w.idpHost(),
		"Edge": w.ports.edge, "Ingress": w.ports.ingress, "IDP": w.ports.idp, "Issues": w.ports.issues, "Wiki": w.ports.wiki,
		"ExtAuthz": w.ports.extauth, "XDS": w.ports.xds, "Commercial": w.ports.commercial, "OAuth": w.ports.oauth,
		"Client": Client, "ClientKeys": filepath.Join("secrets", "clients", Client+".jwks"), "Callback": w.callback(), "CommercialHost": commercialHost, "MoreClients": more,
	}
	if err := fill(w.File(), isolatedFile, values); err != nil {
		return err
	}
	return fill(w.commercial(), commercialFile, values)
}

func (w *World) commercial() string { return filepath.Join(w.Dir, "commercial.yaml") }

// RotateCertificate gives the ingress a new certificate.
func (w *World) RotateCertificate() error {
	return w.CA.Issue(filepath.Join(w.Dir, "secrets"), "ingress", Domain, "*."+Domain)
}

// EditFile replaces text in the isolated file, as an operator's editor would. The old text must be there.
func (w *World) EditFile(old, fresh string) error {
	raw, err := os.ReadFile(w.File())
	if err != nil {
		return err
	}
	if !strings.Contains(string(raw), old) {
		return fmt.Errorf("world: the isolated file does not hold %q", old)
	}
	return replaceFile(w.File(), []byte(strings.Replace(string(raw), old, fresh, 1)))
}

func (w *World) clientSecret() string {
	raw, _ := os.ReadFile(filepath.Join(w.Dir, "secrets", "client_secret")) // written just before
	return string(raw)
}

func (w *World) copyPolicies() error {
	files, err := filepath.Glob(filepath.Join(w.Root, "policies", "*.rego"))
	if err != nil {
		return err
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := replaceFile(filepath.Join(w.Policies(), filepath.Base(file)), raw); err != nil {
			return err
		}
	}
	return nil
}

func fill(file, text string, values any) error {
	var out strings.Builder
	if err := template.Must(template.New(filepath.Base(file)).Parse(text)).Execute(&out, values); err != nil {
		return err
	}
	return replaceFile(file, []byte(out.String()))
}

func randomHex(n int) string {
	raw := make([]byte, n)
	rand.Read(raw) // it never returns an error: without randomness the process ends
	return hex.EncodeToString(raw)
}
