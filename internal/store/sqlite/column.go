package sqlite

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"aoc/internal/audit"
)

// ticks is a moment as a column holds it: NULL is the zero time.
func ticks(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return int64(audit.TicksOf(t))
}

func moment(column sql.NullInt64) time.Time {
	if !column.Valid {
		return time.Time{}
	}
	return audit.Ticks(column.Int64).Time()
}

// instant reads a moment's column into a time.
type instant struct{ to *time.Time }

// Scan takes what ticks made.
func (i instant) Scan(column any) error {
	var n sql.NullInt64
	if err := n.Scan(column); err != nil {
		return err
	}
	*i.to = moment(n)
	return nil
}

// lags are an audit.Lags as a column holds them: JSON, and "" for none, which
// most rows have for most of their time.
type lags audit.Lags

// Value is the column's text.
func (l lags) Value() (driver.Value, error) {
	if l == (lags{}) {
		return "", nil
	}
	b, err := json.Marshal([len(l)]int(l))
	return string(b), err
}

// Scan takes what Value made.
func (l *lags) Scan(column any) error {
	text, ok := column.(string)
	switch {
	case !ok:
		return fmt.Errorf("lags: expected text, got %T", column)
	case text == "":
		*l = lags{}
		return nil
	}
	return json.Unmarshal([]byte(text), (*[len(l)]int)(l))
}
