package source

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

var from = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// feedStub is a Management API of one content type with the oddities that a
// test sets.
type feedStub struct {
	mu       sync.Mutex
	enabled  bool
	pages    map[string]string // by nextPage, "" the first: body
	next     map[string]string // by nextPage: header, %s is the origin
	header   string            // its name
	start    http.HandlerFunc
	content  http.HandlerFunc // instead of pages
	requests []string
	starts   int
}

func (s *feedStub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
	if r.URL.Query().Get("PublisherIdentifier") != testTenant {
		answer(400, `{"error":{"code":"AF20001","message":"no publisher"}}`)(w, r)
		return
	}
	switch r.URL.Path {
	case testFeed + "/subscriptions/list":
		status := ""
		if s.enabled {
			status = `"status":"enabled",`
		}
		fmt.Fprintf(w, `[{"contentType":"Audit.General","status":"enabled"},{"contentType":"Audit.Exchange",%s"webhook":null}]`, status)
	case testFeed + "/subscriptions/start":
		s.starts++
		if s.start != nil {
			s.start(w, r)
			return
		}
		s.enabled = true
		io.WriteString(w, `{"contentType":"Audit.Exchange","status":"enabled","webhook":null}`)
	case testFeed + "/subscriptions/content":
		s.list(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (s *feedStub) list(w http.ResponseWriter, r *http.Request) {
	if s.content != nil {
		s.content(w, r)
		return
	}
	if !s.enabled {
		answer(400, `{"error":{"code":"AF20022","message":"No subscription found for the specified content type"}}`)(w, r)
		return
	}
	page := r.URL.Query().Get("nextPage")
	if next := s.next[page]; next != "" {
		w.Header()[s.header] = []string{strings.ReplaceAll(next, "%s", "https://"+r.Host)}
	}
	io.WriteString(w, s.pages[page])
}

func entry(id string) string {
	return fmt.Sprintf(`{"contentType":"Audit.Exchange","contentId":%q,"contentUri":"https://h/%s","contentCreated":"2026-03-02T08:10:11.000Z","contentExpiration":"2026-03-09T08:10:11.000Z"}`, id, id)
}

func (s *feedStub) count(part string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if strings.Contains(r, part) {
			n++
		}
	}
	return n
}

func TestListSubscribesAndFollowsPages(t *testing.T) {
	for _, header := range []string{"NextPageUri", "NextPageUrl", "nextpageuri", "Nextpageurl"} {
		s := &feedStub{
			header: header,
			pages:  map[string]string{"": "[" + entry("a$1") + "," + entry("b") + "]", "2": "[]", "3": "[" + entry("c") + "]"},
			next: map[string]string{
				"":  "%s/api/v1/" + testTenant + "/activity/feed/subscriptions/content?contentType=Audit.Exchange&nextPage=2",
				"2": "%s" + testFeed + "/subscriptions/content?nextPage=3&PublisherIdentifier=" + testTenant,
			},
		}
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = strings.Replace(r.URL.Path, "/api/v1/", "/api/v1.0/", 1)
			s.ServeHTTP(w, r)
		})
		c, _ := served(t, handler)
		f := feedOf(t, c, audit.M365Exchange)
		for range 2 {
			blobs, err := list(t.Context(), f, from, from.Add(90*time.Minute+time.Millisecond))
			require.NoError(t, err)
			require.Len(t, blobs, 3)
			require.Equal(t, audit.Blob{
				Source: audit.M365Exchange, ID: "a$1", URI: "https://h/a$1",
				Created: time.Date(2026, 3, 2, 8, 10, 11, 0, time.UTC), Expires: time.Date(2026, 3, 9, 8, 10, 11, 0, time.UTC),
			}, blobs[0])
		}
		require.Equal(t, 1, s.count("subscriptions/list"), "once in a process")
		require.Equal(t, 1, s.starts)
		require.Equal(t, 2, s.count("endTime=2026-03-02T09%3A30%3A01&startTime=2026-03-02T08%3A00%3A00"))
		require.Equal(t, 2, s.count("nextPage=3&PublisherIdentifier="))
		for _, request := range s.requests {
			require.Equal(t, 1, strings.Count(request, "PublisherIdentifier"), request)
		}
	}
}

func TestListAsksForADayAtMost(t *testing.T) {
	s := &feedStub{enabled: true, pages: map[string]string{"": "[]"}}
	c, _ := served(t, s)
	blobs, err := list(t.Context(), feedOf(t, c, audit.M365Exchange), from, from.Add(50*time.Hour))
	require.NoError(t, err)
	require.Empty(t, blobs)
	for _, slice := range []string{
		"endTime=2026-03-03T08%3A00%3A00&startTime=2026-03-02T08%3A00%3A00",
		"endTime=2026-03-04T08%3A00%3A00&startTime=2026-03-03T08%3A00%3A00",
		"endTime=2026-03-04T10%3A00%3A00&startTime=2026-03-04T08%3A00%3A00",
	} {
		require.Equal(t, 1, s.count(slice), slice)
	}
	require.Zero(t, s.starts, "an enabled subscription is left alone: a start would remove its webhook")
}

func TestListErrors(t *testing.T) {
	self := testFeed + "/subscriptions/content?nextPage=2"
	tests := map[string]struct {
		stub  *feedStub
		want  string
		blobs int
	}{
		"a circle":          {&feedStub{pages: map[string]string{"": "[]", "2": "[" + entry("a") + "]"}, next: map[string]string{"": "%s" + self, "2": "%s" + self}}, "in a circle", 1},
		"another host":      {&feedStub{pages: map[string]string{"": "[" + entry("a") + "]"}, next: map[string]string{"": "https://evil.example" + self}}, `points to "https://evil.example"`, 1},
		"another tenant":    {&feedStub{pages: map[string]string{"": "[]"}, next: map[string]string{"": "%s/api/v1.0/11111111-1111-1111-1111-111111111111/activity/feed/x"}}, "not the tenant's own", 0},
		"no contentUri":     {&feedStub{pages: map[string]string{"": "[" + entry("a") + `,{"contentId":"b","contentCreated":"2026-03-02T08:10:11Z"}]`}}, "without a contentUri", 1},
		"no contentCreated": {&feedStub{pages: map[string]string{"": `[{"contentUri":"u","contentCreated":"yesterday"}]`}}, `contentCreated is no time: "yesterday"`, 0},
		"HTML":              {&feedStub{pages: map[string]string{"": "<html>"}}, "begins with '<'", 0},
		"nothing":           {&feedStub{pages: map[string]string{"": ""}}, "the body is empty", 0},
		"half":              {&feedStub{pages: map[string]string{"": "[" + entry("a") + ","}}, "ends in the middle", 1},
		"too old":           {&feedStub{content: answer(400, `{"error":{"code":"AF20055","message":"Start time and end time must be less than or equal to 24 hours apart"}}`)}, "AF20055", 0},
		"disabled by admin": {&feedStub{content: answer(400, `{"error":{"code":"AF20023","message":"The subscription was disabled by a tenant admin."}}`)}, "AF20023", 0},
		"auditing is off":   {&feedStub{content: answer(400, `{"error":{"code":"AF20012","message":"Microsoft.Office.Compliance.Audit.DataServiceException: Tenant x does not exist."}}`)}, "DataServiceException", 0},
		"no permission":     {&feedStub{content: answer(401, `{"error":{"code":"AF10001","message":"The permission set () sent in the request did not include the expected permission ActivityFeed.Read."}}`)}, "AF10001", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.stub.enabled, tt.stub.header = true, "NextPageUri"
			c, _ := served(t, tt.stub)
			blobs, err := list(t.Context(), feedOf(t, c, audit.M365Exchange), from, from.Add(time.Hour))
			require.ErrorContains(t, err, tt.want)
			require.Len(t, blobs, tt.blobs)
		})
	}
}

func TestSubscribing(t *testing.T) {
	list := func(t *testing.T, c *Client) error {
		_, err := list(t.Context(), feedOf(t, c, audit.M365Exchange), from, from.Add(time.Hour))
		return err
	}
	t.Run("that it is enabled already is success", func(t *testing.T) {
		s := &feedStub{pages: map[string]string{"": "[]"}}
		s.start = func(w http.ResponseWriter, r *http.Request) {
			s.enabled = true
			answer(400, `{"error":{"code":"AF20024","message":"The subscription is already enabled. No property change."}}`)(w, r)
		}
		c, _ := served(t, s)
		require.NoError(t, list(t, c))
	})
	t.Run("a refused start is not repeated for a while", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &feedStub{start: answer(403, `{"error":{"code":"AF10001","message":"no permission"}}`)}
			c := stub(t, s.ServeHTTP)
			for range 3 {
				require.ErrorContains(t, list(t, c), "subscribe to Audit.Exchange: Office 365 Management API answered 403 AF10001")
			}
			require.Equal(t, 1, s.starts)
			time.Sleep(startPause)
			s.start, s.pages = nil, map[string]string{"": "[]"}
			require.NoError(t, list(t, c))
		})
	})
	t.Run("one that is lost is started again, and not too often", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &feedStub{enabled: true, pages: map[string]string{"": "[]"}}
			c := stub(t, s.ServeHTTP)
			require.NoError(t, list(t, c))
			s.enabled = false
			require.NoError(t, list(t, c), "it is started and asked once more")
			require.Equal(t, 1, s.starts)
			s.enabled = false
			err := list(t, c)
			require.ErrorContains(t, err, "AF20022")
			require.Equal(t, 1, s.starts)
			time.Sleep(startPause)
			require.NoError(t, list(t, c))
		})
	})
	t.Run("an unreadable list of subscriptions does not stop it", func(t *testing.T) {
		s := &feedStub{pages: map[string]string{"": "[]"}}
		c, _ := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "subscriptions/list") {
				answer(400, `{"error":{"code":"AF20020","message":"x"}}`)(w, r)
				return
			}
			s.ServeHTTP(w, r)
		}))
		require.NoError(t, list(t, c))
	})
}

func TestManagementReach(t *testing.T) {
	f := feedOf(t, open(t, "", nil), audit.M365DLP)
	oldest, note := f.Reach(from)
	week := from.Add(-7 * 24 * time.Hour)
	require.True(t, oldest.After(week) && oldest.Before(week.Add(time.Hour)), "there is time left to make the call: %s", oldest)
	require.Contains(t, note, "7 days")
}

// blobOf serves one body as a content blob and reads it.
func blobOf(t *testing.T, h http.HandlerFunc) ([]string, error) {
	t.Helper()
	c, origin := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RequestURI() != testFeed+"/audit/1$2$x?PublisherIdentifier="+testTenant {
			answer(404, `{"error":{"code":"wrong","message":"`+r.URL.RequestURI()+`"}}`)(w, r)
			return
		}
		h(w, r)
	}))
	return fetch(t.Context(), feedOf(t, c, audit.M365SharePoint), audit.Blob{ID: "1$2$x", URI: origin + testFeed + "/audit/1$2$x"})
}

func zipped(body string, less int) http.HandlerFunc {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, body)
	w.Close()
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(b.Bytes()[:b.Len()-less])
	}
}

func TestFetchYieldsRecordsAsTheyCame(t *testing.T) {
	records := []string{`{"Id" : "1",  "z":1,"a":[ ]}`, `{"Id":"2","s":"\ud800 é"}`, "{\"Id\":\"3\",\"s\":\"\xff\"}"}
	body := "[" + strings.Join(records, ", ") + "]\r\n"
	for name, h := range map[string]http.HandlerFunc{"plain": answer(200, body), "gzip": zipped(body, 0)} {
		got, err := blobOf(t, h)
		require.NoError(t, err, name)
		require.Equal(t, records, got, name)
	}
}

func TestFetchErrors(t *testing.T) {
	many := "[" + strings.Repeat(`{"Id":"`+strings.Repeat("x", 50_000)+`"},`, 20) + `{"Id":"last"}]`
	tests := map[string]struct {
		h    http.HandlerFunc
		want string
		some bool
	}{
		"HTML":     {answer(200, "<html>sign in</html>"), "begins with '<'", false},
		"object":   {answer(200, `{"Message":"x"}`), "begins with '{'", false},
		"half":     {answer(200, `[{"Id":"1"},{"Id"`), "read Audit.SharePoint: the answer of Office 365 Management API ends in the middle", true},
		"garbage":  {answer(200, `[{"Id":"1"}]<!-- -->`), "after its end", true},
		"cut gzip": {zipped(many, 30), "ends in the middle", true},
		"lost midway": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, `[{"Id":"1"},`)
		}, "ends in the middle", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := blobOf(t, tt.h)
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, tt.some, len(got) > 0, "what came before stands")
		})
	}
	for _, code := range []string{"AF20050", "AF20051"} {
		_, err := blobOf(t, answer(400, `{"error":{"code":"`+code+`","message":"expired"}}`))
		require.ErrorIs(t, err, ErrGone)
	}
}

func TestFetchSendsNoTokenElsewhere(t *testing.T) {
	var calls atomic.Int32
	c := stub(t, inTurn(&calls, answer(200, "[]")))
	for _, uri := range []string{"https://evil.example" + testFeed + "/audit/1", "https://stub.example/other", ""} {
		_, err := fetch(t.Context(), feedOf(t, c, audit.M365Exchange), audit.Blob{ID: "1", URI: uri})
		require.ErrorContains(t, err, "no token is sent there")
	}
	require.Zero(t, calls.Load())
}

func TestFetchStopsWhenToldTo(t *testing.T) {
	c, origin := served(t, answer(200, "["+strings.Repeat(`{"Id":"1"},`, 1000)+"{}]"))
	n := 0
	for _, err := range feedOf(t, c, audit.M365Exchange).Fetch(t.Context(), audit.Blob{URI: origin + testFeed + "/audit/1"}) {
		require.NoError(t, err)
		if n++; n == 3 {
			break
		}
	}
	require.Equal(t, 3, n)
}

func TestFeedsRefusesWhatItCannotRead(t *testing.T) {
	c := open(t, "", nil)
	feeds, err := c.Feeds(Sources()...)
	require.NoError(t, err)
	for i, s := range Sources() {
		require.Equal(t, s, feeds[i].Source())
	}
	_, err = c.Feeds(audit.PurviewQuery)
	require.ErrorIs(t, err, audit.ErrInvalid)
}

func TestAFeedIsReadByManyAtOnce(t *testing.T) {
	s := &feedStub{pages: map[string]string{"": "[" + entry("a") + "]"}}
	var calls atomic.Int32
	c, _ := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 4 {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		s.ServeHTTP(w, r)
	}))
	f := feedOf(t, c, audit.M365Exchange)
	var readers sync.WaitGroup
	for range 12 {
		readers.Go(func() {
			blobs, err := list(t.Context(), f, from, from.Add(time.Hour))
			if err != nil || len(blobs) != 1 {
				t.Errorf("listed %d blobs, error %v", len(blobs), err)
			}
		})
	}
	readers.Wait()
	require.Equal(t, 1, s.starts)
}
