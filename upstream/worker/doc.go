// Package worker starts, watches and replaces the processes that serve a pool. A
// Supervisor is the upstream.Source of its pool: it binds a socket, starts the
// workers with it, waits until they serve, and only then names it as a member. To
// replace them it starts others on a socket of their own, names those, waits until
// the old ones have no request, and stops them: nothing is refused and nothing cut.
//
//	s := worker.New(worker.Setup{Pool: "shop", Dir: "/run/headgate/workers", Ready: ping, Load: load})
//	s.Configure(worker.Options{App: "shop.wsgi:application", Chdir: "/srv/shop"}.WithDefaults())
//	err := s.Run(ctx, set) // until ctx ends, and the workers have
//
// The processes are in process groups of their own, die with the gateway, and say
// what they have to say through the log. Unix only.
package worker
