package azfunc

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"
)

// WaitParent returns nil once the process that started this one is gone, and the
// context's error where that ends first. A handler then leaves by itself: the
// host stops without a signal to its handler, and the handler's standard input
// may have been closed from the start, so neither tells. A process whose parent
// was gone before the call waits for the context alone.
func WaitParent(ctx context.Context) error {
	return waitParent(ctx, os.Getppid(), time.Second)
}

func waitParent(ctx context.Context, parent int, every time.Duration) error {
	if runtime.GOOS == "windows" {
		return waitProcess(ctx, parent)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for os.Getppid() == parent {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// waitProcess waits for a process that is not a child of this one, which only
// Windows allows; there the parent's id stays the same when the parent is gone.
func waitProcess(ctx context.Context, pid int) error {
	parent, err := os.FindProcess(pid)
	if err != nil {
		return fmt.Errorf("watch parent process %d: %w", pid, err)
	}
	gone := make(chan error, 1)
	go func() {
		_, err := parent.Wait()
		gone <- err
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-gone:
		return err
	}
}
