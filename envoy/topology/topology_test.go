package topology

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"isogate/envoy/daemon"
)

// file is what a daemon reads: the shared sections and those of the others.
type file struct {
	Frame    `yaml:",inline"`
	ExtAuthz Other `yaml:"extauthz"`
}

const (
	isolated = `cloud:
  id: k3v9x2m7q4w8z1ab
  domain: acme.example
  port: 8443
  managed_domains: [{name: acme.example, state: verified}]
  listeners:
    ingress: 127.0.0.1:8444
  sockets: run
  products:
    - id: issues
      upstream: 127.0.0.1:9001
      claims: [email, groups]
      origins: ["https://wiki.acme.example:8443"]
    - id: wiki
      name: The Wiki
      host: pages.acme.example
      upstream: wiki.internal:80
      websockets: true
      idle_timeout: 2m
      stream_limit: 1h
extauthz: {anything: [1]}
`
	commercial = `platform:
  listeners:
    edge: :443
  sockets: /run/isogate
clouds:
  - id: k3v9x2m7q4w8z1ab
    domain: acme.example
    ingress: 10.0.0.1:8444
  - id: 0123456789abcdef
    domain: globex.example
    ingress: 10.0.0.2:8444
`
)

// load gives the lines of the faults; the file's name is cut off the first and an F in the others.
func load(t *testing.T, text string) (file, string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var f file
	if err := daemon.Load(name, &f); err != nil {
		return f, strings.TrimPrefix(strings.ReplaceAll(err.Error(), name+":", "F"), "F")
	}
	return f, ""
}

// A change replaces one piece of a good file.
type change struct{ name, old, new, want string }

