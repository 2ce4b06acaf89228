package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	invopop "github.com/invopop/jsonschema"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"headgate/gateway/config"
)

// TestDescriptions keeps descriptions.json what the sources say.
func TestDescriptions(t *testing.T) {
	var r invopop.Reflector
	for _, dir := range []string{".", "../accesslog", "../cache", "../files", "../filter/access", "../filter/compress", "../filter/headers", "../filter/limit", "../tracing", "../../tls/certs", "../../upstream", "../../routing"} {
		if _, err := os.Stat(dir); err != nil {
			t.Fatal(err)
		}
		if err := r.AddGoComments("headgate/gateway/config", dir, invopop.WithFullComment()); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{}
	seen := map[reflect.Type]bool{}
	describe(reflect.TypeFor[config.Config](), r.CommentMap, want, seen)
	describe(reflect.TypeFor[config.App](), r.CommentMap, want, seen)
	data, err := json.MarshalIndent(want, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	data = append(data, '\n')
	if *update {
		if err := os.WriteFile("descriptions.json", data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("descriptions.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(data), string(got)); diff != "" {
		t.Errorf("descriptions.json is old, run go test -run Descriptions -update (-want +got):\n%s", diff)
	}
}

// describe collects the comments of every key below t.
func describe(t reflect.Type, from, to map[string]string, seen map[reflect.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		describe(t.Elem(), from, to, seen)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			tag := f.Tag.Get("yaml")
			if tag == "-" || tag == "" {
				continue
			}
			key := t.PkgPath() + "." + t.Name() + "." + f.Name
			if text := strings.Join(strings.Fields(from[key]), " "); text != "" && tag != ",inline" {
				to[key] = text
			}
			describe(f.Type, from, to, seen)
		}
	}
}

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("headgate.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("headgate.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// instance reads YAML as an editor does that validates it.
func instance(t *testing.T, text []byte) any {
	t.Helper()
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSchemaTakesWhatParseTakes(t *testing.T) {
	s := compile(t)
	files, _ := filepath.Glob("testdata/ok/*.yaml")
	if len(files) < 2 {
		t.Fatalf("%d files in testdata/ok", len(files))
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(instance(t, data)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestSchemaTakesItsOwnOutput(t *testing.T) {
	c, err := config.Load("testdata/ok/full.yaml", environ)
	if err != nil {
		t.Fatal(err)
	}
	if err := compile(t).Validate(instance(t, c.Marshal())); err != nil {
		t.Error(err)
	}
}

func TestSchemaRefuses(t *testing.T) {
	s := compile(t)
	for _, text := range []string{
		`lisen: {http: ":80"}`,
		`listen: {htp: ":80"}`,
		`listen: {http: {port: 80}}`,
		`listen: {http3: yes please}`,
		`grace: soon`,
		`grace: 30`,
		`limits: {body: 10 potatoes}`,
		`limits: {header_bytes: off}`,
		`limits: {headers: many}`,
		`limits: {headers: 0}`,
		`tls: {issuer: {name: acme}}`,
		`tls: {acme: {challenges: [dns-01]}}`,
		`tls: {acme: {challenges: [http-1]}}`,
		`tls: {acme: {challenges: [{type: dns}]}}`,
		`tls: {acme: {keys: [rsa1024]}}`,
		`tls: {issuers: [{name: x, nmae: y}]}`,
		`tls: {on_demand: {rate: 0}}`,
		`sites: [{tls: {client_auth: {mode: always}}}]`,
		`sites: [{tls: {client_auth: {depth: many}}}]`,
		`subscriptions: {max_keys: 0}`,
		`pools: {web: {members: [{adress: x}]}}`,
		`pools: {web: {members: [{address: x, weight: 0}]}}`,
		`pools: {web: {protocol: ftp}}`,
		`pools: {web: {balance: leastbusy}}`,
		`pools: {web: {balance: {sticky: member}}}`,
		`pools: {web: {check: {rise: 0}}}`,
		`sites: [{routes: [{files: {root: /srv, rot: x}}]}]`,
		`sites: [{routes: [{routes: [{routes: [{pol: x}]}]}]}]`,
		`sites: [{routes: [{respond: {status: 99}}]}]`,
		`sites: [{routes: [{split: {pools: [{pool: x, weight: 0}]}}]}]`,
		`sites: [{routes: [{mirror: {pool: x, percent: 101}}]}]`,
		`sites: [{compress: maybe}]`,
		`sites: [{compress: {level: 11}}]`,
		`sites: [{security: lax}]`,
		`sites: [{rate_limit: 10}]`,
		`sites: [{rate_limit: [{rate: 10/fortnight}]}]`,
		`sites: [{in_flight: 0}]`,
		`sites: [{cache: {ttl: {for: soon}}}]`,
		`sites: [{client_cert: optional}]`,
		`sites: [{maintenance: {alow: []}}]`,
		`sites: [{errors: {404: {page: x}}}]`,
		`limits: {connections: 0}`,
		`sites: [{hosts: a.example}]`,
	} {
		if err := s.Validate(instance(t, []byte(text))); err == nil {
			t.Errorf("the schema takes %s", text)
		}
	}
}

func TestSchemaTakesVariables(t *testing.T) {
	text := `
listen: {http: "${ADDRESS}", http3: "${H3:-true}"}
grace: ${GRACE}
limits: {headers: "${N:-50}", body: "${BODY}"}
tls: {issuer: "${ISSUER}", acme: {challenges: ["${HOW}", {type: "${HOW}"}], eab: {hmac: "${HMAC}"}}}
pools: {web: {slots: "${SLOTS}", dialect: "${DIALECT:-auto}"}}
`
	if err := compile(t).Validate(instance(t, []byte(text))); err != nil {
		t.Error(err)
	}
}

// TestSchemaDescribes wants words about every key an editor shows.
func TestSchemaDescribes(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal(config.Schema(), &doc); err != nil {
		t.Fatal(err)
	}
	if got, want := doc["$schema"], "https://json-schema.org/draft/2020-12/schema"; got != want {
		t.Errorf("$schema = %v, want %v", got, want)
	}
	var walk func(where string, v any)
	walk = func(where string, v any) {
		m, ok := v.(map[string]any)
		if !ok {
			return
		}
		props, _ := m["properties"].(map[string]any)
		for name, p := range props {
			if text, _ := p.(map[string]any)["description"].(string); text == "" && !selfEvident(where+"."+name) {
				t.Errorf("%s.%s has no description", where, name)
			}
			walk(where+"."+name, p)
		}
		walk(where+"[]", m["items"])
		walk(where+".*", m["additionalProperties"])
		anyOf, _ := m["anyOf"].([]any)
		for _, s := range anyOf {
			walk(where, s)
		}
	}
	walk("", doc)
	defs, _ := doc["$defs"].(map[string]any)
	walk("route", defs["route"])
}

func selfEvident(key string) bool {
	for _, end := range []string{".queue", ".retry", ".respond.body", ".headers.request", ".headers.response", ".ttl.for", ".ttl[].for", ".in_flight.limit", ".in_flight[].limit"} {
		if strings.HasSuffix(key, end) {
			return true
		}
	}
	return false
}
