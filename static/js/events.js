// The list of events: one page of it at a time, by cursor, and a quiet look for
// newer ones while the newest page is shown.
(function () {
  'use strict'

  const PAGE_SIZE = 50
  const LOOK_EVERY_MS = 30000
  const OWN = 'aoc' // AOC notes who looks: each look would find the one before it

  // apiQuery turns the address into the API's question.
  function apiQuery(params, start) {
    const query = new URLSearchParams({ page_size: PAGE_SIZE })
    for (const name of AOC.route.FILTERS) for (const v of params.getAll(name)) query.append(name, v)
    if (start) query.set('start', start)
    for (const name of ['end', 'cursor']) if (params.get(name)) query.set(name, params.get(name))
    return '/api/events?' + query
  }

  // startOf holds a quick range still while somebody pages through it: a cursor
  // is good for one start only.
  function startOf(params) {
    const fixed = params.get('start') || ''
    if (params.get('cursor') && fixed) return fixed
    return AOC.route.since(params.get('range')) || fixed
  }

  function toRow(event) {
    const { actor, targets } = event
    const named = (targets || []).map((t) => t.name || t.id).filter(Boolean)
    return {
      id: event.id,
      href: AOC.route.change({ event: event.id }),
      at: event.time,
      time: AOC.format.time(event.time),
      service: event.service,
      actor: actor.name || actor.upn || actor.app || actor.id || '–',
      actorTitle: [actor.name, actor.upn, actor.app, actor.id].filter(Boolean).join('\n'),
      actorType: ['app', 'system', 'guest', 'admin'].includes(actor.type) ? actor.type : '',
      operation: event.operation,
      result: AOC.format.resultKey(event.result),
      word: AOC.format.result(event.result),
      target: named[0] || '–',
      targetTitle: named.slice(0, 20).join('\n'),
      more: named.length > 1 ? '+' + (named.length - 1) : '',
      ip: actor.ip || '',
      summary: event.summary,
    }
  }

  document.addEventListener('alpine:init', () => {
    Alpine.data('events', () => ({
      rows: [],
      busy: true,
      error: '',
      next: '',
      start: '', // as it was asked for
      key: null, // of the list that is shown
      fresh: 0,
      selected: '',
      request: null,
      timer: 0,

      init() {
        this.onRoute()
        this.timer = setInterval(() => this.look(), LOOK_EVERY_MS)
      },

      destroy() {
        clearInterval(this.timer)
        this.request?.abort()
      },

      onRoute() {
        const params = AOC.route.params()
        this.selected = params.get('event') || ''
        if (params.get('view') !== 'feeds' && AOC.route.listKey(params) !== this.key) this.load()
      },

      async load() {
        this.request?.abort() // an older answer must not overwrite a newer one
        const request = (this.request = new AbortController())
        const params = AOC.route.params()
        const start = startOf(params)
        this.key = AOC.route.listKey(params)
        Object.assign(this, { busy: true, fresh: 0, start })
        try {
          const answer = await AOC.api.get(apiQuery(params, start), request.signal)
          if (this.request === request) this.show(answer)
        } catch (failure) {
          if (this.request === request) Object.assign(this, { rows: [], next: '', error: AOC.api.told(failure) })
        }
        if (this.request === request) this.busy = false
      },

      show(answer) {
        Object.assign(this, { rows: (answer.events || []).map(toRow), next: answer.next_cursor || '', error: '' })
      },

      // look counts what is new, and moves nothing under the reader's eyes.
      async look() {
        const params = AOC.route.params()
        if (document.hidden || this.busy || AOC.api.paused() || params.get('cursor') || params.get('event') || params.get('view') === 'feeds') return
        if (this.error || !this.rows.length) return this.load()
        const { key, request } = this
        try {
          const answer = await AOC.api.get(apiQuery(params, startOf(params)))
          if (this.key !== key || this.request !== request) return
          const shown = new Set(this.rows.map((row) => row.id))
          this.fresh = (answer.events || []).filter((e) => e.source !== OWN && !shown.has(e.id)).length
        } catch {
          // The next look will tell; the list that is shown is still true.
        }
      },

      get freshText() {
        const n = this.fresh >= PAGE_SIZE ? PAGE_SIZE + ' or more' : AOC.format.number(this.fresh)
        return n + (this.fresh === 1 ? ' new event' : ' new events')
      },

      get filtered() {
        const params = AOC.route.params()
        return this.key !== null && [...AOC.route.FILTERS, 'range', 'start', 'end'].some((name) => params.has(name))
      },

      get status() {
        if (this.busy) return 'Loading events…'
        if (this.error) return 'The events could not be loaded. ' + this.error
        if (!this.rows.length) return this.filtered ? 'No event matches.' : 'No events yet.'
        const before = this.pages * PAGE_SIZE
        if (!before && !this.next) return AOC.format.count(this.rows.length, 'event', 'events') + ', newest first'
        if (!this.known) return AOC.format.count(this.rows.length, 'event', 'events') + ' of an older page, newest first'
        return 'Events ' + (before + 1) + ' to ' + (before + this.rows.length) + ', newest first'
      },

      get empty() {
        return !this.busy && !this.error && !this.rows.length
      },

      get emptyNew() {
        return this.empty && !this.filtered
      },

      get emptyMatch() {
        return this.empty && this.filtered
      },

      // pages is how many newer pages there are on the trail; known, whether the trail is there.
      get pages() {
        return this.key === null ? 0 : AOC.route.trail().length
      },

      get later() {
        return this.key !== null && AOC.route.params().has('cursor')
      },

      get known() {
        return !this.later || this.pages > 0
      },

      get ariaBusy() {
        return String(this.busy)
      },

      older() {
        const params = AOC.route.params()
        const start = params.get('range') ? this.start : params.get('start')
        const trail = [...AOC.route.trail(), params.get('cursor') || '']
        AOC.route.visit(AOC.route.change({ cursor: this.next, start, event: '' }), { trail })
        this.toTop()
      },

      newer() {
        const trail = AOC.route.trail().slice()
        const cursor = trail.pop() || ''
        if (!cursor) return this.newest()
        AOC.route.visit(AOC.route.change({ cursor, event: '' }), { trail })
        this.toTop()
      },

      newest() {
        const start = AOC.route.params().get('range') ? '' : AOC.route.params().get('start')
        AOC.route.visit(AOC.route.change({ cursor: '', start, event: '' }), { trail: [] })
        this.toTop()
      },

      showFresh() {
        this.load()
        this.toTop()
      },

      toTop() {
        this.$refs.top.scrollIntoView({ block: 'start' })
      },

      clearFilters() {
        AOC.route.visit('?')
      },

      // pick opens a row that was clicked somewhere beside its link.
      pick(id, event) {
        if (event.target.closest('a') || event.ctrlKey || event.metaKey || event.shiftKey || String(getSelection())) return
        AOC.route.visit(AOC.route.change({ event: id }))
      },

      isSelected(id) {
        return this.selected === id ? 'true' : false
      },

      // step goes to the next row, or shows it where the drawer is open.
      step(by) {
        if (AOC.route.params().get('view') === 'feeds' || !this.rows.length) return
        const at = this.rows.findIndex((row) => row.id === (this.selected || this.focused()))
        const to = this.rows[Math.min(Math.max(at + by, 0), this.rows.length - 1)]
        if (this.selected) AOC.route.visit(AOC.route.change({ event: to.id }), { replace: true })
        else this.focusRow(to.id)
      },

      focused() {
        return document.activeElement?.closest?.('[data-event]')?.dataset.event || ''
      },

      focusRow(id) {
        document.querySelector('[data-event="' + CSS.escape(id) + '"] a')?.focus()
      },
    }))
  })
})()
