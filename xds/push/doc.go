// Package push is the control plane's ADS server: one gRPC server for each role, on a unix socket of that role, and one for Envoys on other
// machines, by mutual TLS. Whose resources a client gets is decided by the socket that it reached, or by the identity in its certificate, and
// never by the node id that it says. It owns delivery: the order in which changes reach Envoy, and the record of what each Envoy accepted or
// refused. What the resources say is package snapshot's; which files hold certificates is its caller's.
//
// Only the delta variant is served. In the other variant a refusal carries the old version, the cache answers it at once, and one bad resource
// keeps a core busy on both sides.
package push
