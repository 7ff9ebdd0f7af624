// The feeds' health: loaded once for the chip in the header and for the panel.
(function () {
  'use strict'

  const LOOK_EVERY_MS = 30000
  const STATES = { ok: 'Fine', late: 'Late', failing: 'Failing', waiting: 'Waiting' }
  const WORST = ['failing', 'late', 'waiting']

  function toFeed(s) {
    const state = s.enabled ? (STATES[s.state] ? s.state : 'waiting') : 'off'
    const windows = s.windows || {}
    return {
      source: s.source,
      name: AOC.format.feed(s.source),
      href: '?' + new URLSearchParams({ source: s.source }),
      state,
      word: STATES[state] || 'Off',
      last: AOC.format.ago(s.last_success),
      lastAt: AOC.format.known(s.last_success) ? s.last_success : '',
      lastTitle: AOC.format.fullTime(s.last_success),
      lag: s.enabled && AOC.format.known(s.last_success) ? AOC.format.span(s.lag_seconds) : '–',
      records: AOC.format.number(s.records),
      windows: AOC.format.number(windows.total),
      notes: windowNotes(windows),
      error: s.error || '',
      advice: s.advice || '',
      told: Boolean(s.error || s.advice),
    }
  }

  function windowNotes(windows) {
    const notes = []
    for (const name of ['waiting', 'failing', 'lost']) {
      if (windows[name]) notes.push(AOC.format.number(windows[name]) + ' ' + name)
    }
    return notes.join(', ')
  }

  document.addEventListener('alpine:init', () => {
    Alpine.data('feeds', () => ({
      feeds: [],
      busy: true,
      error: '',
      checkedAt: '',
      timer: 0,

      init() {
        this.load()
        this.timer = setInterval(() => document.hidden || AOC.api.paused() || this.load(), LOOK_EVERY_MS)
      },

      destroy() {
        clearInterval(this.timer)
      },

      async load() {
        this.busy = true
        try {
          const answer = await AOC.api.get('/api/source-health')
          Object.assign(this, { feeds: (answer.sources || []).map(toFeed), checkedAt: answer.checked_at || '', error: '' })
        } catch (failure) {
          this.error = AOC.api.told(failure)
        }
        this.busy = false
      },

      count(state) {
        return this.feeds.filter((feed) => feed.state === state).length
      },

      get worst() {
        if (this.error) return 'failing'
        if (!this.feeds.length) return 'waiting'
        return WORST.find((state) => this.count(state)) || 'ok'
      },

      // chip is the state of all feeds in a few words.
      get chip() {
        if (this.error) return 'State unknown'
        if (!this.feeds.length) return this.busy ? 'Checking' : 'None'
        const bad = WORST.filter((state) => this.count(state))
        if (!bad.length) return 'All fine'
        return bad.map((state) => this.count(state) + ' ' + state).join(', ')
      },

      get status() {
        if (this.error) return 'The state of the feeds could not be loaded. ' + this.error
        if (!this.feeds.length) return this.busy ? 'Loading the feeds…' : 'No feed is set up. Name some in SOURCES.'
        return AOC.format.count(this.feeds.length, 'feed', 'feeds') + ', checked at ' + AOC.format.time(this.checkedAt)
      },

      get ariaBusy() {
        return String(this.busy)
      },
    }))
  })
})()
