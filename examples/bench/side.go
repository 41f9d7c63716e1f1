package main

import (
	"fmt"
	"net"
	"strings"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
)

// side is an Envoy whose check is measured, such as the isolated cloud's ingress or a service's sidecar, and its double: an Envoy of the same
// configuration that asks at another socket.
type side struct {
	role          topology.Role
	profile       string // of its check
	extauthz, xds string // the parts of the world that serve it
	own, double   place
}

// place is where one of the two listens, and the sockets at which it asks the check and takes its configuration.
type place struct {
	listener   daemon.Address
	check, xds string
}

// worldFile is what stands in a file of the world about the topology; the daemons' sections are theirs.
type worldFile struct {
	topology.Frame `yaml:",inline"`
	ExtAuthz       topology.Other `yaml:"extauthz"`
	XDS            topology.Other `yaml:"xds"`
	OIDCProvider   topology.Other `yaml:"oidcprovider"`
}

// Validate demands one side, whole.
func (f *worldFile) Validate(faults *daemon.Faults) { f.Frame.Validate(faults) }

func readFile(file string) (f worldFile, err error) {
	err = daemon.Load(file, &f)
	return f, err
}

// place finds it in a file.
func (d side) place(file string) (place, error) {
	f, err := readFile(file)
	switch {
	case err != nil:
		return place{}, err
	case d.role == topology.Ingress:
		return place{f.Cloud.Listeners.Ingress, f.Cloud.CheckSocket(d.profile), f.Cloud.XDSSocket(d.role)}, nil
	case d.role == topology.Gateway:
		return place{f.Cloud.Listeners.Gateway, f.Cloud.CheckSocket(d.profile), f.Cloud.XDSSocket(d.role)}, nil
	case d.role == topology.Commercial:
		return place{f.Platform.Listeners.Commercial, f.Platform.CheckSocket(d.profile), f.Platform.XDSSocket(d.role)}, nil
	}
	service, _ := f.Platform.Service(caller)
	return place{service.Egress.Listen, f.Platform.CheckSocket(d.profile), f.Platform.XDSSocket(d.role)}, nil
}

// find finds both in their files.
func (d *side) find(own, double string) (err error) {
	if d.own, err = d.place(own); err != nil {
		return err
	}
	if d.double, err = d.place(double); err != nil {
		return err
	}
	if d.own.check == d.double.check || d.own.listener == d.double.listener {
		return fmt.Errorf("the double could not be told from its model in %s", own)
	}
	return nil
}

// side is the one that a kind of request arrives at.
func (s *stage) side(kind scenario) side {
	if kind.outside {
		return s.outside
	}
	return s.inside
}

// authority is what a browser puts into Host.
func (s *stage) authority(kind scenario) string {
	if kind.outside {
		return strings.TrimPrefix(s.world.Platform.URL(kind.backend, ""), "https://")
	}
	return strings.TrimPrefix(s.world.URL(kind.backend, ""), "https://")
}

// target is one of the two Envoys of a side, to be reached as the edge does.
func (s *stage) target(at place, kind scenario) target {
	host, _, _ := net.SplitHostPort(s.authority(kind)) // the world writes the port always
	return target{address: string(at.listener), host: host, roots: s.world.CA.Pool(), toldClient: !kind.outside}
}
