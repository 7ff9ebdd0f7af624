// One event in full: what it says, what it changed, and the record behind it.
(function () {
  'use strict'

  const NO_RAW = { text: '', sha256: '', size: 0 }
  const CONTEXT = {
    country: 'Country',
    city: 'City',
    app_name: 'App',
    app_id: 'App id',
    device_name: 'Device',
    device_id: 'Device id',
    user_agent: 'User agent',
    session_id: 'Session',
    error_code: 'Error code',
  }

  // field is one line of a list; a filter makes its value a link to alike events.
  function field(label, value, { filter, query, mono } = {}) {
    const href = filter ? '?' + new URLSearchParams({ [filter]: query || value }) : ''
    return { label, value: String(value ?? ''), href: value ? href : '', plain: !href, mono: Boolean(mono) }
  }

  const filled = (fields) => fields.filter((f) => f.value !== '')

  const whatFields = (e) =>
    filled([
      field('Time', AOC.format.fullTime(e.time)),
      field('In UTC', e.time, { mono: true }),
      field('Service', e.service, { filter: 'service' }),
      field('Operation', e.operation, { filter: 'operation' }),
      field('Category', e.category, { filter: 'category' }),
      field('Feed', AOC.format.feed(e.source), { filter: 'source', query: e.source }),
      field('Tags', (e.tags || []).join(', ')),
    ])

  const whoFields = ({ actor }) =>
    filled([
      field('Name', actor.name, { filter: 'actor' }),
      field('User principal name', actor.upn, { filter: 'actor' }),
      field('Kind', actor.type),
      field('IP address', actor.ip, { mono: true }),
      field('App', actor.app),
      field('Id', actor.id, { filter: 'actor', mono: true }),
    ])

  function contextFields({ context }) {
    const names = Object.keys(CONTEXT).filter((name) => context?.[name])
    return names.map((name) => field(CONTEXT[name], context[name], { mono: /_id$|agent|code/.test(name) }))
  }

  const idFields = (e, raw) =>
    filled([
      field('Event id', e.id, { mono: true }),
      field('Record id', e.record_id, { mono: true }),
      field('Correlation id', e.correlation_id, { mono: true }),
      field('Record type', e.record_type),
      field('Tenant', e.tenant_id, { mono: true }),
      field('Size', raw.size ? AOC.format.number(raw.size) + ' bytes' : ''),
    ])

  // sha256 hashes text as UTF-8; '' where the browser offers no crypto (plain HTTP).
  async function sha256(text) {
    if (!globalThis.crypto?.subtle) return ''
    const sum = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
    return Array.from(new Uint8Array(sum), (b) => b.toString(16).padStart(2, '0')).join('')
  }

  function laidOut(text) {
    try {
      JSON.parse(text)
      return AOC.format.indent(text)
    } catch {
      return text
    }
  }

  document.addEventListener('alpine:init', () => {
    Alpine.data('drawer', () => ({
      id: '',
      loaded: '', // the id of the event that is shown
      busy: false,
      error: '',
      note: '',
      event: { operation: '', summary: '', result: 'unknown' },
      what: [],
      who: [],
      context: [],
      ids: [],
      targets: [],
      changes: [],
      redactions: [],
      raw: NO_RAW,
      formatted: '',
      pretty: true,
      checked: '',
      request: null,

      init() {
        this.onRoute()
      },

      onRoute() {
        const id = AOC.route.params().get('event') || ''
        if (id === this.id) return
        const left = this.id
        this.id = id
        if (!id) return this.leave(left)
        if (!this.$root.open) this.$root.showModal()
        this.load()
      },

      leave(left) {
        this.request?.abort()
        this.loaded = ''
        if (this.$root.open) this.$root.close()
        this.$dispatch('aoc-closed', left)
      },

      async load() {
        this.request?.abort()
        const request = (this.request = new AbortController())
        Object.assign(this, { busy: true, error: '', note: '' })
        try {
          const answer = await AOC.api.get('/api/events/' + encodeURIComponent(this.id), request.signal)
          if (this.request === request) await this.show(answer)
        } catch (failure) {
          if (this.request === request) Object.assign(this, { error: AOC.api.told(failure), loaded: '' })
        }
        if (this.request === request) this.busy = false
      },

      async show({ event, raw }) {
        const text = raw?.text || ''
        const sum = await sha256(text)
        Object.assign(this, {
          event,
          loaded: event.id,
          what: whatFields(event),
          who: whoFields(event),
          context: contextFields(event),
          ids: idFields(event, raw || NO_RAW),
          targets: event.targets || [],
          changes: event.changes || [],
          redactions: event.redactions || [],
          raw: { ...NO_RAW, ...raw },
          formatted: laidOut(text),
          checked: sum === '' ? '' : sum === raw?.sha256 ? 'match' : 'differ',
        })
        this.$refs.body.scrollTop = 0
      },

      get status() {
        if (this.busy) return 'Loading the event…'
        if (this.error) return 'The event could not be loaded. ' + this.error
        return this.note
      },

      get ready() {
        return this.loaded !== '' && !this.error
      },

      get ariaBusy() {
        return String(this.busy)
      },

      get result() {
        return AOC.format.resultKey(this.event.result)
      },

      get word() {
        return AOC.format.result(this.event.result)
      },

      get hadBefore() {
        return this.changes.some((c) => c.old)
      },

      get shownRaw() {
        return this.pretty ? this.formatted : this.raw.text
      },

      get matches() {
        return this.checked === 'match'
      },

      get differs() {
        return this.checked === 'differ'
      },

      get permalink() {
        return '?' + new URLSearchParams({ event: this.id })
      },

      setPretty(event) {
        this.pretty = event.target.checked
      },

      copyRaw() {
        this.copy(this.raw.text, 'The record is copied as it is stored.')
      },

      copyLink() {
        this.copy(location.origin + location.pathname + this.permalink, 'The link is copied.')
      },

      async copy(text, done) {
        try {
          await navigator.clipboard.writeText(text)
          this.note = done
        } catch {
          this.note = 'The browser does not let this page copy. Select the text and copy it.'
        }
      },

      close() {
        AOC.route.closeEvent()
      },

      // onClose runs however the dialog was closed, Escape included.
      onClose() {
        if (this.id) AOC.route.closeEvent()
      },

      // outside closes on a click beside the drawer, which hits the dialog itself.
      outside(event) {
        if (event.target === this.$root) this.close()
      },

      older() {
        this.$dispatch('aoc-step', 1)
      },

      newer() {
        this.$dispatch('aoc-step', -1)
      },
    }))
  })
})()
