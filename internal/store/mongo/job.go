package mongo

import (
	"context"
	"encoding/json"
	"fmt"

	"aoc/internal/audit"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// jobDoc is a job. Its JSON keeps times as they are, which BSON does not.
type jobDoc struct {
	ID   string `bson:"_id"`
	At   int64  `bson:"at"` // when it was made, in ns since 1970
	JSON string `bson:"json"`
}

func newJobDoc(job *audit.Job) (jobDoc, error) {
	b, err := json.Marshal(job)
	if err != nil {
		return jobDoc{}, fmt.Errorf("encode job %s: %w", job.ID, err)
	}
	return jobDoc{ID: job.ID, At: nanos(job.CreatedAt), JSON: string(b)}, nil
}

func (d *jobDoc) job() (audit.Job, error) {
	var job audit.Job
	if err := json.Unmarshal([]byte(d.JSON), &job); err != nil {
		return audit.Job{}, fmt.Errorf("decode job %s: %w", d.ID, err)
	}
	return job, nil
}

// AddJob keeps a new job; see storetest.Jobs.
func (s *Store) AddJob(ctx context.Context, job audit.Job) error {
	coll, err := s.coll(ctx, jobsColl)
	if err != nil {
		return err
	}
	doc, err := newJobDoc(&job)
	if err != nil {
		return err
	}
	added, err := claim(ctx, coll, doc)
	if err != nil {
		return fmt.Errorf("add job %s: %w", job.ID, err)
	}
	if !added {
		return fmt.Errorf("add job %s: there is one of this id", job.ID)
	}
	return nil
}

// SaveJob overwrites a job; see storetest.Jobs.
func (s *Store) SaveJob(ctx context.Context, job audit.Job) error {
	coll, err := s.coll(ctx, jobsColl)
	if err != nil {
		return err
	}
	doc, err := newJobDoc(&job)
	if err != nil {
		return err
	}
	found, err := change(ctx, coll, byID(job.ID), bson.D{{Key: "at", Value: doc.At}, {Key: "json", Value: doc.JSON}})
	if err != nil {
		return fmt.Errorf("save job %s: %w", job.ID, err)
	}
	if !found {
		return audit.ErrNotFound
	}
	return nil
}

// Job returns one; see storetest.Jobs.
func (s *Store) Job(ctx context.Context, id string) (audit.Job, error) {
	coll, err := s.coll(ctx, jobsColl)
	if err != nil {
		return audit.Job{}, err
	}
	doc, found, err := findOne[jobDoc](ctx, coll, valid(id), nil)
	if err != nil {
		return audit.Job{}, fmt.Errorf("read job %s: %w", id, err)
	}
	if !found {
		return audit.Job{}, audit.ErrNotFound
	}
	return doc.job()
}

// Jobs returns the newest; see storetest.Jobs.
func (s *Store) Jobs(ctx context.Context, limit int) ([]audit.Job, error) {
	if limit < 1 {
		return nil, audit.Invalid("limit", fmt.Sprintf("expected 1 or more, got %d", limit))
	}
	coll, err := s.coll(ctx, jobsColl)
	if err != nil {
		return nil, err
	}
	docs, err := findAll[jobDoc](ctx, coll, bson.D{}, options.Find().SetSort(bson.D{{Key: "at", Value: -1}, {Key: "_id", Value: -1}}).SetLimit(int64(limit)))
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	jobs := make([]audit.Job, len(docs))
	for i := range docs {
		if jobs[i], err = docs[i].job(); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}