func try(t *testing.T, good string, changes []change) {
	t.Helper()
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			if c.old != "" && strings.Count(good, c.old) != 1 {
				t.Fatalf("%q stands %d times in the good file", c.old, strings.Count(good, c.old))
			}
			_, got := load(t, strings.Replace(good, c.old, c.new, 1))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGoodFiles(t *testing.T) {
	f, faults := load(t, isolated)
	if faults != "" || !f.Isolated() || len(f.Cloud.Products) != 2 {
		t.Errorf("isolated: %s", faults)
	}
	if f.Cloud.Sockets == "run" || !filepath.IsAbs(string(f.Cloud.Sockets)) {
		t.Errorf("sockets = %s", f.Cloud.Sockets)
	}
	f, faults = load(t, commercial)
	if faults != "" || f.Isolated() || len(f.Clouds) != 2 || f.Platform.Sockets != "/run/isogate" {
		t.Errorf("commercial: %s", faults)
	}
}

func TestCloudFaults(t *testing.T) {
	const (
		badID     = "2: cloud.id: must be 16 to 64 characters of a-z, 0-9 and -, made at random: it names this cloud to others and must not be guessable"
		badDomain = "3: cloud.domain: must be a lower-case domain name, such as acme.example"
	)
	id, domain := "k3v9x2m7q4w8z1ab", "domain: acme.example\n"
	try(t, isolated, []change{
		{"id too short", id, id[:15], badID},
		{"id too long", id, strings.Repeat("a", 65), badID},
		{"id of the longest length", id, strings.Repeat("a", 64), ""},
		{"id in capitals", id, strings.ToUpper(id), badID},
		{"id with a line end", id, `"k3v9x2m7q4w8z1ab\n"`, badID},
		{"id absent", "  id: " + id + "\n", "", "1: cloud.id: " + strings.TrimPrefix(badID, "2: cloud.id: ")},
		{"domain of one label", domain, "domain: acme\n", badDomain},
		{"domain in capitals", domain, "domain: ACME.example\n", badDomain},
		{"domain with a dot at the end", domain, "domain: acme.example.\n", badDomain},
		{"domain is an address", domain, "domain: 10.0.0.1\n", badDomain},
		{"domain is a wildcard", domain, "domain: '*.example'\n", badDomain},
		{"domain with an underscore", domain, "domain: a_b.example\n", badDomain},
		{"domain with a dash at an end", domain, "domain: -a.example\n", badDomain},
		{"domain with an empty label", domain, "domain: a..example\n", badDomain},
		{"domain with a long label", domain, "domain: " + strings.Repeat("a", 64) + ".example\n", badDomain},
		{"domain absent", "  " + domain, "", "1: cloud.domain: " + strings.TrimPrefix(badDomain, "3: cloud.domain: ")},
		{"port negative", "port: 8443", "port: -1", "4: cloud.port: must be from 1 to 65535"},
		{"port too large", "port: 8443", "port: 65536", "4: cloud.port: must be from 1 to 65535"},
		{"port absent", "  port: 8443\n", "", ""},
		{"no listener", "    ingress: 127.0.0.1:8444\n", "    {}\n", "6: cloud.listeners.ingress: is required: host:port"},
		{"no listeners", "  listeners:\n    ingress: 127.0.0.1:8444\n", "", "1: cloud.listeners.ingress: is required: host:port"},
		{"no sockets", "  sockets: run\n", "", "1: cloud.sockets: is required: a folder for unix sockets"},
		{"another role's listener", "ingress: 127.0.0.1:8444", "ingress: 127.0.0.1:8444\n    edge: :1", `8: cloud.listeners.edge: unknown key "edge"`},
	})
}

func TestProductFaults(t *testing.T) {
	const badID, below = "must be 1 to 32 characters of a-z, 0-9 and -, starting with a letter", "must stand directly below acme.example"
	try(t, isolated, []change{
		{"none", isolated[strings.Index(isolated, "  products:"):], "  products: []\n", "9: cloud.products: needs at least one product"},
		{"absent", isolated[strings.Index(isolated, "  products:"):], "", "1: cloud.products: needs at least one product"},
		{"id in capitals", "id: issues", "id: Issues", "10: cloud.products[0].id: " + badID},
		{"id starts with a digit", "id: issues", "id: 1st", "10: cloud.products[0].id: " + badID},
		{"id too long", "id: issues", "id: " + strings.Repeat("a", 33), "10: cloud.products[0].id: " + badID},
		{"id with a dot", "id: issues", "id: a.b", "10: cloud.products[0].id: " + badID},
		{"id with a line end", "id: issues", `id: "issues\n"`, "10: cloud.products[0].id: " + badID},
		{"id absent", "    - id: wiki\n      name", "    - name", "14: cloud.products[1].id: " + badID},
		{"id twice", "id: wiki", "id: issues", `14: cloud.products[1].id: "issues" names another product already`},
		{"id that makes no host", "id: issues", "id: issues-", `10: cloud.products[0].host: "issues-.acme.example" ` + below},
		{"id is auth", "id: issues", "id: auth", "10: cloud.products[0].id: auth is the auth host's own name: choose another"},
		{"id is the OAuth server", "id: issues", "id: oidcprovider", "10: cloud.products[0].id: oidcprovider is the OAuth server's own name: choose another"},
		{"host is the auth host", "host: pages.", "host: auth.", `16: cloud.products[1].host: "auth.acme.example" belongs to another product, or is the auth host or the gateway`},
		{"host twice", "host: pages.", "host: issues.", `16: cloud.products[1].host: "issues.acme.example" belongs to another product, or is the auth host or the gateway`},
		{"host is the domain", "host: pages.", "host: ", `16: cloud.products[1].host: "acme.example" ` + below},
		{"host two labels below", "host: pages.", "host: a.pages.", `16: cloud.products[1].host: "a.pages.acme.example" ` + below},
		{"host of another domain", "host: pages.acme.example", "host: pages.evil.example", `16: cloud.products[1].host: "pages.evil.example" ` + below},
		{"host of a domain with the same end", "host: pages.acme", "host: pages.notacme", `16: cloud.products[1].host: "pages.notacme.example" ` + below},
		{"host in capitals", "host: pages", "host: Pages", `16: cloud.products[1].host: "Pages.acme.example" ` + below},
		{"host is a wildcard", "host: pages.acme.example", "host: '*.acme.example'", `16: cloud.products[1].host: "*.acme.example" ` + below},
		{"upstream absent", "      upstream: 127.0.0.1:9001\n", "", "10: cloud.products[0].upstream: is required: host:port of the product"},
		{"upstream without a host", "127.0.0.1:9001", ":9001", "11: cloud.products[0].upstream: needs a host before the port: it is connected to, not listened on"},
		{"upstream without a port", "127.0.0.1:9001", "127.0.0.1", "11: cloud.products[0].upstream: must be host:port, such as 127.0.0.1:8443"},
		{"unknown claim", "[email, groups]", "[email, phone]", "12: cloud.products[0].claims[1]: must be one of [email name groups]"},
		{"timeout without a unit", "idle_timeout: 2m", "idle_timeout: 120", "19: cloud.products[1].idle_timeout: must be a time span with its unit, such as 30m or 12h"},
		{"unknown key", "websockets: true", "web_sockets: true", `18: cloud.products[1].web_sockets: unknown key "web_sockets"`},
		{"several at once", "issues\n      upstream: 127.0.0.1:9001\n      claims: [email, groups]", "X\n      claims: [a]\n      stream_limit: 5",
			"10: cloud.products[0].id: " + badID + "\nF10: cloud.products[0].upstream: is required: host:port of the product\n" +
				"F11: cloud.products[0].claims[0]: must be one of [email name groups]\nF12: cloud.products[0].stream_limit: must be a time span with its unit, such as 30m or 12h"},
	})
}

func TestOriginFaults(t *testing.T) {
	for origin, good := range map[string]bool{
		"https://a.example": true, "https://a.example:8443": true, "https://a.example:1": true, "https://a.example:65535": true,
		"http://a.example": false, "https://a.example/": false, "https://a.example/x": false, "https://A.example": false, "HTTPS://a.example": false,
		"https://u@a.example": false, "https://a.example?x": false, "https://a.example#": false, "https://a.example:": false,
		"https://a.example:443": false, "https://a.example:0": false, "https://a.example:65536": false, "https://a.example:08443": false, "https://a.example:+80": false,
		"https://10.0.0.1": false, "https://[::1]:80": false, "https://localhost": false, "https://*.a.example": false, "a.example": false, "null": false, "*": false, "": false,
		"https://a.example:1:2": false, "https://https://a.example": false, "https://a.example.": false,
	} {
		if got := isOrigin(origin); got != good {
			t.Errorf("%q: %t", origin, got)
		}
	}
	try(t, isolated, []change{{"origin", `"https://wiki.acme.example:8443"`, `"https://a.example", "http://b.example"`,
		"13: cloud.products[0].origins[1]: must be https://host or https://host:port, lower-case and without a path"}})
}

func TestPlatformFaults(t *testing.T) {
	const badID, badDomain = "must be the isolated cloud's id: 16 to 64 characters of a-z, 0-9 and -", "must be a lower-case domain name, such as acme.example"
	clouds := commercial[strings.Index(commercial, "clouds:"):]
	try(t, commercial, []change{
		{"no listener", "edge: :443", "{}", "2: platform.listeners.edge: is required: host:port"},
		{"another role's listener", "edge: :443", "edge: :443\n    ingress: :1", `4: platform.listeners.ingress: unknown key "ingress"`},
		{"no sockets", "  sockets: /run/isogate\n", "", "1: platform.sockets: is required: a folder for unix sockets"},
		{"no clouds", clouds, "clouds: []\n", "5: clouds: needs at least one isolated cloud"},
		{"clouds absent", clouds, "", "1: clouds: needs at least one isolated cloud"},
		{"id", "0123456789abcdef", "globex", "9: clouds[1].id: " + badID},
		{"id absent", "  - id: 0123456789abcdef\n    domain", "  - domain", "9: clouds[1].id: " + badID},
		{"domain", "globex.example", "globex", "10: clouds[1].domain: " + badDomain},
		{"ingress absent", "    ingress: 10.0.0.2:8444\n", "", "9: clouds[1].ingress: is required: host:port of the cloud's ingress"},
		{"ingress without a host", "10.0.0.2:8444", ":8444", "11: clouds[1].ingress: needs a host before the port: it is connected to, not listened on"},
		{"id twice", "0123456789abcdef", "k3v9x2m7q4w8z1ab", "9: clouds[1]: names an id or a domain that another entry has"},
		{"domain twice", "globex.example", "acme.example", "9: clouds[1]: names an id or a domain that another entry has"},
		{"two empty entries are not called alike", clouds, "clouds: [{}, {}]\n", "5: clouds[0].domain: " + badDomain + "\nF5: clouds[0].id: " + badID +
			"\nF5: clouds[0].ingress: is required: host:port of the cloud's ingress\nF5: clouds[1].domain: " + badDomain + "\nF5: clouds[1].id: " + badID +
			"\nF5: clouds[1].ingress: is required: host:port of the cloud's ingress"},
	})
}

// One file serves one side.
func TestFrameFaults(t *testing.T) {
	const neither = "needs cloud: (the isolated side) or platform: (the commercial side)"
	const both = "cloud: cannot stand beside platform: or clouds: one file serves one side"
	platform, clouds, _ := strings.Cut(commercial, "clouds:")
	tests := []struct{ name, in, want string }{
		{"neither", "extauthz: {}\n", "1: " + neither},
		{"cloud is null", "cloud:\nextauthz: {}\n", "1: " + neither},
		{"clouds alone", "clouds:" + clouds, "1: " + neither},
		{"both", isolated + commercial, "1: " + both},
		{"cloud beside platform", isolated + platform, "1: " + both},
		{"cloud beside clouds", isolated + "clouds:" + clouds, "1: " + both},
		{"cloud beside no clouds", isolated + "clouds: []\n", "1: " + both},
		{"unknown section", isolated + "gateway: {}\n", `22: gateway: unknown key "gateway"`},
		{"a cloud's key in the platform", strings.Replace(commercial, "  sockets", "  managed_domains: [a.example]\n  sockets", 1), `4: platform.managed_domains: unknown key "managed_domains"`},
		{"a directory's key in the cloud", strings.Replace(isolated, "  sockets", "  ingress: a:1\n  sockets", 1), `8: cloud.ingress: unknown key "ingress"`},
		{"a cloud's key in the directory", commercial + "    products: []\n", `12: clouds[1].products: unknown key "products"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, got := load(t, tt.in)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestURL(t *testing.T) {
	for port, want := range map[int]string{0: "https://a.acme.example", 443: "https://a.acme.example", 8443: "https://a.acme.example:8443"} {
		if got := (Cloud{Port: port}).URL("a.acme.example"); got != want {
			t.Errorf("port %d: %s, want %s", port, got, want)
		}
	}
}

func TestNamesOfACloud(t *testing.T) {
	f, _ := load(t, isolated)
	c := *f.Cloud
	c.Sockets = "/run/x"
	got := append(c.Hosts(), c.CheckSocket("ingress"), c.DoorSocket(), c.OAuthSocket(), c.SessionSocket(), c.XDSSocket(Ingress), Platform{Sockets: "/run/y"}.XDSSocket(Edge))
	want := []string{"auth.acme.example", "issues.acme.example", "pages.acme.example",
		"/run/x/check-ingress.sock", "/run/x/door.sock", "/run/x/oauth.sock", "/run/x/session.sock", "/run/x/xds-ingress.sock", "/run/y/xds-edge.sock"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestProductDefaults(t *testing.T) {
	f, _ := load(t, isolated)
	issues, wiki := f.Cloud.Products[0], f.Cloud.Products[1]
	if issues.Title() != "issues" || issues.Idle() != time.Minute || issues.Stream() != 5*time.Minute || issues.WebSockets {
		t.Errorf("defaults: %s %s %s %t", issues.Title(), issues.Idle(), issues.Stream(), issues.WebSockets)
	}
	if wiki.Title() != "The Wiki" || wiki.Idle() != 2*time.Minute || wiki.Stream() != time.Hour || !wiki.WebSockets {
		t.Errorf("given: %s %s %s %t", wiki.Title(), wiki.Idle(), wiki.Stream(), wiki.WebSockets)
	}
}
