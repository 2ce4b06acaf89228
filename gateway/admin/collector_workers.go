package admin

import (
	"maps"
	"slices"

	"headgate/gateway/stats"
)

func (c *collector) describeWorkers() {
	c.workers = c.desc("workers", "1 for the state that the workers of a pool are in, 0 for the others.", "pool", "state")
	c.workerProcesses = c.desc("worker_processes", "Processes that were started for a pool and run, with those that lead them and those that are leaving.", "pool")
	c.workerRestarts = c.desc("worker_restarts_total", "Starts of workers after they had ended by themselves.", "pool")
	c.workerReloads = c.desc("worker_reloads_total", "Replacements of workers by new ones that went well.", "pool")
	c.workerMemory = c.desc("worker_memory_bytes", "Memory of all processes of a pool, what they share counted for each.", "pool")
	c.apps = c.desc("apps", "Files of the folder of apps: ok, kept (broken now, and goes on as it was) or broken.", "state")
	c.subscribed = c.desc("subscription_nodes", "Members that uWSGI instances have announced: ready, or waiting for their probe.", "state")
	c.subscribePackets = c.desc("subscription_packets_total", "Packets of subscriptions, by what became of them.", "result")
}

// poolWorkers sends all states: a dashboard that counts those that are crashed needs
// the zero too.
func (c *collector) poolWorkers(out sink, pool string, w *stats.Workers) {
	if w == nil {
		return
	}
	for _, state := range [...]string{"starting", "ready", "reloading", "idle", "crashed", "stopped"} {
		out.gauge(c.workers, boolean(w.State == state), pool, state)
	}
	out.gauge(c.workerProcesses, float64(len(w.List)), pool)
	out.counter(c.workerRestarts, w.Restarts, pool)
	out.counter(c.workerReloads, w.Reloads, pool)
	out.gauge(c.workerMemory, float64(w.RSS()), pool)
}

// folder sends the apps of the folder, if there is one: names of files are not labels.
func (c *collector) folder(out sink, apps []stats.App) {
	if len(apps) == 0 {
		return
	}
	n := map[string]int{}
	for _, a := range apps {
		n[a.State]++
	}
	for _, state := range [...]string{"ok", "kept", "broken"} {
		out.gauge(c.apps, float64(n[state]), state)
	}
}

// subscriptions sends what was announced. Keys and addresses are what senders chose:
// they are not labels.
func (c *collector) subscriptions(out sink, s stats.Subscriptions) {
	if len(s.Counters) == 0 && len(s.Nodes) == 0 {
		return
	}
	ready := 0
	for _, n := range s.Nodes {
		if n.Ready {
			ready++
		}
	}
	out.gauge(c.subscribed, float64(ready), "ready")
	out.gauge(c.subscribed, float64(len(s.Nodes)-ready), "waiting")
	for _, result := range slices.Sorted(maps.Keys(s.Counters)) {
		out.counter(c.subscribePackets, s.Counters[result], result)
	}
}
