// Sets the stored theme before anything is painted, so that a dark page does
// not flash white. It is the one script that is not deferred.
(function () {
  'use strict'

  const KEY = 'aoc.theme'
  const CHOICES = ['auto', 'light', 'dark']

  function stored() {
    try {
      const choice = localStorage.getItem(KEY)
      return CHOICES.includes(choice) ? choice : 'auto'
    } catch {
      return 'auto' // storage can be switched off
    }
  }

  function show(choice) {
    if (choice === 'auto') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = choice
  }

  function choose(choice) {
    show(choice)
    try {
      localStorage.setItem(KEY, choice)
    } catch {
      // It still holds until the page is left.
    }
  }

  show(stored())
  window.AOC = { theme: { stored, choose } }
})()
