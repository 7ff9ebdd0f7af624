// The address is the state: reload, back and a sent link show the same. Every
// change of it is announced as the window's event "aoc-route".
(function () {
  'use strict'

  const FILTERS = ['service', 'actor', 'operation', 'result', 'category', 'source', 'search']
  const TIMES = ['range', 'start', 'end']
  const RANGES = { '1h': 3600e3, '24h': 24 * 3600e3, '7d': 7 * 24 * 3600e3, '30d': 30 * 24 * 3600e3 }

  const params = () => new URLSearchParams(location.search)

  function announce() {
    window.dispatchEvent(new CustomEvent('aoc-route'))
  }

  // listKey is equal for two addresses that show the same list.
  function listKey(of) {
    return [...FILTERS, ...TIMES, 'cursor'].map((name) => of.getAll(name).join('\n')).join('\t')
  }

  // change returns the address's query with some parameters set, or taken out by ''.
  function change(values) {
    const next = params()
    for (const [name, value] of Object.entries(values)) {
      next.delete(name)
      for (const v of [value].flat()) if (v) next.append(name, v)
    }
    return '?' + next
  }

  // visit goes to a query. trail is the cursors of the newer pages; it is kept
  // while the list stays the same. opened says that "back" closes the drawer,
  // typed that the entry came of typing, which the next letter may replace.
  function visit(query, { replace = false, trail, typed = false } = {}) {
    const before = params()
    const after = new URLSearchParams(query)
    const old = history.state || {}
    const state = {
      trail: trail || (listKey(before) === listKey(after) && old.trail) || [],
      opened: after.has('event') && (replace ? Boolean(old.opened) : !before.has('event')),
      typed,
    }
    const url = after.size ? '?' + after : location.pathname
    const same = String(after) === String(before)
    history[replace || same ? 'replaceState' : 'pushState'](state, '', url)
    announce()
  }

  // closeEvent leaves the drawer: back to where it was opened, if it was here.
  function closeEvent() {
    if (!params().has('event')) return
    if (history.state?.opened) history.back()
    else visit(change({ event: '' }), { replace: true })
  }

  // follow lets plain clicks on links to "?…" change the page without a reload.
  function follow(click) {
    const link = click.target.closest?.('a[href^="?"]')
    if (!link || click.defaultPrevented || click.button || click.ctrlKey || click.metaKey || click.shiftKey || click.altKey) return
    click.preventDefault()
    visit(link.getAttribute('href'))
  }

  // since returns the start of a quick range, '' if it is none.
  function since(range) {
    return RANGES[range] ? new Date(Date.now() - RANGES[range]).toISOString() : ''
  }

  window.addEventListener('popstate', announce)
  document.addEventListener('click', follow)

  AOC.route = {
    FILTERS,
    RANGES: Object.keys(RANGES),
    params,
    listKey,
    change,
    visit,
    closeEvent,
    since,
    trail: () => history.state?.trail || [],
    typed: () => Boolean(history.state?.typed),
  }
})()
