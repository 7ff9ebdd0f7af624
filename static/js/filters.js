// The filter form: shows what the address asks for and changes the address. It
// loads no events.
(function () {
  'use strict'

  const { FILTERS } = AOC.route
  const BLANK = Object.fromEntries([...FILTERS, 'start', 'end', 'range'].map((name) => [name, '']))

  // Several values of one filter are one choice of a select, joined by a line break.
  const joined = (values) => values.join('\n')
  const split = (value) => value.split('\n').map((v) => v.trim()).filter(Boolean)

  document.addEventListener('alpine:init', () => {
    Alpine.data('filters', () => ({
      ...BLANK,
      options: { service: [], operation: [], result: [], category: [], source: [] },
      ranges: AOC.route.RANGES,
      failed: '',
      more: false,

      init() {
        this.onRoute()
        this.learn()
      },

      async learn() {
        try {
          const answer = await AOC.api.get('/api/filter-options')
          for (const name of Object.keys(this.options)) this.options[name] = answer[name] || []
          this.failed = ''
        } catch (failure) {
          this.failed = 'The choices could not be loaded: ' + AOC.api.told(failure)
        }
      },

      onRoute() {
        const params = AOC.route.params()
        for (const name of FILTERS) this[name] = joined(params.getAll(name))
        this.range = params.get('range') || ''
        // With a range, start in the address is only what holds the paging still.
        this.start = this.range ? '' : AOC.format.toLocal(params.get('start'))
        this.end = this.range ? '' : AOC.format.toLocal(params.get('end'))
        if (this.category || this.source || this.start || this.end) this.more = true
      },

      // choices are a select's options, with what the address holds among them.
      choices(name) {
        const values = [...this.options[name]]
        if (this[name] && !values.includes(this[name])) values.unshift(this[name])
        return values.map((value) => ({ value, label: this.label(name, value) }))
      },

      label(name, value) {
        const word = { result: AOC.format.result, source: AOC.format.feed }[name] || String
        return split(value).map(word).join(' or ')
      },

      pick(name, event) {
        this[name] = event.target.value
        this.apply()
      },

      toggleMore() {
        this.more = !this.more
      },

      setRange(range) {
        Object.assign(this, { range, start: '', end: '' })
        this.apply()
      },

      setTime() {
        this.range = ''
        this.apply()
      },

      pressed(range) {
        const all = range === '' && !this.start && !this.end
        return String(this.range === range && (range !== '' || all))
      },

      get active() {
        return Object.keys(BLANK).some((name) => this[name] !== '')
      },

      clear() {
        Object.assign(this, BLANK)
        this.apply()
      },

      // typed searches while somebody types, with one entry in the history for all letters.
      typed() {
        this.apply({ typed: true, replace: AOC.route.typed() })
      },

      apply(how) {
        const values = { cursor: '', event: '', range: this.range }
        for (const name of FILTERS) values[name] = split(this[name])
        values.start = this.range ? '' : AOC.format.fromLocal(this.start)
        values.end = this.range ? '' : AOC.format.fromLocal(this.end)
        const query = AOC.route.change(values)
        if (AOC.route.listKey(new URLSearchParams(query)) === AOC.route.listKey(AOC.route.params())) return
        AOC.route.visit(query, how)
      },

      submit() {
        this.apply()
      },
    }))
  })
})()
