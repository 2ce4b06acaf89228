package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"headgate/gateway/config"
)

// docs are the pages that have configuration in them.
func docs(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob("../../deploy/docs/*.md")
	if err != nil || len(pages) < 5 {
		t.Fatalf("%d pages in deploy/docs (%v)", len(pages), err)
	}
	return append(pages, "../../README.md")
}

// block is a part of a page between ```.
type block struct {
	where, info, text string
}

func blocks(t *testing.T, page string) (out []block) {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var b *block
	for i, line := range strings.SplitAfter(string(data), "\n") {
		info, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && b == nil:
			b = &block{where: fmt.Sprintf("%s:%d", filepath.Base(page), i+1), info: info}
		case fence:
			out, b = append(out, *b), nil
		case b != nil:
			b.text += line
		}
	}
	if b != nil {
		t.Errorf("%s: the block is never closed", b.where)
	}
	return out
}

// TestDocumentation loads every example of the documentation: whole files as they
// are, and parts of one (```yaml) with what is missing around them.
func TestDocumentation(t *testing.T) {
	whole, parts := 0, 0
	for _, page := range docs(t) {
		for _, b := range blocks(t, page) {
			text := b.text
			switch b.info {
			case "yaml headgate.yaml":
				whole++
			case "yaml":
				if text = completed(b.text); text == "" {
					continue
				}
				parts++
			default:
				continue
			}
			c, err := config.Parse(b.where, []byte(text), example)
			if err != nil {
				t.Errorf("%v\n%s", err, numbered(text))
				continue
			}
			for _, w := range c.Warnings {
				if b.info == "yaml headgate.yaml" {
					t.Errorf("warns: %v", w)
				}
			}
		}
	}
	if whole < 10 || parts < 30 {
		t.Errorf("%d whole files and %d parts were found: is this test blind?", whole, parts)
	}
}

// example is an environment with every variable.
func example(name string) (string, bool) {
	switch name {
	case "HTTP", "HTTPS", "NAME", "SITE", "OFFICE": // their defaults
		return "", false
	}
	return "ZXhhbXBsZS1leGFtcGxlLWV4YW1wbGU=", true
}

func numbered(text string) string {
	var b strings.Builder
	for i, line := range strings.Split(text, "\n") {
		fmt.Fprintf(&b, "%3d %s\n", i+1, line)
	}
	return b.String()
}

var topKey = regexp.MustCompile(`(?m)^([a-z_]+):`)

// completed is a whole file with a part of one in it, or "" for what is no
// configuration of ours.
func completed(part string) string {
	var keys []string
	for _, m := range topKey.FindAllStringSubmatch(part, -1) {
		keys = append(keys, m[1])
	}
	are := func(known ...string) bool {
		return len(keys) > 0 && !slices.ContainsFunc(keys, func(k string) bool { return !slices.Contains(known, k) })
	}
	indent := func(text, by string) string {
		return by + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+by) + "\n"
	}
	sites := func(text string) string {
		if slices.Contains(keys, "hosts") {
			return "sites:\n  -\n" + text
		}
		return "sites:\n  - hosts: [shop.example.com]\n" + text
	}
	switch {
	case strings.HasPrefix(part, "- "):
		return whole(sites("    routes:\n" + indent(part, "      ")))
	case are("members", "slots", "stats", "balance", "queue", "check", "retry"):
		return whole("pools:\n  shop:\n" + indent(part, "    "))
	case slices.Contains(keys, "services"):
		return "" // Compose
	case are("listen", "tls", "admin", "metrics", "tracing", "log", "grace", "limits", "cache", "pools", "sites") && !strings.Contains(part, "client_auth:\n"):
		return whole(part)
	case slices.Contains(keys, "routes"):
		return whole(sites(indent(part, "    ")))
	case slices.ContainsFunc(keys, func(k string) bool {
		return slices.Contains([]string{"path", "mount", "pool", "files", "redirect", "respond", "split"}, k)
	}):
		return whole(sites("    routes:\n      -\n" + indent(part, "        ")))
	}
	return whole(sites(indent(part, "    ") + "    routes: [{pool: shop}]\n"))
}

// whole adds what a file must have, and the pools that it names.
func whole(text string) string {
	has := func(key string) bool { return strings.HasPrefix(text, key+":") || strings.Contains(text, "\n"+key+":") }
	if !has("sites") {
		text += "sites: [{hosts: [shop.example.com], routes: [{pool: shop}]}]\n"
	}
	if !has("listen") {
		text += "listen: {http: \":80\", https: \":443\"}\n"
	}
	if !has("pools") {
		text += "pools:\n"
		for _, name := range []string{"shop", "blog", "api", "next", "auth", "shadow", "chat"} {
			text += fmt.Sprintf("  %s: {members: [\"unix:/run/%s.sock\"]}\n", name, name)
		}
	}
	return text
}

// TestEveryKeyIsDocumented wants each key of the schema in configuration.md, as `key`
// with what it is in.
func TestEveryKeyIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../deploy/docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for _, span := range regexp.MustCompile("`[^`\n]+`").FindAllString(string(page), -1) {
		said[strings.Trim(span, "`")] = true
	}
	var doc map[string]any
	if err := json.Unmarshal(config.Schema(), &doc); err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	collect("", doc, keys)
	collect("", doc["$defs"].(map[string]any)["route"], keys)
	if len(keys) < 200 {
		t.Fatalf("%d keys in the schema", len(keys))
	}
	for key := range keys {
		if !documented(key, said) {
			t.Errorf("configuration.md does not say `%s`", key)
		}
	}
}

// collect adds the keys below a schema that have none below them.
func collect(where string, schema any, keys map[string]bool) {
	s, ok := schema.(map[string]any)
	if !ok {
		return
	}
	for _, in := range []string{"items", "additionalProperties"} {
		collect(where, s[in], keys)
	}
	for _, one := range anyOf(s) {
		collect(where, one, keys)
	}
	props, _ := s["properties"].(map[string]any)
	for name, p := range props {
		key := strings.TrimPrefix(where+"."+name, ".")
		before := len(keys)
		if collect(key, p, keys); len(keys) == before {
			keys[key] = true
		}
	}
}

func anyOf(s map[string]any) []any {
	list, _ := s["anyOf"].([]any)
	return list
}

// documented reports whether a key is said whole, or by what is left of it without
// the section that it is in.
func documented(key string, said map[string]bool) bool {
	if said[key] {
		return true
	}
	for _, section := range []string{
		"sites.", "pools.members.", "pools.", "tls.acme.challenges.", "tls.issuers.challenges.", "tls.acme.", "tls.issuers.", "limits.", "sites.limits.",
	} {
		if rest, ok := strings.CutPrefix(key, section); ok && (said[rest] || strings.HasPrefix(rest, "limits.") && said["limits"]) {
			return true
		}
	}
	return false
}
