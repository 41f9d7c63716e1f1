// Package bootstrap makes the file that an Envoy starts from. It names the control plane, on this machine or on another, and the Envoy's role, and
// nothing else: every listener, route, cluster and secret comes by ADS. For an Envoy without a control plane it puts the same limits around
// resources that others made.
//
// It owns no address that people or backends reach, and it starts nothing.
package bootstrap
