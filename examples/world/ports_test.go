package world

import (
	"net"
	"strings"
	"testing"
)

// A port that somebody else has is named, with the variable that chooses another, and nothing is left running.
func TestTakenPort(t *testing.T) {
	for option, choose := range map[string]func(*Options, int){
		"PORT":     func(o *Options, port int) { o.Port = port },
		"IDP_PORT": func(o *Options, port int) { o.IDPPort = port },
	} {
		holder, err := net.Listen("tcp", local(0))
		if err != nil {
			t.Fatal(err)
		}
		defer holder.Close()
		o := Options{Dir: t.TempDir()}
		choose(&o, holder.Addr().(*net.TCPAddr).Port)
		w, err := Start(t.Context(), o)
		if err == nil {
			w.Close()
			t.Fatalf("%s: started on a port that is taken", option)
		}
		if !strings.Contains(err.Error(), "is taken: choose another, as "+option+"=") {
			t.Errorf("%s: %v", option, err)
		}
	}
}
