package subscribe_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"headgate/upstream/subscribe"
)

// TestRules: what is announced by whom, and whether it is taken.
func TestRules(t *testing.T) {
	own := subscribe.FromUser(uint32(os.Geteuid()), 7)
	root := subscribe.FromUser(0, 7)
	web := subscribe.FromUser(33333, 7)
	for name, row := range map[string]struct {
		allow   []subscribe.Rule
		from    subscribe.Sender
		packet  []byte
		refused string // by what; "": taken
	}{
		"default: own address":                 {nil, remote, announce("a", ":1"), ""},
		"default: another machine's":           {nil, remote, announce("a", "192.0.2.8:1"), "address"},
		"default: our loopback":                {nil, remote, announce("a", "127.0.0.1:1"), "address"},
		"default: our sockets from elsewhere":  {nil, remote, announce("a", "/run/app.sock"), "address"},
		"default: our sockets":                 {nil, local, announce("a", "/run/app.sock"), ""},
		"default: loopback from here":          {nil, local, announce("a", "[::1]:1"), ""},
		"default: another machine's from here": {nil, local, announce("a", "192.0.2.7:1"), "address"},
		"default: root":                        {nil, root, announce("a", "192.0.2.7:1"), ""},
		"default: own user":                    {nil, own, announce("a", "/run/app.sock"), ""},
		"default: another user":                {nil, web, announce("a", "/run/app.sock"), "no rule"},
		"default: modifier":                    {nil, local, announce("a", ":1", "modifier1", "5"), "modifiers"},
		"default: modifier2 of Python":         {nil, local, announce("a", ":1", "modifier2", "1"), "modifiers"},
		"default: HTTP":                        {nil, local, announce("a", ":1", "proto", "http"), "HTTP"},
		"default: uwsgi":                       {nil, local, announce("a", ":1", "proto", "uwsgi"), ""},

		"from":                      {[]subscribe.Rule{{From: []string{"192.0.2.0/24"}}}, remote, announce("a", ":1"), ""},
		"from: neighbours":          {[]subscribe.Rule{{From: []string{"192.0.2.0/24"}}}, remote, announce("a", "192.0.2.9:1"), ""},
		"from: not theirs":          {[]subscribe.Rule{{From: []string{"192.0.2.0/24"}}}, remote, announce("a", "192.0.3.9:1"), "address"},
		"from: loopback by all":     {[]subscribe.Rule{{From: []string{"0.0.0.0/0"}}}, remote, announce("a", "127.0.0.1:1"), "address"},
		"from: loopback by us":      {[]subscribe.Rule{{From: []string{"0.0.0.0/0"}}}, local, announce("a", "127.0.0.1:1"), ""},
		"from: others":              {[]subscribe.Rule{{From: []string{"192.0.2.0/24"}}}, local, announce("a", ":1"), "no rule"},
		"from: not over unix":       {[]subscribe.Rule{{From: []string{"0.0.0.0/0", "::/0"}}}, root, announce("a", "127.0.0.1:1"), "no rule"},
		"users":                     {[]subscribe.Rule{{Users: []string{"33333"}}}, web, announce("a", "192.0.2.9:1"), ""},
		"users: by name":            {[]subscribe.Rule{{Users: []string{"root"}}}, root, announce("a", "192.0.2.9:1"), ""},
		"users: others":             {[]subscribe.Rule{{Users: []string{"33334"}}}, web, announce("a", "192.0.2.9:1"), "no rule"},
		"users: not over udp":       {[]subscribe.Rule{{Users: []string{"33333"}}}, local, announce("a", ":1"), "no rule"},
		"neither: unix":             {[]subscribe.Rule{{}}, web, announce("a", "/run/app.sock"), ""},
		"neither: udp":              {[]subscribe.Rule{{}}, remote, announce("a", ":1"), ""},
		"keys":                      {[]subscribe.Rule{{Keys: []string{"shop.example"}}}, remote, announce("Shop.example:80", ":1"), ""},
		"keys: others":              {[]subscribe.Rule{{Keys: []string{"shop.example"}}}, remote, announce("a.shop.example", ":1"), "no rule"},
		"keys: wildcard of one":     {[]subscribe.Rule{{Keys: []string{"shop.example"}}}, remote, announce(".shop.example", ":1"), "no rule"},
		"keys: label":               {[]subscribe.Rule{{Keys: []string{"*.example"}}}, remote, announce("a.example", ":1"), ""},
		"keys: two labels":          {[]subscribe.Rule{{Keys: []string{"*.example"}}}, remote, announce("a.b.example", ":1"), "no rule"},
		"keys: no label":            {[]subscribe.Rule{{Keys: []string{"*.example"}}}, remote, announce("example", ":1"), "no rule"},
		"keys: wildcard of a label": {[]subscribe.Rule{{Keys: []string{"*.example"}}}, remote, announce(".example", ":1"), "no rule"},
		"keys: below a label":       {[]subscribe.Rule{{Keys: []string{"*.example"}}}, remote, announce(".a.example", ":1"), "no rule"},
		"keys: all below":           {[]subscribe.Rule{{Keys: []string{".example"}}}, remote, announce("a.b.example", ":1"), ""},
		"keys: all below, itself":   {[]subscribe.Rule{{Keys: []string{".example"}}}, remote, announce("example", ":1"), ""},
		"keys: all below, wildcard": {[]subscribe.Rule{{Keys: []string{".example"}}}, remote, announce(".a.example", ":1"), ""},
		"keys: its wildcard":        {[]subscribe.Rule{{Keys: []string{".example"}}}, remote, announce(".example", ":1"), ""},
		"keys: alike":               {[]subscribe.Rule{{Keys: []string{".example"}}}, remote, announce("an-example", ":1"), "no rule"},

		"the first decides": {[]subscribe.Rule{{Keys: []string{"a"}, Addresses: []string{"10.0.0.0/8"}}, {}}, remote, announce("a", ":1"), "address"},
		"network":           {[]subscribe.Rule{{Addresses: []string{"10.0.0.0/8"}}}, remote, announce("a", "10.9.9.9:1"), ""},
		"port":              {[]subscribe.Rule{{Addresses: []string{"192.0.2.7:3031"}}}, remote, announce("a", ":3031"), ""},
		"another port":      {[]subscribe.Rule{{Addresses: []string{"192.0.2.7:3031"}}}, remote, announce("a", ":3032"), "address"},
		"no directory":      {[]subscribe.Rule{{Addresses: []string{"127.0.0.0/8"}}}, local, announce("a", "/run/app.sock"), "address"},
		"told loopback":     {[]subscribe.Rule{{Addresses: []string{"127.0.0.1:1"}}}, remote, announce("a", "127.0.0.1:1"), ""},
		"directory of afar": {[]subscribe.Rule{{Addresses: []string{"/run/apps/"}}}, remote, announce("a", "/run/apps/a.sock"), "address"},
		"beside it":         {[]subscribe.Rule{{Addresses: []string{"/run/apps/"}}}, local, announce("a", "/run/apps2/a.sock"), "address"},
		"modifier":          {[]subscribe.Rule{{Modifiers: []int{5}}}, remote, announce("a", ":1", "modifier1", "5", "modifier2", "9"), ""},
		"another modifier":  {[]subscribe.Rule{{Modifiers: []int{5}}}, remote, announce("a", ":1"), "modifiers"},
	} {
		j := &journal{}
		s := subscribe.New(subscribe.Setup{Log: j.logger()})
		useDeaf(t, s, subscribe.Options{Allow: row.allow})
		s.Handle(row.packet, row.from)
		c := s.Snapshot().Counters
		switch {
		case row.refused == "" && c.Accepted != 1:
			t.Errorf("%s: refused: %s", name, j)
		case row.refused != "" && (c.NotAllowed != 1 || !strings.Contains(j.String(), row.refused)):
			t.Errorf("%s: got %+v, want that it is refused for its %s: %s", name, c, row.refused, j)
		}
	}
}

