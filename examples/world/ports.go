package world

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

// cloudPorts are the loopback ports of an isolated cloud, and the edge's.
type cloudPorts struct {
	edge, idp, ingress, gateway int
	products                    map[string]int
	xds, extauth, oauth         int // admin listeners
}

// platformPorts are those of the commercial side.
type platformPorts struct {
	edge, commercial, login int
	services                map[string]int
	sidecars, sidecarAdmins map[string]int // by service: where it calls, and the admin listener of the sidecar's extauthz
	xds, extauth            int            // admin listeners
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// choosePorts takes the ports that were asked for, if they are free, and free ones for the rest. All are held until all are chosen, so
// that none is chosen twice.
func (w *World) choosePorts(context.Context) (err error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	take := func(port int, what, option string) int {
		l, failed := net.Listen("tcp", local(port))
		if failed != nil && err == nil {
			err = fmt.Errorf("port %d, wanted for %s, is taken: choose another, as %s=18443 (%w)", port, what, option, failed)
		}
		if failed != nil {
			return 0
		}
		held = append(held, l)
		return l.Addr().(*net.TCPAddr).Port
	}
	free := func() int { return take(0, "anything", "PORT") }
	edge := take(w.Port, "the edge", "PORT")
	for i, c := range w.clouds() {
		wanted := 0
		if i == 0 {
			wanted = w.IDPPort
		}
		c.ports.edge, c.ports.idp = edge, take(wanted, "the identity provider", "IDP_PORT")
		c.ports.ingress, c.ports.gateway, c.ports.xds, c.ports.extauth, c.ports.oauth = free(), free(), free(), free(), free()
		for _, p := range c.of.products {
			c.ports.products[p.ID] = free()
		}
	}
	p := &w.Platform.ports
	p.edge, p.commercial, p.login, p.xds, p.extauth = edge, free(), free(), free(), free()
	p.services, p.sidecars, p.sidecarAdmins = map[string]int{}, map[string]int{}, map[string]int{}
	for _, s := range services {
		p.services[s.ID] = free()
	}
	for _, id := range sidecars() {
		p.sidecars[id], p.sidecarAdmins[id] = free(), free()
	}
	return err
}
