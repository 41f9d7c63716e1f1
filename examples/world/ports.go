package world

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

// ports are the loopback ports of a world.
type ports struct {
	edge, idp, ingress              int
	issues, wiki                    int
	xds, commercial, extauth, oauth int // admin listeners
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// choosePorts takes the ports that were asked for, if they are free, and free ones for the rest. All are held until all are chosen, so
// that none is chosen twice.
func (w *World) choosePorts(context.Context) error {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	take := func(port int, what, option string) (int, error) {
		l, err := net.Listen("tcp", local(port))
		if err != nil {
			return 0, fmt.Errorf("port %d, wanted for %s, is taken: choose another, as %s=18443 (%w)", port, what, option, err)
		}
		held = append(held, l)
		return l.Addr().(*net.TCPAddr).Port, nil
	}
	for _, p := range []struct {
		into         *int
		want         int
		what, option string
	}{
		{&w.ports.edge, w.Port, "the edge", "PORT"},
		{&w.ports.idp, w.IDPPort, "the identity provider", "IDP_PORT"},
		{&w.ports.ingress, 0, "", ""}, {&w.ports.issues, 0, "", ""}, {&w.ports.wiki, 0, "", ""},
		{&w.ports.xds, 0, "", ""}, {&w.ports.commercial, 0, "", ""}, {&w.ports.extauth, 0, "", ""}, {&w.ports.oauth, 0, "", ""},
	} {
		port, err := take(p.want, p.what, p.option)
		if err != nil {
			return err
		}
		*p.into = port
	}
	return nil
}
