// Package cache is a shared cache of answers (RFC 9111), for everything that comes
// to an app through Serve.
//
//	store := cache.NewStore(cache.Setup{Log: log}) // one for the process
//	err := store.Configure(options)                // again after each reload
//	go store.Run(ctx)
//	policy, err := cache.NewPolicy(route)
//	whole := store.Serve(policy, &cache.Request{...}, client, app)
//
// What is kept: answers to GET that are fresh by what they say (X-Accel-Expires,
// CDN-Cache-Control of RFC 9213, Cache-Control, Expires, in this order), by a rule of
// the route, or that have a validator and say that it is to be asked about. An answer
// that says nothing is not kept, but for one with Last-Modified to a request without
// cookies: for a tenth of its age, at most a day (4.2.2). Never kept are those with
// Set-Cookie and, unless they say so, those to requests with Authorization (3.5);
// answers that are parts (206), event streams, and what is larger than its bounds.
//
// One request at a time goes to the app for the same; others wait for the head of
// its answer, and take the bytes as they come. The app waits for no client. If the
// answer turns out not to be kept, those that waited ask themselves, at once, and for
// two minutes nobody waits any more. A fetch ends when nobody wants its answer, unless
// at most 1 MiB of it is missing. A request for a part of what is not kept goes to the
// app as it is.
//
// Every answer says in Cache-Status (RFC 9211) what became of its request. Cache-Tag,
// Surrogate-Key and X-Accel-Expires are for the cache, and no client gets them.
//
// Where the RFCs leave a choice: a client's no-store goes past the cache; s-maxage
// alone forbids stale answers, but not where the same answer has
// stale-while-revalidate or stale-if-error (RFC 5861); an answer that says nothing of
// Authorization is not given to requests with one; requests with If-Match,
// If-Unmodified-Since, Upgrade or a body go to the app.
package cache
