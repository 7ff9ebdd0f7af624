package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"aoc/internal/audit"
)

// AddJob keeps a new job.
func (s *Store) AddJob(ctx context.Context, job audit.Job) error {
	added, err := s.putJob(ctx, "INSERT INTO jobs (body, created, id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", job)
	if err == nil && added == 0 {
		err = fmt.Errorf("job %s is there already", job.ID)
	}
	return s.fault(ctx, "add job", err)
}

// SaveJob overwrites a job, or returns audit.ErrNotFound.
func (s *Store) SaveJob(ctx context.Context, job audit.Job) error {
	saved, err := s.putJob(ctx, "UPDATE jobs SET body = ?, created = ? WHERE id = ?", job)
	if err == nil && saved == 0 {
		err = audit.ErrNotFound
	}
	return s.fault(ctx, "save job "+job.ID, err)
}

func (s *Store) putJob(ctx context.Context, statement string, job audit.Job) (written int64, err error) {
	body, err := json.Marshal(job)
	if err != nil {
		return 0, err
	}
	err = s.write(ctx, func(tx *sql.Tx) error {
		written, err = changes(tx.ExecContext(ctx, statement, body, int64(audit.TicksOf(job.CreatedAt)), job.ID))
		return err
	})
	return written, err
}

// Job returns one job, or audit.ErrNotFound.
func (s *Store) Job(ctx context.Context, id string) (audit.Job, error) {
	jobs, err := scanJobs(s.reader.QueryContext(ctx, "SELECT body FROM jobs WHERE id = ?", id))
	if err == nil && len(jobs) == 0 {
		err = audit.ErrNotFound
	}
	if err != nil {
		return audit.Job{}, s.fault(ctx, "read job", err)
	}
	return jobs[0], nil
}

// Jobs returns the newest jobs.
func (s *Store) Jobs(ctx context.Context, limit int) ([]audit.Job, error) {
	jobs, err := scanJobs(s.reader.QueryContext(ctx, "SELECT body FROM jobs ORDER BY created DESC, id DESC LIMIT ?", max(0, limit)))
	return jobs, s.fault(ctx, "read jobs", err)
}

func scanJobs(rows *sql.Rows, err error) (jobs []audit.Job, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var job audit.Job
		var body sql.RawBytes
		if err = rows.Scan(&body); err != nil {
			return nil, err
		}
		if err = json.Unmarshal(body, &job); err != nil {
			return nil, err
		}
		jobs = append(jobs, job)
	}
	return jobs, rows.Err()
}
