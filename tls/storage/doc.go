// Package storage keeps what has to survive a restart of the gateway:
// certificates with their keys, accounts, the local authority, challenges and
// ticket keys. [File] keeps them in a directory, [Redis] in a server that several
// gateways share.
//
//	st, err := storage.Open(ctx, "file:/var/lib/headgate", log)
//	if err != nil {
//		return err
//	}
//	defer st.Close()
//	err = st.Store(ctx, "ca/root.key", key)
//
// Keys are paths with slashes: no part is empty or starts with a dot, and "locks"
// at the top is taken. A key has a value or keys below it, never both.
//
// Locks of a [File] are flock(2) on files in locks/: the kernel gives them back
// when a process ends in whatever way. On NFSv4 such a lock is a lease of the
// server, so the lock of a machine that died is free once the server noticed (90 s
// with Linux), and one that was cut off may lose a lock without noticing; on NFSv3
// it needs lockd on both sides, and mounted with nolock or local_lock it holds
// between processes of one machine only. Open says so in the log. Several machines
// are served better by Redis.
//
// Locks of a [Redis] are leases that are renewed while they are held. They
// exclude as long as the server keeps its data: a failover to a replica that lags
// behind may give a lock twice, which certmagic.Locker allows.
//
// Limits: values up to 1 MiB. Redis 5 or later, one server (no Cluster, no
// Sentinel); it should persist what it has and evict nothing. Private keys are in
// it as they are: use rediss:// where the network is not trusted. In Kubernetes,
// a volume with fsGroup needs fsGroupChangePolicy: OnRootMismatch, else each start
// opens the keys to the group, and they are refused.
//
// It follows the contract of certmagic.Storage.
package storage
