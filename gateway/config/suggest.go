package config

import (
	"fmt"

	"headgate/gateway/spelling"
)

func didYouMean(word string, candidates []string) string {
	if c := spelling.Nearest(word, candidates); c != "" {
		return fmt.Sprintf("did you mean %q?", c)
	}
	return ""
}
