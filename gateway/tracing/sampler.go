package tracing

import (
	"fmt"
	"strings"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// newSampler returns the sampler called name, "" meaning the default. A ratio of
// 0 is 1, and a negative one is none.
func newSampler(name string, ratio float64) (sdktrace.Sampler, error) {
	switch {
	case ratio == 0:
		ratio = 1
	case ratio < 0:
		ratio = 0
	case !(ratio <= 1): // NaN too
		return nil, fmt.Errorf("sample_ratio: %v is not a share: write a number up to 1, as 0.1, or -1 for none", ratio)
	}
	if name == "" {
		name = "parentbased_traceidratio"
	}
	root, parent := strings.CutPrefix(name, "parentbased_")
	var s sdktrace.Sampler
	switch root {
	case "always_on":
		s = sdktrace.AlwaysSample()
	case "always_off":
		s = sdktrace.NeverSample()
	case "traceidratio":
		s = sdktrace.TraceIDRatioBased(ratio)
	default:
		return nil, fmt.Errorf("sampler: %q is not a sampler: write always_on, always_off, traceidratio, or parentbased_ before one of them", name)
	}
	if parent {
		s = sdktrace.ParentBased(s)
	}
	return s, nil
}
