package page

import (
	"math"
	"strconv"
	"strings"
	"testing"
)

// WCAG 2.2, 1.4.3 and 1.4.11: 4.5 to 1 for text, 3 to 1 for what shows where a
// control is. A colour that the stylesheet no longer has fails too.
func TestContrast(t *testing.T) {
	const text, shape = 4.5, 3
	tests := []struct {
		name, front, back string
		want              float64
	}{
		{"light heading", "#1b2530", "#fff", text},
		{"light text", "#44505c", "#fff", text},
		{"light footer", "#566270", "#f3f5f7", text},
		{"light button", "#fff", "#1d4f7c", text},
		{"light button hover", "#fff", "#163d61", text},
		{"light choice", "#1d4f7c", "#fff", text},
		{"light choice hover", "#1d4f7c", "#eef4f9", text},
		{"light choice border", "#7b8896", "#fff", shape},
		{"light focus", "#1466b8", "#fff", shape},
		{"light icon", "#1d4f7c", "#e6eef6", shape},
		{"light stop", "#8a3b12", "#faece3", shape},
		{"light clock", "#6b4e00", "#f9f0d5", shape},
		{"light check", "#1c6139", "#e2f3e8", shape},
		{"dark heading", "#e9eef3", "#1a2128", text},
		{"dark text", "#b9c4ce", "#1a2128", text},
		{"dark footer", "#98a5b1", "#11161b", text},
		{"dark button", "#0d2033", "#9cc6ee", text},
		{"dark button hover", "#0d2033", "#bcdaf5", text},
		{"dark choice", "#b5d5f3", "#1a2128", text},
		{"dark choice hover", "#b5d5f3", "#232d36", text},
		{"dark choice border", "#77848f", "#1a2128", shape},
		{"dark focus", "#7fb8f0", "#1a2128", shape},
		{"dark icon", "#a5cbf0", "#1f3347", shape},
		{"dark stop", "#f3b796", "#3c2619", shape},
		{"dark clock", "#ecd08a", "#383014", shape},
		{"dark check", "#9bdcb4", "#1b3626", shape},
	}
	for _, tt := range tests {
		if !strings.Contains(style, tt.front) || !strings.Contains(style, tt.back) {
			t.Errorf("%s: the stylesheet has no %s or no %s", tt.name, tt.front, tt.back)
		}
		a, b := luminance(t, tt.front), luminance(t, tt.back)
		if got := (max(a, b) + 0.05) / (min(a, b) + 0.05); got < tt.want {
			t.Errorf("%s: contrast %.2f, want %.1f", tt.name, got, tt.want)
		}
	}
}

// luminance is the relative luminance of WCAG 2.2 for an sRGB colour.
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	hex := colour[1:]
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
