package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"headgate/tls/certs"
)

const unlockTime = 10 * time.Second

// account is the account with one authority. It is registered at most once by all
// gateways that share the storage.
type account struct {
	storage certs.Storage
	key     string // of the storage
	contact []string
	eab     *acme.EAB
	log     *slog.Logger
	turn    chan struct{} // holds one token; whoever has it may load or register

	mu    sync.Mutex // guards the fields below
	now   *acme.Account
	stale bool // the storage has the say again
}

// stored is the account in the storage. Without Location it may or may not be
// registered: registering the same key again tells.
type stored struct {
	Key      string   `json:"key"`                // PEM
	Location string   `json:"location,omitempty"` // URL
	Contact  []string `json:"contact,omitempty"`
}

func newAccount(a certs.Authority, directory *url.URL, eab *acme.EAB, log *slog.Logger) *account {
	c := &account{storage: a.Storage, eab: eab, log: log, turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	name := "default"
	if a.Email != "" {
		name, c.contact = safe(a.Email), []string{"mailto:" + a.Email}
	}
	if eab != nil {
		name += "~" + safe(eab.KeyID)
	}
	where := directory.Host + strings.TrimSuffix(directory.Path, "/")
	if directory.RawQuery != "" {
		where += "?" + directory.RawQuery
	}
	c.key = "acme/" + safe(where) + "/" + name + ".json"
	return c
}

// parseEAB checks the external account binding of the configuration. Authorities
// show the HMAC as base64url, some with padding, some as plain base64.
func parseEAB(o certs.EAB) (*acme.EAB, error) {
	switch {
	case o.KeyID == "" && o.HMAC == "":
		return nil, nil
	case o.KeyID == "" || o.HMAC == "":
		return nil, errors.New("eab: key_id and hmac go together: give both as the authority shows them")
	}
	mac := strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimSpace(string(o.HMAC))), "=")
	if _, err := base64.RawURLEncoding.DecodeString(mac); err != nil {
		return nil, errors.New("eab.hmac: not base64url: give it as the authority shows it")
	}
	return &acme.EAB{KeyID: o.KeyID, MACKey: mac}, nil
}

// get returns the account, registered.
func (a *account) get(ctx context.Context, s *service) (acme.Account, error) {
	if acct := a.known(); acct != nil {
		return *acct, nil
	}
	return a.alone(ctx, func() (acme.Account, error) {
		if acct := a.known(); acct != nil { // another caller had the turn before
			return *acct, nil
		}
		var broken *brokenError // register looks again, alone among the gateways
		acct, err := a.load(ctx)
		if err != nil && !errors.As(err, &broken) {
			return acme.Account{}, err
		}
		if acct != nil && acct.Location != "" && slices.Equal(acct.Contact, a.contact) {
			return a.keep(acct), nil
		}
		return a.locked(ctx, func() (acme.Account, error) { return a.register(ctx, s, "") })
	})
}

// renew registers the account again since the authority does not know the one at
// gone. Another gateway may have done so in the meantime.
func (a *account) renew(ctx context.Context, s *service, gone string) (acme.Account, error) {
	return a.alone(ctx, func() (acme.Account, error) {
		if acct := a.known(); acct != nil && acct.Location != gone {
			return *acct, nil
		}
		return a.locked(ctx, func() (acme.Account, error) { return a.register(ctx, s, gone) })
	})
}

// known returns the account; nil when it has to be loaded.
func (a *account) known() *acme.Account {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stale {
		return nil
	}
	return a.now
}

// forget has the next order load the account, since the authority does not accept
// this one: the operator may have another one made.
func (a *account) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stale = true
}

// url is where the account is; "" before it is known.
func (a *account) url() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.now == nil {
		return ""
	}
	return a.now.Location
}

func (a *account) keep(acct *acme.Account) acme.Account {
	acct.Status = acme.StatusValid
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now, a.stale = acct, false
	return *acct
}

// alone has do run by one caller at a time.
func (a *account) alone(ctx context.Context, do func() (acme.Account, error)) (acme.Account, error) {
	select {
	case <-a.turn:
		defer func() { a.turn <- struct{}{} }()
		return do()
	case <-ctx.Done():
		return acme.Account{}, ctx.Err()
	}
}

