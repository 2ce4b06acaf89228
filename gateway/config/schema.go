package config

import (
	_ "embed"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"
)

// descriptions are the comments of every key, by the type and the field that have
// it. A test writes the file from the sources (go test -run Schema -update).
//
//go:embed descriptions.json
var descriptions []byte

// Patterns of values that are more than text. Each also lets ${NAME} pass, as do
// numbers and booleans.
const (
	variablePattern = `\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}`
	durationPattern = `([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+`
	sizePattern     = `[0-9]+(\.[0-9]+)? *([KMG]iB|[kKMG]B|[kKmMgG]|B)?`
)

// Schema returns the JSON Schema (2020-12) of what Parse accepts, for editors.
// References between keys and the syntax of addresses are beyond it, and keys
// that are not supported yet are not in it.
func Schema() []byte {
	texts := map[string]string{}
	if err := json.Unmarshal(descriptions, &texts); err != nil {
		panic("config: descriptions.json: " + err.Error())
	}
	r := jsonschema.Reflector{
		FieldNameTag:               "yaml",
		RequiredFromJSONSchemaTags: true,
		DoNotReference:             true,
		ExpandedStruct:             true,
		Anonymous:                  true,
		CommentMap:                 texts,
		Mapper:                     mapType,
	}
	s := r.ReflectFromType(reflect.TypeFor[Config]())
	s.Title = "headgate.yaml"
	refine(s, path{}, rules())
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("config: " + err.Error()) // plain data: there is nothing to fail
	}
	return append(out, '\n')
}

// mapType has the schema of types that are written as text.
func mapType(t reflect.Type) *jsonschema.Schema {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: durationPattern, Examples: []any{"30s", "500ms"}}
	case t == reflect.TypeFor[Size]():
		return &jsonschema.Schema{Type: "string", Pattern: sizePattern, Examples: []any{"64KiB", "100MiB"}}
	case isScalar(t) && t.Kind() != reflect.String && reflect.PointerTo(t).Implements(reflect.TypeFor[textUnmarshaler]()):
		return &jsonschema.Schema{Type: "string"}
	}
	return nil
}

type textUnmarshaler interface{ UnmarshalText([]byte) error }

// refine adds what the rules know to what the types said.
func refine(s *jsonschema.Schema, p path, all map[string]rule) {
	if s.Properties != nil {
		for pair := s.Properties.Oldest(); pair != nil; {
			next, at := pair.Next(), p.key(pair.Key)
			if all[at.pattern].notYet {
				s.Properties.Delete(pair.Key)
			} else {
				refine(pair.Value, at, all)
			}
			pair = next
		}
	}
	if s.Items != nil {
		refine(s.Items, p.item(0), all)
	}
	if s.Type == "object" && s.Properties == nil && s.AdditionalProperties != nil {
		refine(s.AdditionalProperties, p.name("*"), all)
	}
	if short, ok := shorthands()[p.pattern]; ok {
		text := *s
		*s = jsonschema.Schema{Description: text.Description, AnyOf: []*jsonschema.Schema{short, &text}}
		s.AnyOf[1].Description = ""
		return
	}
	scalarSchema(s, all[p.pattern])
}

// shorthands are the maps that may be written as text.
func shorthands() map[string]*jsonschema.Schema {
	// dns-01 has to say more
	challenge := &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Type: "string", Enum: []any{"http-01", "tls-alpn-01", "dns-persist-01"}},
		{Type: "string", Pattern: variablePattern},
	}}
	balance := &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Type: "string", Enum: words(rules()["pools.*.balance"].enum)},
		{Type: "string", Pattern: variablePattern},
	}}
	return map[string]*jsonschema.Schema{
		"pools.*.balance":            balance,
		"pools.*.members[]":          {Type: "string", MinLength: new(uint64(1))},
		"tls.acme.challenges[]":      challenge,
		"tls.issuers[].challenges[]": challenge,
	}
}

// scalarSchema rewrites s so that it takes text with variables wherever Parse does.
func scalarSchema(s *jsonschema.Schema, r rule) {
	also := func(other ...*jsonschema.Schema) {
		self := *s
		self.Description = ""
		*s = jsonschema.Schema{Description: s.Description, AnyOf: append([]*jsonschema.Schema{&self}, other...)}
	}
	variable := &jsonschema.Schema{Type: "string", Pattern: variablePattern}
	switch {
	case len(r.enum) > 0:
		s.Enum = words(r.enum)
		if strings.Contains(r.enum[0], ".") {
			s.Type, s.Enum = "", append(s.Enum, floats(r.enum)...)
		}
		also(variable)
	case s.Pattern == durationPattern:
		s.Pattern = whole(durationPattern, r)
		also(variable)
	case s.Pattern == sizePattern:
		s.Pattern = whole(sizePattern, r)
		also(&jsonschema.Schema{Type: "integer", Minimum: "1"}, variable)
	case s.Type == "integer" || s.Type == "number" || s.Type == "boolean":
		if r.min != 0 || r.max != 0 {
			s.Minimum, s.Maximum = number(r.min), number(r.max)
		}
		if r.off && s.Type == "integer" {
			also(&jsonschema.Schema{Type: "string", Enum: []any{"off"}}, variable)
			return
		}
		also(variable)
	case s.Type == "string":
		s.Type = ""
		also2 := []*jsonschema.Schema{{Type: "string"}, {Type: "number"}, {Type: "boolean"}}
		if !r.empty {
			also2[0].MinLength = new(uint64(1))
		}
		s.AnyOf = also2
	case s.Type == "array" && r.one:
		also(s.Items)
	}
}

func whole(pattern string, r rule) string {
	if r.off {
		pattern += "|off"
	}
	return "^(" + pattern + ")$"
}

func words(in []string) (out []any) {
	for _, w := range in {
		out = append(out, w)
	}
	return out
}

// floats are words such as 1.2, which YAML without quotes reads as numbers.
func floats(in []string) (out []any) {
	for _, w := range in {
		out = append(out, json.Number(w))
	}
	return out
}

func number(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }
