// The frame around the views: who and where, theme, keys, help.
(function () {
  'use strict'

  const KEYS = 'aoc.keys'

  function keysOn() {
    try {
      return localStorage.getItem(KEYS) !== 'off'
    } catch {
      return true
    }
  }

  const typing = (target) => Boolean(target.closest?.('input, textarea, select, [contenteditable]'))

  document.addEventListener('alpine:init', () => {
    Alpine.data('page', () => ({
      view: 'events',
      features: { demo: false, auth_enabled: true, tenant_id: '', restricted: false, admin: true },
      version: '',
      theme: AOC.theme.stored(),
      keys: keysOn(),
      zone: AOC.format.zone(),

      init() {
        this.onRoute()
      },

      onSession({ state }) {
        if (state !== 'open') return
        this.onRoute()
        this.learn()
      },

      // learn asks what this installation is. The page works without an answer.
      async learn() {
        const [features, version] = await Promise.allSettled([AOC.api.get('/api/config/features'), AOC.api.get('/api/version')])
        if (features.status === 'fulfilled') Object.assign(this.features, features.value)
        if (version.status === 'fulfilled') this.version = version.value.version || ''
      },

      onRoute() {
        this.view = AOC.route.params().get('view') === 'feeds' ? 'feeds' : 'events'
        document.title = (this.view === 'feeds' ? 'Feeds' : 'Events') + ' · Admin Operations Center'
      },

      current(view) {
        return this.view === view ? 'page' : false
      },

      setTheme(event) {
        this.theme = event.target.value
        AOC.theme.choose(this.theme)
      },

      setKeys(event) {
        this.keys = event.target.checked
        try {
          localStorage.setItem(KEYS, this.keys ? 'on' : 'off')
        } catch {
          // It still holds until the page is left.
        }
      },

      help() {
        this.$refs.help.showModal()
      },

      closeHelp() {
        this.$refs.help.close()
      },

      onKey(event) {
        if (!this.keys || event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || this.$refs.help.open) return
        const act = { '/': 'search', j: 'older', k: 'newer', '?': 'help' }[event.key]
        if (!act) return
        event.preventDefault()
        this[act]()
      },

      search() {
        document.getElementById('filter-search')?.focus()
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
