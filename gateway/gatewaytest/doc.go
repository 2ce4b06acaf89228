// Package gatewaytest runs a whole gateway on free ports of the loopback, with a
// local authority of its own, and clients that speak every protocol to it.
//
//	conf := gatewaytest.Conf{Members: []string{worker.Addr().String()}}.String()
//	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
//		if got := c.Get("/hello"); got.Code != 200 || got.Body != "hi" {
//			t.Errorf("GET /hello = %d %q, want 200 \"hi\"", got.Code, got.Body)
//		}
//	})
//
// The end of a test stops its gateway and waits for its last goroutine. Nothing
// here is for production: certificates are trusted by these clients alone.
package gatewaytest
