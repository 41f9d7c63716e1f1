package topology

import (
	"go.yaml.in/yaml/v3"

	"isogate/envoy/daemon"
)

// Frame is what every daemon reads of its file, whichever side it serves. A daemon's own file type inlines it and adds its own section;
// the sections of the other daemons pass unread (Others). Exactly one side is set: Cloud, or Platform with Clouds.
type Frame struct {
	Cloud    *Cloud      `yaml:"cloud"`    // the isolated file
	Platform *Platform   `yaml:"platform"` // the commercial file
	Clouds   []Directory `yaml:"clouds"`   // the commercial file: every isolated cloud that it knows
}

// Other is the section of another daemon. That daemon checks it.
type Other = yaml.Node

// Isolated says which side the file is for.
func (f Frame) Isolated() bool { return f.Cloud != nil }

// Validate demands one side, whole.
func (f Frame) Validate(faults *daemon.Faults) {
	switch {
	case f.Cloud == nil && f.Platform == nil:
		faults.Add("", "needs cloud: (the isolated side) or platform: (the commercial side)")
	case f.Cloud != nil && (f.Platform != nil || f.Clouds != nil):
		faults.Add("cloud", "cannot stand beside platform: or clouds: one file serves one side")
	case f.Cloud != nil:
		f.Cloud.validate(faults.In("cloud"))
	default:
		f.Platform.validate(faults.In("platform"), f.Clouds)
		validateDirectory(f.Clouds, faults)
	}
}
