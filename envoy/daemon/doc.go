// Package daemon is the frame that the three daemons share: a strict YAML file with all its faults reported at once, a JSON log that
// cannot print a secret, metrics, health and readiness on a listener of their own, units that start in order and drain in the opposite
// order, files that are watched, unix sockets that are replaced without a gap, and the map that says where to dial for a name.
//
// It knows nothing of requests, sessions or Envoy resources.
package daemon
