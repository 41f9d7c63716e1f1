// Command xds is the control plane of one side: it turns that side's file into the complete configuration of its Envoys and gives it to them over
// unix sockets, one socket for each role. The isolated file makes it serve the ingress and, where it has one, the gateway; the commercial file the edge
// and, where it has services, the commercial Envoy and the sidecar of each service that has an egress.
//
// The file, the certificates and keys, and for the gateway the policies are watched. A change is validated as a whole before anything is sent; a fault keeps the last good state
// and shows in the log, in isogate_reloads_total and on the status page.
//
// Usage: xds -config FILE [-check]
package main
