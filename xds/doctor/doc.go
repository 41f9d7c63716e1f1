// Package doctor reads a whole Envoy configuration, as Envoy dumps it or as somebody wrote it, and names each place where a request could pass
// unjudged, be read in two ways, or be changed after it was judged. It is for Envoys whose configuration our control plane does not make.
//
// It owns the rules and nothing else: no file, no network, no Envoy. What it cannot read it says: an extension of an unknown type is passed over
// with a note, and is a finding where it stands between the check and the backend.
package doctor
