// Package topology holds the sections of the two files that several daemons read: cloud: of the isolated file; platform: and clouds: of
// the commercial file. It owns what hosts, products, listeners and sockets there are, and no rule about who may reach them.
package topology
