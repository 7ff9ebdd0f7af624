// Asks for past hours and follows the job until it is done.
(function () {
  'use strict'

  const ASK_EVERY_MS = 2000
  const MAX_SLEEP_MS = 30000
  const MAX_JOBS = 10

  function toJob(job) {
    const { progress } = job
    return {
      id: job.id,
      title: AOC.format.count(job.hours, 'hour', 'hours') + ', asked for at ' + AOC.format.time(job.created_at),
      running: job.state === 'running',
      state: job.state === 'running' ? 'waiting' : 'ok',
      word: job.state === 'running' ? 'Running' : 'Done',
      done: progress.done,
      windows: Math.max(progress.windows, 1),
      steps: AOC.format.number(progress.done) + ' of ' + AOC.format.count(progress.windows, 'window', 'windows') + ' done',
      counts: counts(progress),
      spans: (job.spans || []).map(toSpan),
    }
  }

  function counts(p) {
    const { number } = AOC.format
    const parts = [number(p.read) + ' read', number(p.new) + ' new', number(p.known) + ' known']
    if (p.quarantined) parts.push(number(p.quarantined) + ' set aside')
    if (p.failing) parts.push(AOC.format.count(p.failing, 'window', 'windows') + ' failing, to be tried again')
    return 'Records: ' + parts.join(', ')
  }

  const toSpan = (span) => ({
    source: span.source,
    name: AOC.format.feed(span.source),
    reach: AOC.format.known(span.start) ? AOC.format.time(span.start) + ' to ' + AOC.format.time(span.end) : 'nothing',
    note: span.note || '',
  })

  document.addEventListener('alpine:init', () => {
    Alpine.data('backfill', () => ({
      hours: 24,
      busy: false,
      message: '',
      error: '',
      jobs: [],
      seen: false,
      timer: 0,

      init() {
        this.onRoute()
      },

      onRoute() {
        const here = AOC.route.params().get('view') === 'feeds'
        if (here && !this.seen) this.load()
        this.seen = here
        if (!here) clearTimeout(this.timer)
      },

      async load() {
        try {
          const answer = await AOC.api.get('/api/jobs')
          this.jobs = (answer.jobs || []).slice(0, MAX_JOBS).map(toJob)
          this.follow(ASK_EVERY_MS)
        } catch (failure) {
          this.error = 'The jobs could not be loaded. ' + AOC.api.told(failure)
        }
      },

      async start() {
        if (this.busy) return
        Object.assign(this, { busy: true, error: '', message: '' })
        try {
          const answer = await AOC.api.post('/api/fetch-audit-logs?' + new URLSearchParams({ hours: this.hours }))
          this.message = answer.message || (answer.clamped ? 'Clamped to ' + answer.job.hours + ' hours.' : 'Started.')
          this.put(answer.job)
          this.follow(ASK_EVERY_MS)
        } catch (failure) {
          this.error = 'The backfill did not start. ' + AOC.api.told(failure)
        }
        this.busy = false
      },

      put(job) {
        const at = this.jobs.findIndex((known) => known.id === job.id)
        if (at < 0) this.jobs.unshift(toJob(job))
        else this.jobs.splice(at, 1, toJob(job))
      },

      destroy() {
        clearTimeout(this.timer)
      },

      // follow asks again for each running job, and stops when none runs.
      follow(wait) {
        clearTimeout(this.timer)
        if (this.seen && this.jobs.some((job) => job.running)) this.timer = setTimeout(() => this.ask(wait), wait)
      },

      async ask(wait) {
        if (AOC.api.paused()) return this.follow(wait)
        try {
          const running = this.jobs.filter((job) => job.running)
          const answers = await Promise.all(running.map((job) => AOC.api.get('/api/jobs/' + encodeURIComponent(job.id))))
          // GET /api/jobs/{id} answers the job, bare or as {"job": …}.
          answers.forEach((answer) => this.put(answer.job || answer))
          this.error = ''
          this.follow(ASK_EVERY_MS)
        } catch (failure) {
          this.error = 'The progress could not be loaded, trying again. ' + AOC.api.told(failure)
          this.follow(Math.min(wait * 2, MAX_SLEEP_MS))
        }
      },

      get status() {
        if (this.error) return this.error
        if (this.busy) return 'Asking for the backfill…'
        const running = this.jobs.filter((job) => job.running).length
        if (running) return this.message + ' ' + AOC.format.count(running, 'job', 'jobs') + ' running.'
        return this.message && this.jobs.length ? this.message + ' Done.' : this.message
      },
    }))
  })
})()
