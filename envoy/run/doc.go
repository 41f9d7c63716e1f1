// Package run finds, installs and runs a real Envoy beside the program that calls it: for tests, the demo world and a single machine.
//
// It owns the binary's version, the process and its log. It knows nothing of what a bootstrap says, and it is no supervisor: an Envoy
// that ends stays ended, and whoever started it is told.
package run
