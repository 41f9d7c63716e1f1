// Package snapshot turns a topology into the complete set of Envoy resources of one role. It owns every field of our Envoy configuration: which
// filters stand in which order, what is stripped, which limits hold, how failures look. One file holds one Envoy concept.
//
// It is pure: no file, no clock, no network. Equal input gives equal output, and the version of a set is the digest of its content. Nothing here
// may depend on which Envoy asks; package push decides who gets what.
package snapshot
