package auth

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRecentForgetsWhatWasNotUsedLongest(t *testing.T) {
	r := newRecent[string, int](2)
	r.put("a", 1)
	r.put("b", 2)
	r.put("a", 3)
	r.put("c", 4)
	_, ok := r.get("b")
	require.False(t, ok)
	v, ok := r.get("a")
	require.True(t, ok)
	require.Equal(t, 3, v)
	r.put("d", 5)
	_, ok = r.get("c")
	require.False(t, ok)
	require.Equal(t, 2, r.order.Len())
}