// TestDirectories: a rule's directory has the socket itself, whatever links there are.
func TestDirectories(t *testing.T) {
	dir := shortDir(t)
	for _, d := range []string{"apps", "apps/in", "else"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"apps/a.sock", "apps/in/b.sock", "else/c.sock"} {
		ln, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
	}
	for link, to := range map[string]string{"apps/out": "else", "apps/c.sock": "else/c.sock", "apps/a2.sock": "apps/a.sock", "linked": "apps"} {
		if err := os.Symlink(filepath.Join(dir, to), filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "apps/file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"apps/a.sock": true, "apps/in/b.sock": true, "apps/a2.sock": true, "linked/a.sock": false, "else/c.sock": false,
		"apps/out/c.sock": false, "apps/c.sock": false, "apps/file": false, "apps/none.sock": false, "apps/in/../../else/c.sock": false, "apps/in": false,
	} {
		s := subscribe.New(subscribe.Setup{})
		useDeaf(t, s, subscribe.Options{Allow: []subscribe.Rule{{Addresses: []string{dir + "/apps/"}}}})
		s.Handle(announce("a", dir+"/"+path), subscribe.FromUser(7, 7))
		if got := nodes(s) != ""; got != want {
			t.Errorf("%s: taken %v, want %v", path, got, want)
		}
	}

	s := subscribe.New(subscribe.Setup{})
	useDeaf(t, s, subscribe.Options{Allow: []subscribe.Rule{{Addresses: []string{dir + "/linked/"}}}})
	s.Handle(announce("a", dir+"/linked/a.sock"), local)
	if err := os.Remove(filepath.Join(dir, "apps/a.sock")); err != nil || nodes(s) == "" {
		t.Fatalf("a directory that is a link has nothing: %v", err)
	}
	s.Handle(withdraw("a", dir+"/linked/a.sock"), local)
	if nodes(s) != "" {
		t.Error("a node cannot unsubscribe when its socket is gone")
	}
}

// TestUnsubscribeOfOthers: without signatures a node is taken away by who announced it.
func TestUnsubscribeOfOthers(t *testing.T) {
	s := subscribe.New(subscribe.Setup{})
	useDeaf(t, s, subscribe.Options{Allow: []subscribe.Rule{{Addresses: []string{"192.0.2.0/24"}}}})
	alice, bob := subscribe.FromUser(1000, 1), subscribe.FromUser(1001, 2)
	near := subscribe.FromIP("192.0.2.8")

	s.Handle(announce("a", "192.0.2.7:1"), remote)
	s.Handle(announce("b", "192.0.2.7:1"), alice)
	for _, from := range []subscribe.Sender{near, alice, local} {
		s.Handle(withdraw("a", "192.0.2.7:1"), from)
	}
	for _, from := range []subscribe.Sender{bob, remote} {
		s.Handle(withdraw("b", "192.0.2.7:1"), from)
	}
	if got := nodes(s); got != "a 192.0.2.7:1, b 192.0.2.7:1" {
		t.Errorf("others have taken away one: %s", got)
	}
	if c := s.Snapshot().Counters; c.NotAllowed != 5 || c.Unsubscribed != 0 {
		t.Errorf("got %+v", c)
	}
	s.Handle(withdraw("a", "192.0.2.7:1"), remote)
	s.Handle(withdraw("b", "192.0.2.7:1"), subscribe.FromUser(1000, 99))
	if got := nodes(s); got != "" {
		t.Errorf("got %s, want that they are gone", got)
	}
}

func TestOpenNamesWhatIsMissing(t *testing.T) {
	s := subscribe.New(subscribe.Setup{})
	for want, o := range map[string]subscribe.Options{
		`allow[1].users[0]: "no-such-user" is no user`: {Allow: []subscribe.Rule{{}, {Users: []string{"no-such-user"}}}},
		`sign.keys: /no/such/dir is no directory`:      {Sign: subscribe.Sign{Keys: "/no/such/dir"}},
	} {
		o.Listen = []string{"udp:127.0.0.1:0"}
		if l, err := s.Open(o); err == nil || !strings.Contains(err.Error(), want) {
			l.Close()
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
