package world

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"isogate/examples/idp"
	"isogate/examples/product"
)

// Cloud is one isolated cloud of a world: an organisation with its identity provider, its products, its file, its keys and its parts.
type Cloud struct {
	ID       string // the isolated cloud's id
	Users    []idp.User
	IDP      *Site // the identity provider, which can be stopped and started
	Provider *idp.Provider
	Products map[string]*product.Product

	of           organisation
	ports        cloudPorts
	dir, sockets string // of its files, and of its unix sockets
	suffix       string // of the names of its parts; none in the first cloud
}

// newCloud is a cloud that has no ports yet.
func newCloud(of organisation, dir, sockets, suffix string) *Cloud {
	return &Cloud{
		ID: of.name + "-" + randomHex(10), Users: of.people, Products: map[string]*product.Product{},
		of: of, dir: dir, sockets: sockets, suffix: suffix, ports: cloudPorts{products: map[string]int{}},
	}
}

// URL is the external address of a path on a guarded host, given by its first label.
func (c *Cloud) URL(name, path string) string { return "https://" + c.host(name) + path }

func (c *Cloud) host(name string) string {
	return net.JoinHostPort(name+"."+c.of.domain, strconv.Itoa(c.ports.edge))
}

// File is the isolated file.
func (c *Cloud) File() string { return filepath.Join(c.dir, "isolated.yaml") }

// Policies is the folder of the running world's Rego files: a copy, so that trying an edit changes nothing of the project.
func (c *Cloud) Policies() string { return filepath.Join(c.dir, "policies") }

// EditFile replaces text in the isolated file, as an operator's editor would. The old text must be there.
func (c *Cloud) EditFile(old, fresh string) error { return editFile(c.File(), old, fresh) }

// EditFileAndWait is EditFile, and returns when all daemons of the cloud have read the file.
func (c *Cloud) EditFileAndWait(ctx context.Context, old, fresh string) error {
	before := map[int]string{}
	for _, p := range c.programs() {
		seen, err := reloads(ctx, p.admin)
		if err != nil {
			return err
		}
		before[p.admin] = seen
	}
	if err := c.EditFile(old, fresh); err != nil {
		return err
	}
	for admin, seen := range before {
		for now := seen; now == seen; {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(10 * time.Millisecond):
			}
			var err error
			if now, err = reloads(ctx, admin); err != nil {
				return err
			}
		}
	}
	return nil
}

// reloads is what a daemon counts of the files that it read again, whatever came of it.
func reloads(ctx context.Context, admin int) (seen string, err error) {
	metrics, err := fetch(ctx, "http://"+local(admin)+"/metrics")
	for line := range strings.Lines(string(metrics)) {
		if strings.HasPrefix(line, "isogate_reloads_total") {
			seen += line
		}
	}
	return seen, err
}

func editFile(file, old, fresh string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !strings.Contains(string(raw), old) {
		return fmt.Errorf("world: %s does not hold %q", file, old)
	}
	return replaceFile(file, []byte(strings.Replace(string(raw), old, fresh, 1)))
}

// User finds one of the organisation's people.
func (c *Cloud) User(name string) idp.User {
	for _, u := range c.Users {
		if u.Username == name {
			return u
		}
	}
	return idp.User{}
}

// Part is the name of one of its parts, such as extauthz or envoy-ingress.
func (c *Cloud) Part(name string) string { return name + c.suffix }

func (c *Cloud) secret(name string) string { return filepath.Join(c.dir, "secrets", name) }

// hosts are its guarded hosts by their first label, and its identity provider.
func (c *Cloud) hosts() map[string]string {
	out := map[string]string{"idp": c.idpHost(), "auth": c.host("auth")}
	for _, p := range c.of.products {
		out[p.ID] = c.host(p.ID)
	}
	return out
}

func (c *Cloud) idpHost() string { return net.JoinHostPort(c.of.provider, strconv.Itoa(c.ports.idp)) }

// connect says where to dial for each of them.
func (c *Cloud) connect() map[string]string {
	out := map[string]string{}
	for _, host := range c.hosts() {
		out[host] = local(c.ports.edge)
	}
	out[c.idpHost()] = local(c.ports.idp)
	return out
}
