// Package bootstrap makes the file that an Envoy starts from. It names the control plane and the Envoy's role, and nothing else: every
// listener, route, cluster and secret comes by ADS.
//
// It owns no address that people or backends reach, and it starts nothing.
package bootstrap
