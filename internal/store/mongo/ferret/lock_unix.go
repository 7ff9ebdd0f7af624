//go:build unix

package ferret

import (
	"os"
	"syscall"
)

// lock waits for a lock between processes that ends with its holder.
func lock(path string) (unlock func(), _ error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close() // the error that matters is the other
		return nil, err
	}
	return func() { _ = f.Close() }, nil // which unlocks it
}
