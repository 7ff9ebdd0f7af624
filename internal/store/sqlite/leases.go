package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"aoc/internal/audit"
)

const (
	selectLease  = "SELECT holder, fence, expires FROM leases WHERE name = ?"
	replaceLease = "INSERT INTO leases (name, holder, fence, expires) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET holder = excluded.holder, fence = excluded.fence, expires = excluded.expires"
	renewLease   = "UPDATE leases SET expires = ? WHERE name = ? AND fence = ?"
)

// Acquire claims a name, or returns audit.ErrBusy while another's claim lasts.
func (s *Store) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (lease audit.Lease, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		now := s.now().UTC()
		var by string
		var fence int64
		var expires sql.NullInt64
		err := tx.QueryRowContext(ctx, selectLease, name).Scan(&by, &fence, &expires)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if by != holder && moment(expires).After(now) {
			return audit.ErrBusy
		}
		lease = audit.Lease{Name: name, Holder: holder, Fence: fence + 1, Expires: ceil(now.Add(ttl)).Time()}
		_, err = tx.ExecContext(ctx, replaceLease, name, holder, lease.Fence, ticks(lease.Expires))
		return err
	})
	if err != nil {
		return audit.Lease{}, s.fault(ctx, "acquire lease "+name, err)
	}
	return lease, nil
}

// Renew makes a lease last longer, or returns audit.ErrFenced.
func (s *Store) Renew(ctx context.Context, lease audit.Lease, ttl time.Duration) (audit.Lease, error) {
	err := s.write(ctx, func(tx *sql.Tx) error {
		lease.Expires = ceil(s.now().UTC().Add(ttl)).Time()
		renewed, err := changes(tx.ExecContext(ctx, renewLease, ticks(lease.Expires), lease.Name, lease.Fence))
		if err == nil && renewed == 0 {
			err = audit.ErrFenced
		}
		return err
	})
	if err != nil {
		return audit.Lease{}, s.fault(ctx, "renew lease "+lease.Name, err)
	}
	return lease, nil
}

// Release ends a lease. Its row stays, so that the next fence is higher.
func (s *Store) Release(ctx context.Context, lease audit.Lease) error {
	err := s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, renewLease, nil, lease.Name, lease.Fence)
		return err
	})
	return s.fault(ctx, "release lease "+lease.Name, err)
}
