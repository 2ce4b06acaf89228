package files

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"headgate/gateway/notation"
)

// Server serves the files of one directory. It starts no goroutine, and may be used
// by several at once.
type Server struct {
	o        Options // with defaults
	path     string  // of the root, absolute
	try      try
	small    int64  // files up to this size are kept with their content
	found    *store // files and directories; nil: nothing is kept
	absent   *store // names that stand for nothing
	noFile   *entry // for names that are not kept
	warner   warner
	requests sync.Pool // of *request
	buffers  sync.Pool // of *[]byte
	born     time.Time

	next  atomic.Int64             // when to look around again, in nanoseconds since born
	root  atomic.Pointer[root]     // replaced when its path leads elsewhere
	marks atomic.Pointer[manifest] // nil if none is named

	mu    sync.Mutex  // guards what lookAround does, and the fields below
	tried fs.FileInfo // of the manifest; nil before it is looked at again
	said  string      // its last error
}

// root is the open directory.
type root struct {
	*os.Root
	info   fs.FileInfo
	closed atomic.Bool // by Close
}

const (
	checkEvery   = time.Second
	smallFile    = 64 << 10
	absentShare  = 16 // of the memory: one in so many bytes is for names that stand for nothing
	bufferLength = 64 << 10
)

// New opens the directory and reads the manifest, if one is named. o need not have its
// defaults. An error says the cure. Later faults of the manifest and of the directory
// are logged, and leave what was there before; log may be nil.
func New(o Options, log *slog.Logger) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	o = o.WithDefaults()
	o.Types = lowered(o.Types)
	path, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, fmt.Errorf("root %s: %w", o.Root, err)
	}
	s := &Server{o: o, path: path, try: newTry(o.Try), noFile: &entry{}, born: time.Now()}
	s.warner.log = log.With("root", path)
	s.requests.New = func() any { return new(request) }
	s.buffers.New = func() any { b := make([]byte, bufferLength); return &b }
	if o.Memory > 0 {
		s.found, s.absent = newStore(int64(o.Memory)), newStore(max(int64(o.Memory)/absentShare, int64(notation.KiB)))
		s.small = max(0, min(smallFile, s.found.largest()-2*entryBytes))
	}
	r, err := openRoot(path)
	if err != nil {
		return nil, err
	}
	s.root.Store(r)
	s.next.Store(int64(checkEvery))
	if o.Manifest != "" {
		m, err := s.readManifest()
		if err != nil {
			r.Close()
			return nil, err
		}
		s.marks.Store(m)
	}
	return s, nil
}

// Close gives back the directory and the memory of a Server that no new requests come
// to. Requests that run go on to their end.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.root.Load()
	if r.closed.Swap(true) {
		return nil
	}
	s.forgetAll()
	return r.Close()
}

func (s *Server) forgetAll() {
	if s.found != nil {
		s.found.clear()
		s.absent.clear()
	}
}

func openRoot(path string) (*root, error) {
	info, err := os.Stat(path) // so that opening cannot block
	if err == nil && !info.IsDir() {
		return nil, fmt.Errorf("root %s: not a directory: give the directory that has the files", path)
	}
	var dir *os.Root
	if err == nil {
		dir, err = os.OpenRoot(path)
	}
	if err == nil {
		if info, err = dir.Stat("."); err == nil {
			return &root{Root: dir, info: info}, nil
		}
		dir.Close()
	}
	cause := cause(err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("root %s: %w: create the directory, or name one that is there", path, cause)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("root %s: %w: give the user that runs headgate the right to read the directory and to pass those above it", path, cause)
	}
	return nil, fmt.Errorf("root %s: %w", path, withCure(cause))
}

// moment returns the time since the Server was made, and looks around if it is time
// to.
func (s *Server) moment() time.Duration {
	now := time.Since(s.born)
	next := s.next.Load()
	if int64(now) >= next && s.next.CompareAndSwap(next, int64(now+checkEvery)) {
		s.lookAround()
	}
	return now
}

// lookAround follows a root whose path leads elsewhere, as after a deployment that
// switches a link, and a manifest that has changed.
func (s *Server) lookAround() {
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	r := s.root.Load()
	if r.closed.Load() {
		return
	}
	if info, err := os.Stat(s.path); err != nil || !os.SameFile(info, r.info) {
		if fresh, err := openRoot(s.path); err != nil {
			s.warner.warn(aboutRoot, "directory cannot be opened any more, serving what it was", "err", err)
		} else {
			s.root.Store(fresh)
			r.Close()
			s.forgetAll()
		}
	}
	if s.o.Manifest != "" {
		s.checkManifestLocked()
	}
}

// in calls do with the root of the moment, once more if that was replaced meanwhile.
// After Close it opens one for this call.
func (s *Server) in(do func(*os.Root) error) error {
	for {
		r := s.root.Load()
		if r.closed.Load() {
			once, err := os.OpenRoot(s.path)
			if err != nil {
				return err
			}
			defer once.Close()
			return do(once)
		}
		if err := do(r.Root); !errors.Is(err, os.ErrClosed) {
			return err
		}
	}
}

func (s *Server) stat(name string) (info fs.FileInfo, err error) {
	if name == "" {
		name = "."
	}
	err = s.in(func(r *os.Root) error {
		var err error
		info, err = r.Stat(name)
		return err
	})
	return info, err
}

func (s *Server) open(name string) (f *os.File, err error) {
	if name == "" {
		name = "."
	}
	err = s.in(func(r *os.Root) error {
		var err error
		f, err = r.OpenFile(name, readFlags, 0)
		return err
	})
	return f, err
}

// cause returns what lies below the name of a call and a path.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// withCure adds what the operator can do.
func withCure(err error) error {
	switch {
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("%w in this process: raise its limit (LimitNOFILE= of the systemd unit, ulimit -n)", err)
	case errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("%w on this machine: raise the sysctl fs.file-max", err)
	case errors.Is(err, syscall.EIO):
		return fmt.Errorf("%w: look for faults of the disk in the kernel's log", err)
	case errors.Is(err, syscall.ESTALE):
		return fmt.Errorf("%w: mount the network file system again", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: give the user that runs headgate the right to read it", err)
	}
	return err
}
