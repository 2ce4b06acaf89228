package cache

import (
	"strings"

	"headgate/gateway/wire"
)

// Bounds of the tags of one answer: one with more is not kept, since a purge could
// miss it.
const (
	maxTags    = 256
	maxTagSize = 1024
)

// tagsOf returns the tags of an answer: Cache-Tag has commas between them,
// Surrogate-Key spaces.
func tagsOf(f wire.Fields) []string {
	var tags []string
	for i := range f {
		switch {
		case wire.Same(f[i].Name, "Cache-Tag"):
			for tag := range strings.SplitSeq(f[i].Value, ",") {
				tags = addTag(tags, trim(tag))
			}
		case wire.Same(f[i].Name, "Surrogate-Key"):
			for tag := range strings.FieldsSeq(f[i].Value) {
				tags = addTag(tags, tag)
			}
		}
	}
	return tags
}

func addTag(tags []string, tag string) []string {
	if tag == "" || len(tags) > maxTags {
		return tags
	}
	return append(tags, strings.Clone(tag))
}

// tooManyTags reports whether not all can be kept.
func tooManyTags(tags []string) bool {
	for _, tag := range tags {
		if len(tag) > maxTagSize {
			return true
		}
	}
	return len(tags) > maxTags
}
