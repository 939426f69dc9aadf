'use strict'
const EVERY = 1000, AGAIN = 5000
const byId = id => document.getElementById(id)
const write = (id, text) => { if (byId(id).textContent !== text) byId(id).textContent = text }
const labels = [...document.querySelectorAll('thead th')].map(head => head.textContent)

function message(text) {
  write('message', text)
  byId('message').hidden = !text
}

function list(element, texts) {
  element.replaceChildren(...texts.map(text => {
    const item = document.createElement('li')
    item.textContent = text
    return item
  }))
}

function row(cells) {
  const line = document.createElement('tr')
  cells.forEach((text, k) => {
    const cell = document.createElement('td')
    cell.textContent = text
    cell.dataset.label = labels[k]
    line.append(cell)
  })
  return line
}

function show(state) {
  const found = state.result
  for (const id of ['stage', 'share', 'evaluations', 'rate', 'time', 'left']) write(id, state[id])
  byId('bar').value = state.done
  message(state.message)
  byId('stop').disabled = state.phase !== 'running'
  const when = state.phase === 'over' && found ? 'of the finished run' : 'so far'
  write('when', when)
  write('when-numbers', when)
  document.title = `${byId('name').textContent}: ${state.phase === 'over' ? 'over' : state.share} - raresim`
  byId('numbers').hidden = !found
  byId('none').hidden = Boolean(found)
  if (!found) return
  byId('verdict').className = `verdict ${found.status}`
  byId('badge').className = `badge ${found.status}`
  write('badge', found.verdict)
  list(byId('reasons'), found.reasons)
  byId('rows').replaceChildren(...found.numbers.map(row))
  byId('more').hidden = !found.more
  write('more', `and ${found.more} more, which the report will show`)
}

async function look() {
  let wait = EVERY, over = false
  try {
    const answer = await fetch('state', {cache: 'no-store'})
    if (!answer.ok) throw new Error(answer.statusText)
    const state = await answer.json()
    show(state)
    over = state.phase === 'over'
  } catch {
    message('This page does not reach the run any more: it has ended, or its process was killed. The terminal says which.')
    byId('stop').disabled = true
    wait = AGAIN
  }
  if (!over) setTimeout(look, wait)
}

byId('stop').addEventListener('click', async () => {
  if (!confirm('Stop the run, and keep the estimate that it has?')) return
  byId('stop').disabled = true
  try {
    await fetch('stop', {method: 'POST'})
  } catch { /* the next look says that the run cannot be reached */ }
})
look()