// locked has do run by one gateway at a time.
func (a *account) locked(ctx context.Context, do func() (acme.Account, error)) (acme.Account, error) {
	if err := a.storage.Lock(ctx, a.key); err != nil {
		return acme.Account{}, fmt.Errorf("account: lock: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTime)
		defer cancel()
		if err := a.storage.Unlock(ctx, a.key); err != nil {
			a.log.Warn("lock of the account cannot be given back", "key", a.key, "err", err)
		}
	}()
	return do()
}

// load reads the account from the storage: nil when there is none. The error is a
// [*brokenError] when what is there is no account.
func (a *account) load(ctx context.Context) (*acme.Account, error) {
	data, err := a.storage.Load(ctx, a.key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("account: %w", err)
	}
	acct, err := parseAccount(data)
	if err != nil {
		return nil, &brokenError{data: data, err: fmt.Errorf("account: %s cannot be read: %w", a.key, err)}
	}
	return acct, nil
}

// loadLocked is load under the lock of the storage. What cannot be read as an
// account is moved aside, since its key is lost. Without the lock, that would hit
// the account which another gateway has just registered in its place.
func (a *account) loadLocked(ctx context.Context) (*acme.Account, error) {
	acct, err := a.load(ctx)
	var broken *brokenError
	if !errors.As(err, &broken) {
		return acct, err
	}
	aside := a.key + ".broken-" + time.Now().UTC().Format("20060102T150405")
	a.log.Error("the account in the storage cannot be read: it is moved aside and another is registered", "key", a.key, "moved_to", aside, "err", err)
	if err := a.storage.Store(ctx, aside, broken.data); err != nil {
		return nil, fmt.Errorf("account: %s cannot be read, nor moved aside: %w", a.key, err)
	}
	if err := a.storage.Delete(ctx, a.key); err != nil {
		return nil, fmt.Errorf("account: %s cannot be read, nor moved aside: %w", a.key, err)
	}
	return nil, nil
}

func parseAccount(data []byte) (*acme.Account, error) {
	var s stored
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(s.Key))
	if block == nil {
		return nil, errors.New("it holds no private key in PEM form")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	return &acme.Account{PrivateKey: signer, Location: s.Location, Contact: s.Contact}, nil
}

// store writes the account as one value.
func (a *account) store(ctx context.Context, acct *acme.Account) error {
	data, err := encodeAccount(acct)
	if err != nil {
		return err
	}
	return a.storage.Store(ctx, a.key, data)
}

func encodeAccount(acct *acme.Account) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(acct.PrivateKey)
	if err != nil {
		return nil, err
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	data, err := json.MarshalIndent(stored{Key: text, Location: acct.Location, Contact: acct.Contact}, "", "\t")
	return append(data, '\n'), err
}

// register makes the account with the authority. It is called under the lock of
// the storage. The key is stored first: whatever happens afterwards, registering
// it again finds the same account.
func (a *account) register(ctx context.Context, s *service, gone string) (acme.Account, error) {
	acct, err := a.loadLocked(ctx)
	if err != nil {
		return acme.Account{}, err
	}
	if acct != nil && acct.Location != "" && acct.Location != gone && slices.Equal(acct.Contact, a.contact) {
		return a.keep(acct), nil // another gateway was first
	}
	if acct == nil {
		if acct, err = a.newKey(ctx); err != nil {
			return acme.Account{}, err
		}
	}
	if acct.Location != "" && acct.Location != gone {
		return a.update(ctx, s, acct), nil
	}
	known, err := a.post(ctx, s, acct.PrivateKey)
	if err != nil {
		return acme.Account{}, &accountError{key: a.key, err: err}
	}
	a.log.Info("account registered", "account", known.Location)
	if err := a.store(ctx, known); err != nil {
		a.log.Warn("the account's URL cannot be kept: it is asked for again after a restart", "key", a.key, "err", err)
	}
	return a.keep(known), nil
}

func (a *account) newKey(ctx context.Context) (*acme.Account, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	acct := &acme.Account{PrivateKey: key, Contact: a.contact}
	if err := a.store(ctx, acct); err != nil {
		return nil, fmt.Errorf("account: no account is registered whose key cannot be kept: %w", err)
	}
	return acct, nil
}

// post registers key, or finds the account that has it.
func (a *account) post(ctx context.Context, s *service, key crypto.Signer) (*acme.Account, error) {
	asked := acme.Account{PrivateKey: key, Contact: a.contact, TermsOfServiceAgreed: true}
	if a.eab != nil {
		if err := asked.SetExternalAccountBinding(ctx, s.client, *a.eab); err != nil {
			return nil, err
		}
	}
	got, err := s.client.NewAccount(ctx, asked)
	if err != nil {
		return nil, err
	}
	if got.Location == "" {
		return nil, errors.New("the authority gives the account no URL")
	}
	if got.Status != "" && got.Status != acme.StatusValid {
		return nil, fmt.Errorf("the account %s is %s", got.Location, got.Status)
	}
	return &acme.Account{PrivateKey: key, Location: got.Location, Contact: a.contact}, nil
}

// update tells the authority another way to write to the operator. Orders go on
// when it does not want to know.
func (a *account) update(ctx context.Context, s *service, acct *acme.Account) acme.Account {
	asked := *acct
	asked.Contact = a.contact
	if _, err := s.client.UpdateAccount(ctx, asked); err != nil {
		a.log.Warn("the authority does not take the account's new e-mail address", "account", acct.Location, "err", err)
		return a.keep(acct)
	}
	acct.Contact = a.contact
	if err := a.store(ctx, acct); err != nil {
		a.log.Warn("the account's new e-mail address cannot be kept", "key", a.key, "err", err)
	}
	return a.keep(acct)
}

// accountError is a failure to register.
type accountError struct {
	key string // of the storage
	err error
}

// Error implements error.
func (e *accountError) Error() string { return "account: " + e.err.Error() }

// Unwrap returns what went wrong.
func (e *accountError) Unwrap() error { return e.err }

// brokenError is a value in the storage that is no account.
type brokenError struct {
	data []byte
	err  error
}

// Error implements error.
func (e *brokenError) Error() string { return e.err.Error() }

// Unwrap returns what went wrong.
func (e *brokenError) Unwrap() error { return e.err }
