package privacy

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"isogate/extauthz/keys"
	"isogate/extauthz/session"
)

// opener has the commercial side's sealing keys, and opens whatever they sealed.
type opener struct {
	flows, federated *keys.Sealers
	carried          map[string]*keys.Sealers // what a service carries to its sidecar, by the service
	sessions         session.Sealed
	host             string // identity host
	hosts            []string
}

func (s *stage) opener(t *testing.T) opener {
	t.Helper()
	open := func(folder string) *keys.Sealers {
		sealers, err := keys.OpenSealers(filepath.Join(s.dir, folder), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		return sealers
	}
	o := opener{flows: open(s.file.ExtAuthz.Keys.Sealing), federated: open(s.file.ExtAuthz.Keys.Federated), host: s.file.Platform.IdentityHost}
	o.carried = map[string]*keys.Sealers{}
	o.sessions = session.Sealed{Keys: o.federated, Now: time.Now}
	for _, service := range s.file.Platform.Services {
		o.hosts = append(o.hosts, service.Host)
		if service.Egress != nil {
			o.carried[service.ID] = open(service.Egress.TokenKey)
		}
	}
	return o
}

// sealing is one kind of value.
type sealing struct {
	keys           *keys.Sealers
	purpose, bound string
}

func (o opener) kinds() []sealing {
	all := []sealing{{o.flows, "flow", o.host}, {o.flows, "outside state", o.host}, {o.federated, "federated", o.host}}
	for _, host := range o.hosts {
		all = append(all, sealing{o.flows, "outside ticket", host}, sealing{o.federated, "federated", host})
	}
	for service, sealers := range o.carried {
		all = append(all, sealing{sealers, "carried", service})
	}
	return all
}

// candidates are what looks like a sealed value: unpadded base64url of at least a key's id, a nonce and a tag.
func candidates(in []byte) (found [][]byte) {
	for from, at := 0, 0; at <= len(in); at++ {
		if at < len(in) && base64url[in[at]] {
			continue
		}
		if at-from >= (8+24+16)*4/3 {
			found = append(found, in[from:at])
		}
		from = at + 1
	}
	return found
}

var base64url = func() (is [256]bool) {
	for _, b := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		is[b] = true
	}
	return is
}()

// openAll opens every sealed value in some bytes, those inside of others too, and gives what was in them by purpose.
func (o opener) openAll(in [][]byte) map[string][][]byte {
	opened, seen := map[string][][]byte{}, map[string]bool{}
	for todo := in; len(todo) > 0; {
		next := todo[0]
		todo = todo[1:]
		for _, value := range candidates(next) {
			if seen[string(value)] {
				continue
			}
			seen[string(value)] = true
			for _, k := range o.kinds() {
				if content, err := k.keys.Open(k.purpose, k.bound, string(value)); err == nil {
					opened[k.purpose] = append(opened[k.purpose], content)
					todo = append(todo, content)
				}
			}
		}
	}
	return opened
}

// subjects are who the opened sessions are of, as the isolated cloud calls them outside.
func (o opener) subjects(t *testing.T, values [][]byte) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, in := range values {
		for _, value := range candidates(in) {
			for _, host := range append(o.hosts, o.host) {
				if opened, err := o.sessions.Open(host, string(value)); err == nil {
					found[opened.Subject] = true
				}
			}
		}
	}
	if len(found) == 0 {
		t.Fatal(fmt.Errorf("no session was opened"))
	}
	return found
}
